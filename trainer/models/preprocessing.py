"""Preprocessing that networks expect, from pixel values from 0 to 255."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

# Of the ImageNet training set, for each colour; values from 0 to 1.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
# The same, as Caffe's networks know it: 0 to 255, blue first.
_CAFFE_MEAN = (103.939, 116.779, 123.68)


@keras.saving.register_keras_serializable(package="alambic")
class ReverseChannels(keras.layers.Layer):
    """Red, green, blue in reverse order."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[..., channels] -> [..., channels]."""
        return inputs[..., ::-1]


def _rescaling(scale: Any, offset: Any = 0.0) -> keras.layers.Layer:
    # In float32: bfloat16 would round the pixels before the mean is taken off.
    return keras.layers.Rescaling(scale, offset, dtype="float32", name="preprocessing")


def _identity(image: keras.KerasTensor) -> keras.KerasTensor:
    return image


def _zero_to_one(image: keras.KerasTensor) -> keras.KerasTensor:
    return _rescaling(1 / 255)(image)


def _minus_one_to_one(image: keras.KerasTensor) -> keras.KerasTensor:
    return _rescaling(1 / 127.5, -1.0)(image)


def _imagenet_torch(image: keras.KerasTensor) -> keras.KerasTensor:
    scale = [1 / (255 * deviation) for deviation in DEVIATION]
    offset = [-mean / dev for mean, dev in zip(MEAN, DEVIATION, strict=True)]
    return _rescaling(scale, offset)(image)


def _imagenet_caffe(image: keras.KerasTensor) -> keras.KerasTensor:
    reverse = ReverseChannels(dtype="float32", name="reverse_channels")
    return _rescaling(1.0, [-mean for mean in _CAFFE_MEAN])(reverse(image))


PREPROCESSING: Mapping[str, Callable[[keras.KerasTensor], keras.KerasTensor]] = {
    "zero_to_255": _identity,
    "zero_to_one": _zero_to_one,
    "minus_one_to_one": _minus_one_to_one,
    "imagenet_torch": _imagenet_torch,
    "imagenet_caffe": _imagenet_caffe,
    "as_given": _identity,
}


# And back: images that have such values, to values from 0 to 255.
def _restored(scale: Any, offset: Any = 0.0) -> keras.layers.Layer:
    return keras.layers.Rescaling(scale, offset, dtype="float32", name="pixel_values")


def _from_imagenet_torch(image: keras.KerasTensor) -> keras.KerasTensor:
    scale = [255 * deviation for deviation in DEVIATION]
    return _restored(scale, [255 * mean for mean in MEAN])(image)


def _from_imagenet_caffe(image: keras.KerasTensor) -> keras.KerasTensor:
    reverse = ReverseChannels(dtype="float32", name="channels_of_pixels")
    return reverse(_restored(1.0, list(_CAFFE_MEAN))(image))


PIXEL_VALUES: Mapping[str, Callable[[keras.KerasTensor], keras.KerasTensor]] = {
    "zero_to_255": _identity,
    "zero_to_one": lambda image: _restored(255.0)(image),
    "minus_one_to_one": lambda image: _restored(127.5, 127.5)(image),
    "imagenet_torch": _from_imagenet_torch,
    "imagenet_caffe": _from_imagenet_caffe,
}

# The smallest and the largest value of each.
RANGES: Mapping[str, tuple[float, float]] = {
    "zero_to_255": (0, 255),
    "zero_to_one": (0, 1),
    "minus_one_to_one": (-1, 1),
    "imagenet_torch": (-2.118, 2.64),
    "imagenet_caffe": (-123.68, 151.061),
}


def three_channels(image: keras.KerasTensor) -> keras.KerasTensor:
    """Colours as they are; shades of grey as three equal colours.

    Raises:
      ValueError: the image has another number of channels.
    """
    channels = image.shape[-1]
    if channels == 3:
        return image
    if channels != 1:
        raise ValueError(f"it takes 1 or 3 channels, the images have {channels}")
    return keras.layers.Concatenate(name="three_channels")([image] * 3)
