"""Models of files and architectures asked as if options.input said something else."""

import keras
import numpy as np
import pytest

from tests.helpers.devices import strategy_of
from tests.helpers.saved_models import NUM_CLASSES, SIDE, build, network, write
from trainer import models
from trainer.config import MemoryOptions, MlpOptions, SavedOptions

OTHERS = {
    "zero_to_255": lambda x: x,
    "minus_one_to_one": lambda x: x / 127.5 - 1,
    "imagenet_torch": lambda x: keras.applications.imagenet_utils.preprocess_input(
        x, mode="torch"
    ),
    "imagenet_caffe": lambda x: keras.applications.imagenet_utils.preprocess_input(
        x, mode="caffe"
    ),
}


def images(shape=(SIDE, SIDE, 3), count=40):
    rng = np.random.default_rng(2)
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8)


def options(path, **more):
    return SavedOptions(**{"path": str(path), "input": "zero_to_one"} | more)


def inputs(shape=(SIDE, SIDE, 3), **more):
    return models.Inputs(shape=shape, **more)


@pytest.mark.parametrize("shape", [(SIDE, SIDE, 3), (SIDE, SIDE, 1)])
@pytest.mark.parametrize("kind", ["file.keras", "exported"])
def test_a_file_is_asked_with_each_other_range(kind, shape, tmp_path):
    original = network()
    path = write(original, tmp_path, kind)
    with strategy_of(2).scope():
        model = build(path, shape=shape)
        assert set(models.other_values(model, options(path), inputs(shape))) == set(
            OTHERS
        )
        colours = np.broadcast_to(images(shape), (40, SIDE, SIDE, 3)).astype("float32")
        for name, preprocess in OTHERS.items():
            given = models.predict_as(name, model, options(path), images(shape))
            expected = original(preprocess(colours.copy()), training=False)
            np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-3)


def test_probabilities_become_logits(tmp_path):
    original = network(softmax=True)
    path = write(original, tmp_path, "file.keras")
    own = options(path, output="probabilities")
    model = build(path, output="probabilities")
    given = models.predict_as("minus_one_to_one", model, own, images())
    expected = original(images() / 127.5 - 1, training=False)
    np.testing.assert_allclose(np.exp(given), expected, rtol=1e-4)


def test_images_are_resized_before(tmp_path):
    original = network()
    path = write(original, tmp_path, "file.keras")
    model = build(path, shape=(30, 20, 3))
    given = models.predict_as("zero_to_255", model, options(path), images((30, 20, 3)))
    resized = model.get_layer("resize")(images((30, 20, 3)))
    np.testing.assert_allclose(given, original(resized), rtol=1e-4, atol=1e-3)


def test_what_leaves_no_choice_is_not_asked(tmp_path):
    path = write(network(), tmp_path, "file.keras")
    model = build(path)
    assert models.other_values(model, options(path), inputs(dtype="float32")) == []
    assert models.other_values(model, MlpOptions(), inputs()) == []
    (tmp_path / "whole").mkdir()
    whole = write(network(dtype="uint8"), tmp_path / "whole", "file.keras")
    own = options(whole, input="zero_to_255")
    assert models.other_values(build(whole, input=own.input), own, inputs()) == []


def test_images_of_8_bits_that_are_as_given_are_from_zero_to_255(tmp_path):
    original = network()
    path = write(original, tmp_path, "file.keras")
    own = options(path, input="as_given")
    model = build(path, input="as_given")
    others = models.other_values(model, own, inputs())
    assert sorted(others) == sorted(["zero_to_one", *OTHERS.keys() - {"zero_to_255"}])
    given = models.predict_as("minus_one_to_one", model, own, images())
    expected = original(images() / 127.5 - 1, training=False)
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("output", ["logits", "probabilities"])
def test_a_model_in_memory_is_asked_itself(output):
    original = network(softmax=output == "probabilities")
    own = MemoryOptions(name="Functional", output=output)
    others = models.other_values(original, own, inputs())
    assert sorted(others) == sorted(["zero_to_one", *OTHERS.keys() - {"zero_to_255"}])
    given = models.predict_as("zero_to_one", original, own, images())
    expected = np.asarray(original(images() / 255, training=False))
    expected = np.log(expected) if output == "probabilities" else expected
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-3)
    for unknown in (network(dtype="uint8"), lambda shape, classes: original):
        assert models.other_values(unknown, own, inputs()) == []
    assert models.other_values(original, own, inputs(dtype="float32")) == []


def test_grey_images_have_no_mean_of_colours(tmp_path):
    path = write(network(channels=1), tmp_path, "file.keras")
    model = build(path, shape=(SIDE, SIDE, 1))
    found = models.other_values(model, options(path), inputs((SIDE, SIDE, 1)))
    assert sorted(found) == ["minus_one_to_one", "zero_to_255"]


def test_an_architecture_is_asked_of_the_ranges_that_its_float_images_may_have():
    def mlp(values):
        return models.build(
            "mlp",
            MlpOptions(input=values, hidden_sizes=(4,)),
            inputs=known,
            num_classes=NUM_CLASSES,
            seed=0,
            precision="float32",
            setting="teacher",
        )

    known = inputs(dtype="float32", value_range=(0.0, 1.0))
    own = MlpOptions(input="zero_to_one", hidden_sizes=(4,))
    model, other = mlp("zero_to_one"), mlp("minus_one_to_one")
    # From 0 to 255 such images would be black; those of caffe's are far wider.
    found = models.other_values(model, own, known)
    assert "minus_one_to_one" in found
    assert "zero_to_255" not in found
    shades = (images() / 255).astype(np.float32)
    given = models.predict_as("minus_one_to_one", model, own, shades)
    np.testing.assert_allclose(given, other(shades), rtol=1e-4, atol=1e-3)
