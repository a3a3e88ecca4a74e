"""Classifiers of keras.applications, quick to build."""

import keras
import numpy as np

from trainer import models
from trainer.config import APPLICATIONS, ApplicationOptions

NUM_CLASSES = 5


# Quick to build, with and without preprocessing of their own.
SMALL = ("MobileNetV3Small",)


SMALLEST_OF_THEIR_KIND = (
    *("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0"),
    "MobileNetV2",
    *("InceptionResNetV2", "InceptionV3", "MobileNet", "NASNetMobile", "ResNet50"),
    *("ResNet50V2", "VGG16", "VGG19", "Xception"),
)


def build(
    name,
    *,
    size=None,
    channels=3,
    precision="float32",
    num_classes=NUM_CLASSES,
    options=None,
):
    """The model of that name, for the smallest images that it takes."""
    side = size or APPLICATIONS[name]
    return models.build(
        name,
        options or ApplicationOptions(),
        inputs=models.Inputs(shape=(side, side, channels)),
        num_classes=num_classes,
        seed=0,
        precision=precision,
        setting="teacher",
    )


def randomise(model):
    """Weights with which images of noise still differ in their logits."""
    rng = np.random.default_rng(5)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            continue
        alone = isinstance(layer, keras.layers.DepthwiseConv2D)
        for weight in layer.weights:
            if weight.name in ("gamma", "moving_variance"):
                weight.assign(rng.uniform(0.5, 1.5, weight.shape))
                continue
            fan_in = np.prod(weight.shape[: 2 if alone else -1])
            size = 0.1 if len(weight.shape) == 1 else np.sqrt(2 / fan_in)
            weight.assign(rng.normal(0, size, weight.shape))
