"""Whole models from files, fitted to the data's images and to logits."""

import warnings
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from etils import epath
from google.protobuf.message import DecodeError

from trainer.config import ConfigError, SavedOptions, places
from trainer.config.functions import import_module
from trainer.models.checks import (
    SIGMOIDS,
    is_probabilities,
    is_sigmoids,
    last_activation,
    predict,
)
from trainer.models.inputs import Inputs, as_stored, resize
from trainer.models.preprocessing import PREPROCESSING, three_channels
from trainer.models.unknown_code import unknown_code
from trainer.models.weights import DAMAGE, LEGACY, check_archive, check_told
from trainer.storage import files

_ENDPOINT = "serving_default"
# What Keras and TensorFlow raise for files that are damaged or of another kind.
_UNREADABLE = (*DAMAGE, DecodeError)

_LAMBDA = (
    "make it of Keras's layers, or of a class of your own that options.import "
    "registers, or take the folder that model.export() writes, for inference"
)
_PROBES = 16  # examples whose predictions tell what a file gives
_TINY = float(np.finfo(np.float32).tiny)

Saved = Callable[[keras.KerasTensor], keras.KerasTensor]


def build_saved(
    options: SavedOptions, *, inputs: Inputs, num_classes: int, setting: str
) -> keras.Model:
    """Resizing to what the file's model takes, its preprocessing, it, its logits.

    Raises:
      ConfigError: the file cannot be used for these images and classes.
    """
    wrong = f"{setting}.options.path must name a model"
    saved, spec = _load(options, wrong, f"{setting}.options.import")
    start = _start(spec, inputs, wrong, options)
    # What is no image of 8 bits has the values that the model expects.
    is_brought = inputs.is_image and inputs.dtype == "uint8"
    values = PREPROCESSING[options.input](start) if is_brought else start
    result = saved(_as(spec.dtype, values, inputs))
    # Endpoints of a SavedModel give their results by name, other models as they like.
    results = keras.tree.flatten(result)
    shapes = [tuple(part.shape[1:]) for part in results]
    if len(shapes) != 1:
        raise _several_outputs(wrong, options, shapes)
    if shapes != [(num_classes,)]:
        raise ConfigError(
            f"{wrong} with an output of the data's {num_classes} classes, got "
            f"{options.path!r} with one of shape {shapes[0]}; give another file"
        )
    logits = _logits(results[0], options.output)
    [source] = keras.utils.get_source_inputs(start)
    model = keras.Model(source, logits, name="saved")
    _check_output(saved, model, options, inputs, f"{setting}.options.output")
    return model


def alone(options: SavedOptions, *, setting: str) -> keras.Model:
    """The model of the file that `setting` names, beside no data.

    It goes from uint8 images of the file's own size, or from rows as the file takes
    them, to as many logits as it gives; `setting`_output is the setting of
    options.output.

    Raises:
      ConfigError: there is no such file, or its model is none of images of one size, or
        of rows.
    """
    wrong = f"{setting} must name a model"
    saved, spec = _load(options, wrong, f"{setting}_import")
    shape = tuple(spec.shape[1:])
    is_row = len(shape) == 1 and spec.dtype.is_floating
    if None in shape or not (is_row or (len(shape) == 3 and shape[-1] in (1, 3))):
        raise ConfigError(
            f"{wrong} of images [batch, height, width, channels] of one size in colour "
            f"or grey, or of rows [batch, features], got {options.path!r} of inputs "
            f"{spec.shape}; give another file"
        )
    inputs = Inputs(shape=shape, dtype=spec.dtype.name if is_row else "uint8")
    source = keras.Input(shape, dtype=inputs.dtype, name="row" if is_row else "image")
    values = source if is_row else PREPROCESSING[options.input](source)
    results = keras.tree.flatten(saved(_as(spec.dtype, values, inputs)))
    shapes = [tuple(part.shape[1:]) for part in results]
    if len(shapes) != 1:
        raise _several_outputs(wrong, options, shapes)
    if len(shapes[0]) != 1:
        raise ConfigError(
            f"{wrong} with a value for each class, got {options.path!r} with an output "
            f"of shape {shapes[0]}; give another file"
        )
    model = keras.Model(source, _logits(results[0], options.output), name="saved")
    _check_output(saved, model, options, inputs, f"{setting}_output")
    return model


def _several_outputs(
    wrong: str, options: SavedOptions, shapes: list[tuple[int, ...]]
) -> ConfigError:
    return ConfigError(
        f"{wrong} with one output, got {options.path!r} with {len(shapes)} of shapes "
        f"{shapes}; save that of the classes alone, as in keras.Model(model.inputs, "
        "model.outputs[0])"
    )


def _load(
    options: SavedOptions, wrong: str, import_setting: str
) -> tuple[Saved, tf.TensorSpec]:
    """The file's model, and what it takes."""
    if options.import_:
        import_module(options.import_, setting=import_setting)
    path = files.path_of(options.path, setting=f"{wrong},")
    if not files.exists(path):
        raise ConfigError(
            f"{wrong}, got {options.path!r}: no such file; "
            f"{places.path_hint(options.path)}"
        )
    if options.path.endswith((".h5", ".hdf5")):
        raise ConfigError(
            f"{wrong} in Keras's .keras format or the folder of a SavedModel, got "
            f"{options.path!r}{LEGACY}"
        )
    check_told(path, setting=f"{wrong},")
    try:
        # TensorFlow itself reads a folder, wherever it is.
        saved, spec = (
            _keras_file(path)
            if options.is_keras_file
            else _read_saved_model_folder(options.path)
        )
    except _UNREADABLE as error:
        if unknown := unknown_code(error):
            way = (
                _LAMBDA if unknown.is_lambda else f"name its module in {import_setting}"
            )
            raise ConfigError(
                f"{wrong} whose layers Keras can make, got {options.path!r}: "
                f"{unknown.reason}; {way}"
            ) from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"{wrong} in Keras's .keras format or the folder of a SavedModel, got "
            f"{options.path!r}: {reason}; save it again"
        ) from error
    return saved, spec


def _check_images(spec: tf.TensorSpec, wrong: str, options: SavedOptions) -> None:
    if spec.shape.rank != 4:
        raise ConfigError(
            f"{wrong} of images [batch, height, width, channels], got "
            f"{options.path!r} of inputs {spec.shape}; give another file"
        )


def _keras_file(path: epath.Path) -> tuple[Saved, tf.TensorSpec]:
    with files.local_copy(path) as local, warnings.catch_warnings():
        # Of optimizers and losses, which are not loaded.
        warnings.simplefilter("ignore", UserWarning)
        check_archive(local)
        model = keras.models.load_model(str(local), compile=False)
    return model, _only([tf.TensorSpec(x.shape, x.dtype) for x in model.inputs])


def _read_saved_model_folder(path: str) -> tuple[Saved, tf.TensorSpec]:
    layer = keras.layers.TFSMLayer(
        path, call_endpoint=_ENDPOINT, trainable=False, name="saved_model"
    )
    _, named = layer.call_endpoint_fn.structured_input_signature
    return layer, _only(list(named.values()))


def _only(inputs: list[tf.TensorSpec]) -> tf.TensorSpec:
    if len(inputs) != 1:
        raise ValueError(f"it has {len(inputs)} inputs instead of one")
    return inputs[0]


def _start(
    spec: tf.TensorSpec, inputs: Inputs, wrong: str, options: SavedOptions
) -> keras.KerasTensor:
    """The data's examples; images in the size and with the channels that it takes."""
    expected = spec.shape
    is_other = not inputs.is_image and not expected.is_compatible_with(
        [None, *inputs.shape]
    )
    if is_other or (spec.dtype == tf.uint8) > (inputs.dtype == "uint8"):
        raise ConfigError(
            f"{wrong} of examples of {inputs.dtype} {list(inputs.shape)} as the "
            f"data's, got {options.path!r} of {spec.dtype.name} {expected}; give "
            "another file"
        )
    if not inputs.is_image:
        return keras.Input(inputs.shape, dtype=inputs.dtype, name="example")
    _check_images(spec, wrong, options)
    size = [
        side or own
        for side, own in zip(expected[1:3], inputs.model_shape[:2], strict=True)
    ]
    if inputs.image_size and size != [inputs.image_size] * 2:
        raise ConfigError(
            f"{wrong} of images of image_size = {inputs.image_size}, got "
            f"{options.path!r} of {size[0]} x {size[1]} pixels; set image_size = 0"
        )
    image = resize(inputs, tuple(size))
    if expected[3] == 3:
        image = three_channels(image)
    if expected[3] not in (None, image.shape[-1]):
        raise ConfigError(
            f"{wrong} of images with {image.shape[-1]} channels as the data's, got "
            f"{options.path!r} with {expected[3]}; give another file"
        )
    return image


def _as(dtype: tf.DType, x: keras.KerasTensor, inputs: Inputs) -> keras.KerasTensor:
    x = as_stored(inputs, x) if dtype == tf.uint8 else x
    return x if x.dtype == dtype.name else keras.ops.cast(x, dtype.name)


def _logits(result: keras.KerasTensor, output: str) -> keras.KerasTensor:
    if output == "probabilities":
        return logarithms(result)
    return keras.ops.cast(result, "float32")


def logarithms(probabilities: keras.KerasTensor) -> keras.KerasTensor:
    """Logarithms of probabilities in float32, which are logits."""
    x = keras.ops.cast(probabilities, "float32")
    # The smallest there is for what was rounded to 0, whose logarithm is infinite.
    return keras.ops.log(keras.ops.maximum(x, _TINY))


def _check_output(
    saved: Saved,
    model: keras.Model,
    options: SavedOptions,
    inputs: Inputs,
    output_setting: str,
) -> None:
    output = predict(model, inputs.examples(_PROBES))
    logarithms = options.output == "probabilities"
    given = np.exp(output) if logarithms else output
    last = last_activation(saved) if isinstance(saved, keras.Model) else ""
    # Of other last layers, and of a SavedModel's, which cannot be seen, values tell.
    if last in SIGMOIDS or (last not in ("linear", "softmax") and is_sigmoids(given)):
        raise ConfigError(
            f"{output_setting} must be of one softmax over the classes, got "
            f"{options.path!r}, whose outputs are sigmoids (from 0 to 1, and not 1 in "
            "all); save it without its last activation, and set it to 'logits'"
        )
    if (last == "softmax" or is_probabilities(given)) != logarithms:
        actual = "logits" if logarithms else "probabilities"
        raise ConfigError(
            f"{output_setting} must say what {options.path!r} gives, got "
            f"{options.output!r}, and its outputs look like {actual}; set it to that"
        )
