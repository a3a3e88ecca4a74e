"""Images without channels, which are given as they are."""

import numpy as np
import pytest

from trainer import models
from trainer.config import ApplicationOptions, CnnOptions


@pytest.mark.parametrize(
    ("name", "options", "side"),
    [("cnn", CnnOptions(filters=(4,)), 8), ("MobileNet", ApplicationOptions(), 32)],
)
def test_architectures_see_them_as_images_of_one_channel(name, options, side):
    def build(shape):
        return models.build(
            name,
            options,
            inputs=models.Inputs(shape=shape),
            num_classes=3,
            seed=0,
            precision="float32",
            setting="student",
        )

    images = np.random.default_rng(0).integers(0, 256, (4, side, side), np.uint8)
    ours, theirs = build((side, side)), build((side, side, 1))
    assert ours.input.shape == (None, side, side)
    np.testing.assert_array_equal(ours(images), theirs(images[..., None]))
