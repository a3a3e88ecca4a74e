"""The weights that Keras offers for its own architectures."""

import warnings
from collections.abc import Mapping
from typing import Any

import keras

from trainer.config import ConfigError

_CLASSES = 1000  # of ImageNet


def load_imagenet(
    model: keras.Model, options: Mapping[str, Any], *, setting: str
) -> None:
    """Sets `model`, built as its namesake of keras.applications, to ImageNet's weights.

    `options` are the arguments of Keras's that it was built with. The head is set where
    there are 1000 classes, and stays as it is otherwise.

    Raises:
      ConfigError: the file cannot be downloaded, or the images have another size than
        a layer needs; `setting` names the setting in the message.
    """
    try:
        with warnings.catch_warnings():
            # Of another image size, which convolutions do not mind.
            warnings.simplefilter("ignore", UserWarning)
            original = getattr(keras.applications, model.name)(
                weights="imagenet",
                include_top=model.output_shape[-1] == _CLASSES,
                **options,
            )
    # Keras raises a bare Exception where the network or the checksum fails.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        stated = f" of options that Keras has, got {dict(options)!r}" if options else ""
        raise ConfigError(
            f"{setting} = 'imagenet' needs a download{stated}, got an error: {reason}; "
            "give the path of a .keras or .weights.h5 file"
        ) from error
    try:
        copy_weights(original, model)
    except ValueError as error:
        raise ConfigError(
            f"{setting} = 'imagenet' must fit {model.name!r} as configured, got an "
            f"error: {error}; set image_size = {original.input_shape[1]}"
        ) from error


def copy_weights(original: keras.Model, model: keras.Model) -> None:
    """Copies layer after layer; `original` may lack the last ones of `model`.

    Raises:
      ValueError: two layers differ in shape.
    """
    targets, sources = (
        # An image's mean is that of its model's preprocessing already.
        [
            layer
            for layer in which.layers
            if layer.weights and not isinstance(layer, keras.layers.Normalization)
        ]
        for which in (model, original)
    )
    for target, source in zip(targets, sources, strict=False):
        values = source.get_weights()
        shapes = [weight.shape for weight in target.weights]
        if [value.shape for value in values] != shapes:
            raise ValueError(
                f"layer {target.name!r} has shapes {shapes}, not those of the file"
            )
        target.set_weights(values)
