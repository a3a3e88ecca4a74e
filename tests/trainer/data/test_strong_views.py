"""Augmentations as a list, in the batches of a training."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import worker_batches
from tests.helpers.messages import refused
from trainer import data, prng
from trainer.config import (
    ColorJitterOptions,
    ConfigError,
    CropFlipOptions,
    InceptionCropOptions,
    RandAugmentOptions,
    RandomErasingOptions,
    TrivialAugmentOptions,
)
from trainer.data import Batch, augment

SEED, SIDE = 5, 12
STRONG = {
    "rand_augment": RandAugmentOptions(),
    "trivial_augment": TrivialAugmentOptions(),
    "color_jitter": ColorJitterOptions(),
    "random_erasing": RandomErasingOptions(fill="noise"),
}


def augmentation(*names: str, channels: int = 3, dtype: str = "uint8") -> data.Augment:
    options = STRONG | {
        "crop_flip": CropFlipOptions(),
        "inception_crop": InceptionCropOptions(),
    }
    return data.augmentation(
        names,
        {name: options[name] for name in names},
        input_shape=(SIDE, SIDE, channels),
        input_dtype=dtype,
        setting="student.train",
    )


def images_of(num: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (num, SIDE, SIDE, 3), dtype=np.uint8)


def shown(
    *names: str,
    num_replicas: int = 1,
    num_workers: int = 1,
    first_step: int = 0,
    last_step: int = 5,
) -> list[np.ndarray]:
    """The images of each global batch, by their positions."""
    show = augmentation("crop_flip", *names)
    examples = data.ArrayExamples(
        inputs=images_of(37), labels=np.zeros(37, np.int32), ids=1000 + np.arange(37)
    )

    def finish(batch: Batch) -> Batch:
        keys = prng.key(SEED, batch.pop("epoch"), batch["id"])
        return batch | {"input": show(batch["input"], keys)}

    parts = worker_batches.of_workers(
        examples,
        finish,
        batch_size=16,
        num_replicas=num_replicas,
        num_workers=num_workers,
        seed=SEED,
        first_step=first_step,
        num_steps=last_step - first_step,
    )
    return [batch["input"] for batch in worker_batches.join(parts)]


@functools.cache
def whole(*names: str) -> list[np.ndarray]:
    """Of one replica, from the first step on."""
    return shown(*names)


# All views take seconds to compile for each size of batches.
ALL = functools.partial(pytest.param, tuple(STRONG), marks=pytest.mark.slow)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("rand_augment", "random_erasing"), {"num_replicas": 2, "first_step": 1}),
        ALL({"num_replicas": 2, "first_step": 1}),
        ALL({"num_replicas": 4, "num_workers": 2, "first_step": 3}),
        ALL({"num_replicas": 4}),
    ],
)
def test_views_are_those_of_one_replica(names, parts):
    """Batches of three epochs, from any step on."""
    found = shown(*names, **parts)
    np.testing.assert_array_equal(found, whole(*names)[-len(found) :])


@pytest.mark.slow
def test_a_list_shows_one_after_another_each_with_keys_of_its_own():
    images, keys = images_of(8), prng.key(SEED, 3, tf.range(8))
    listed = augmentation("inception_crop", "random_erasing", "color_jitter")
    cropped = augment.inception_crop(images, keys, InceptionCropOptions())
    erased = augment.random_erasing(
        cropped, prng.key(SEED, 3, tf.range(8), 1), STRONG["random_erasing"]
    )
    expected = augment.color_jitter(
        erased, prng.key(SEED, 3, tf.range(8), 2), STRONG["color_jitter"]
    )
    np.testing.assert_array_equal(listed(images, keys), expected)
    # Files are cropped when they are decoded, and the others follow.
    np.testing.assert_array_equal(listed.after_crop(cropped, keys), expected)
    assert listed.crop == InceptionCropOptions()
    assert augmentation("random_erasing", "color_jitter").crop is None


@pytest.mark.parametrize("name", STRONG)
def test_values_that_are_not_of_8_bits_are_refused(name):
    facts = ("student.train.augment", f"{name!r}", "float32", "uint8")
    with refused(ConfigError, *facts):
        augmentation("crop_flip", name, dtype="float32")


@pytest.mark.parametrize("name", ["rand_augment", "trivial_augment", "color_jitter"])
def test_colours_of_other_channels_are_refused(name):
    with refused(ConfigError, "student.train.augment", f"{name!r}", "2 channels"):
        augmentation(name, channels=2)
    assert augmentation("random_erasing", channels=2).crop is None


def test_the_option_of_one_in_a_list_is_named():
    with refused(ConfigError, "data.augment_options.crop_flip.padding", "4 pixels", 9):
        data.augmentation(
            ("crop_flip", "color_jitter"),
            {"crop_flip": CropFlipOptions(padding=9), "color_jitter": None},
            input_shape=(4, 5, 3),
            setting="data",
        )
