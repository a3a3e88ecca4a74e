"""The classifiers of keras.applications, as all models here: uint8 in, logits out."""

import contextlib
import itertools
from collections.abc import Callable, Iterator

import keras
from keras.src.backend.common import global_state

from trainer.config import ApplicationOptions
from trainer.models.dropout import Dropout
from trainer.models.head import head
from trainer.models.inputs import Inputs, architecture_input
from trainer.models.preprocessing import (
    DEVIATION,
    MEAN,
    PIXEL_VALUES,
    PREPROCESSING,
    three_channels,
)

# By the module of keras.applications; the others preprocess the image themselves.
_EXPECTED = {
    "densenet": "imagenet_torch",
    "inception_resnet_v2": "minus_one_to_one",
    "inception_v3": "minus_one_to_one",
    "mobilenet": "minus_one_to_one",
    "mobilenet_v2": "minus_one_to_one",
    "nasnet": "minus_one_to_one",
    "resnet": "imagenet_caffe",
    "resnet_v2": "minus_one_to_one",
    "vgg16": "imagenet_caffe",
    "vgg19": "imagenet_caffe",
    "xception": "minus_one_to_one",
}


def application(
    name: str, options: ApplicationOptions, *, inputs: Inputs, num_classes: int
) -> keras.Model:
    """Preprocessing, backbone and classifier in one flat graph, called `name`.

    Keras's layers in Keras's order, so that weights saved by Keras fit; see
    https://keras.io/api/applications. Dropout, also of whole branches, is ours: a
    layer's number is its stream.
    """
    function = getattr(keras.applications, name)
    module = function.__module__.rpartition(".")[2]
    start = architecture_input(inputs)
    pixels = PIXEL_VALUES[options.input](start) if options.input else start
    image = three_channels(pixels)
    with _weightless():
        original = function(
            weights=None,
            input_shape=image.shape[1:],
            input_tensor=PREPROCESSING[_EXPECTED.get(module, "zero_to_255")](image),
            classes=num_classes,
            classifier_activation=None,
            **options.of_keras,
        )
    copy = keras.models.clone_model(
        original, clone_function=_copier(original, options), call_function=_call
    )
    # Keras wraps the input in a list.
    return keras.Model(copy.inputs[0], copy.outputs[0], name=name)


@contextlib.contextmanager
def _weightless() -> Iterator[None]:
    """Layers that are built here get no weights: those are drawn once, in the copy.

    Keras keeps a list of weights to be drawn later. There is no public way to clear it.
    """
    with keras.StatelessScope(initialize_variables=False):
        yield
    global_state.set_global_attribute("uninitialized_variables", [])


def _copier(
    original: keras.Model, options: ApplicationOptions
) -> Callable[[keras.Operation], keras.Operation]:
    """A function to a layer's copy, with what differs here."""
    streams = itertools.count(1)
    names = [layer.name for layer in original.layers]
    last = set(names[names.index(head(original).name) :])

    def copy(layer: keras.Operation) -> keras.Operation:
        config = layer.get_config()
        if isinstance(layer, keras.layers.Dropout):
            return Dropout(
                layer.rate,
                stream=next(streams),
                per_example=layer.noise_shape is not None,
                name=layer.name,
            )
        if isinstance(layer, keras.layers.BatchNormalization):
            config["momentum"] = options.batch_norm_momentum
        normalises = keras.layers.Rescaling | keras.layers.Normalization
        if layer.name in last or isinstance(layer, normalises):
            config["dtype"] = "float32"
        return type(layer).from_config(config)

    return copy


def _call(
    layer: keras.Operation, image: keras.KerasTensor, *more: object, **kwargs: object
) -> keras.KerasTensor:
    """EfficientNet's own normalisation, which Keras completes with ImageNet weights.

    Its layer divides by the root of "variance", where Keras's files have the standard
    deviation; another rescaling divides by the root again.
    """
    result = layer(image, *more, **kwargs)
    if not isinstance(layer, keras.layers.Normalization) or not layer.weights:
        return result
    layer.adapt_mean.assign(MEAN)
    layer.adapt_variance.assign(DEVIATION)
    layer.finalize_state()
    scale = [deviation**-0.5 for deviation in DEVIATION]
    return keras.layers.Rescaling(scale, dtype="float32", name="normalization_scale")(
        result
    )
