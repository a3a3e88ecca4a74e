"""Image classifiers of KerasHub: their presets, and what comes before their layers.

https://keras.io/keras_hub. A classifier is called with images that its preprocessor has
resized and scaled, which is no part of its layers. Here it is one of the model.
"""

import itertools
from typing import Any

import keras
import numpy as np

from trainer.config import ConfigError, HubOptions
from trainer.models.dropout import Dropout
from trainer.models.hub_presets import read_classifier
from trainer.models.inputs import Inputs
from trainer.models.preprocessing import PIXEL_VALUES, three_channels
from trainer.models.resize import Resize

_TOLERANCE = 1e-2  # of the largest value, which bfloat16 rounds by half as much
_PROBE = 8  # pixels a side of images that tell what a preprocessor does


def build_hub(
    name: str,
    options: HubOptions,
    *,
    inputs: Inputs,
    num_classes: int,
    setting: str,
) -> keras.Model:
    """Preprocessing, backbone and head of the preset `name`, with weights drawn anew.

    The head and the preprocessing compute in float32, and the head's dropout is ours.

    Raises:
      ConfigError: there is no such preset, or it is of no classifier of these images.
    """
    classifier = read_classifier(
        name, setting=f"{setting}.model", num_classes=num_classes, load_weights=False
    )
    if classifier.preprocessor is None:
        raise ConfigError(
            f"{setting}.model must be a preset with a preprocessor, which says what "
            f"values its network expects, got {name!r} without; save the classifier "
            "with one (save_to_preset)"
        )
    start, pixels = _preprocessed(
        classifier, inputs, told=options.input, name=name, setting=setting
    )
    return keras.Model(start, _with_own_head(classifier)(pixels), name="hub")


def with_preprocessor(
    model: keras.Model, name: str, *, inputs: Inputs, setting: str
) -> keras.Model:
    """The model behind its preprocessor, where it is KerasHub's and has one.

    KerasHub applies it in fit and predict, and not where the model is called.

    Raises:
      ConfigError: the preprocessor is not one of images, or does not fit these.
    """
    if not has_preprocessor(model):
        return model
    start, pixels = _preprocessed(model, inputs, told="", name=name, setting=setting)
    # The same layers, without what KerasHub compiles a classifier with.
    graph = keras.Model(model.inputs, model.outputs, name=model.name)
    return keras.Model(start, graph(pixels), name=model.name)


def has_preprocessor(model: keras.Model) -> bool:
    """Whether it is a classifier of KerasHub with a preprocessor."""
    is_of_hub = type(model).__module__.startswith("keras_hub.")
    return is_of_hub and getattr(model, "preprocessor", None) is not None


def _with_own_head(classifier: keras.Model) -> keras.Model:
    """The layers of a classifier, whose head is float32 and has our dropout.

    KerasHub's files do not say the precision of a head.
    """
    streams = itertools.count(1)

    def copy(layer: keras.Operation) -> keras.Operation:
        if layer is classifier.backbone:
            return layer
        if isinstance(layer, keras.Model):
            return keras.models.clone_model(layer, clone_function=copy)
        if isinstance(layer, keras.layers.Dropout):
            return Dropout(layer.rate, stream=next(streams), name=layer.name)
        config = layer.get_config()
        if isinstance(layer, keras.layers.Layer):
            config["dtype"] = "float32"
        return type(layer).from_config(config)

    graph = keras.Model(classifier.inputs, classifier.outputs, name=classifier.name)
    return keras.models.clone_model(graph, clone_function=copy)


def _preprocessed(
    classifier: keras.Model, inputs: Inputs, *, told: str, name: str, setting: str
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The data's images, and what the classifier's layers take of them.

    `told` are the values of float32 images, as options.input has them.
    """
    import keras_hub

    wrong = f"{setting}.model must be a classifier of KerasHub"
    converter = getattr(classifier.preprocessor, "image_converter", None)
    if not isinstance(converter, keras_hub.layers.ImageConverter):
        raise ConfigError(
            f"{wrong} whose preprocessor has an ImageConverter, got {name!r} with "
            f"{type(classifier.preprocessor).__name__}; put what it does into the "
            "model, and set preprocessor = None"
        )
    if getattr(classifier.backbone, "data_format", "") == "channels_first":
        raise ConfigError(
            f"{wrong} with channels last, got {name!r} with channels first; build it "
            "channels last"
        )
    height, width, channels = classifier.inputs[0].shape[1:]
    size = _size((height, width), converter.image_size, inputs, name, setting)
    start = keras.Input(inputs.shape, dtype=inputs.dtype, name="image")
    image = keras.ops.expand_dims(start, -1) if inputs.is_grey else start
    if image.shape[1:3] != size:
        image = Resize(*size, dtype="float32", name="resize")(image)
    pixels = PIXEL_VALUES[told](image) if told else image
    if (pixels.shape[-1], channels) == (1, 3):
        pixels = three_channels(pixels)
    if pixels.shape[-1] != channels:
        raise ConfigError(
            f"{wrong} of images with {pixels.shape[-1]} channels as the data's, got "
            f"{name!r} with {channels}; give another"
        )
    scaling = _scaling(converter)
    _check_scaling(scaling, converter, channels, f"{wrong} whose ImageConverter", name)
    return start, scaling(pixels)


def _size(
    own: tuple[int | None, int | None],
    preferred: tuple[int, int] | None,
    inputs: Inputs,
    name: str,
    setting: str,
) -> tuple[int, ...]:
    """The size of images: the network's only one, the set, or the preprocessor's."""
    asked = (inputs.image_size,) * 2 if inputs.image_size else None
    wanted = asked or preferred or inputs.shape[:2]
    size = tuple(side or other for side, other in zip(own, wanted, strict=True))
    if asked and size != asked:
        raise ConfigError(
            f"{setting}.image_size must be that of {name!r}, whose network takes "
            f"{size[0]} x {size[1]} pixels, got {inputs.image_size}; leave it out"
        )
    return size


def _scaling(converter: Any) -> keras.layers.Layer:
    scale, offset = (
        default if value is None else value
        for value, default in ((converter.scale, 1.0), (converter.offset, 0.0))
    )
    return keras.layers.Rescaling(scale, offset, dtype="float32", name="preprocessing")


def _check_scaling(
    scaling: keras.layers.Layer, converter: Any, channels: int, wrong: str, name: str
) -> None:
    """Finds that the converter's own class does no more than resize and scale."""
    height, width = converter.image_size or (_PROBE, _PROBE)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, height, width, channels), dtype=np.uint8)
    expected = np.asarray(converter(image), np.float32)
    given = keras.ops.convert_to_numpy(scaling(image))
    largest = max(1.0, float(np.abs(expected).max()))
    if given.shape != expected.shape or not np.allclose(
        given, expected, rtol=0, atol=_TOLERANCE * largest
    ):
        raise ConfigError(
            f"{wrong} resizes and scales by scale and offset, got {name!r} with "
            f"{type(converter).__name__}, which does something else; put it into the "
            "model, and set preprocessor = None"
        )
