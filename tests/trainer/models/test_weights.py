"""Weights from files."""

import contextlib
import hashlib

import keras
import numpy as np
import pytest

from tests.helpers.messages import refused
from tests.helpers.small_models import NUM_CLASSES, SMALL, build, noise_images
from trainer import models
from trainer.config import ConfigError, MlpOptions

SUFFIXES = (".keras", ".weights.h5")


class Subclassed(keras.Model):
    """Does not know the shape of its output."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(NUM_CLASSES)

    def call(self, image):
        return self.dense(keras.ops.cast(image, "float32")[:, 0, 0])


def small_mlp(*, seed: int = 0, num_classes: int = NUM_CLASSES) -> keras.Model:
    return build("mlp", SMALL["mlp"], seed=seed, num_classes=num_classes)


def save(model: keras.Model, path: str) -> None:
    if path.endswith(".keras"):
        model.save(path)
    else:
        model.save_weights(path)


def load(model: keras.Model, path: str) -> None:
    models.load_weights(model, path, setting="teacher.weights")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_weights_are_those_of_the_saved_model(suffix, tmp_path):
    path = str(tmp_path / f"model{suffix}")
    saved, loaded = small_mlp(seed=1), small_mlp(seed=2)
    save(saved, path)
    load(loaded, path)
    for a, b in zip(saved.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_file_is_refused(suffix, tmp_path):
    path = str(tmp_path / f"model{suffix}")
    with refused(ConfigError, "teacher.weights", path, "no such file"):
        load(small_mlp(), path)


@pytest.mark.parametrize("name", ["model.h5", "model", "model.keras.txt"])
def test_another_suffix_is_refused(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"")
    with refused(ConfigError, "teacher.weights", ".keras", ".weights.h5", path):
        load(small_mlp(), str(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_weights_for_other_classes_are_refused(suffix, tmp_path):
    path = str(tmp_path / f"model{suffix}")
    save(small_mlp(num_classes=7), path)
    with refused(ConfigError, "teacher.weights", "10 classes", path, "7 classes"):
        load(small_mlp(), path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_weights_of_another_model_are_refused_for_a_subclassed_one(suffix, tmp_path):
    path = str(tmp_path / f"model{suffix}")
    save(small_mlp(), path)
    model = Subclassed()
    model(noise_images(1, (9, 8, 2)))
    with refused(ConfigError, "teacher.weights", path):
        load(model, path)


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_truncated_file_is_refused(suffix, share, tmp_path):
    path = tmp_path / f"model{suffix}"
    save(small_mlp(), str(path))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with refused(ConfigError, "teacher.weights", path):
        load(small_mlp(), str(path))


def test_a_keras_file_with_a_changed_byte_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    save(small_mlp(), str(path))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with refused(ConfigError, "teacher.weights", path):
        load(small_mlp(), str(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_weights_of_a_deeper_model_are_refused(suffix, tmp_path):
    # Its second hidden layer has the shape of the shallower model's logits.
    path = str(tmp_path / f"model{suffix}")
    save(build("mlp", MlpOptions(hidden_sizes=(6, NUM_CLASSES))), path)
    with refused(ConfigError, "teacher.weights", path):
        load(build("mlp", MlpOptions(hidden_sizes=(6,))), path)


def test_weights_are_compared_with_the_checksum_beside_them(tmp_path):
    path = tmp_path / "model.weights.h5"
    save(small_mlp(), str(path))
    told = tmp_path / "model.weights.h5.sha256"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for text in (f"{digest}  model.weights.h5\n", digest.upper()):
        told.write_text(text)
        load(small_mlp(), str(path))
    for text in (f"{'0' * 64}  model.weights.h5\n", "", "no checksum"):
        told.write_text(text)
        with refused(ConfigError, "teacher.weights", told, digest):
            load(small_mlp(), str(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_changed_bit_is_an_error_that_is_not_told(suffix, tmp_path):
    """A .weights.h5 has no checksum inside: what is changed there may be read."""
    path = tmp_path / f"model{suffix}"
    save(small_mlp(), str(path))
    whole = path.read_bytes()
    model, expected = small_mlp(seed=1), [x.numpy() for x in small_mlp().variables]
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 60):
        content = bytearray(whole)
        content[place] ^= 1 << rng.integers(8)
        path.write_bytes(content)
        # Anything but this error fails.
        with contextlib.suppress(ConfigError):
            load(model, str(path))
            if suffix == ".keras":
                for found, value in zip(model.variables, expected, strict=True):
                    np.testing.assert_array_equal(found.numpy(), value)
