"""Models of a user's own package."""

from collections.abc import Callable
from typing import Any

import keras

from trainer.config import ConfigError
from trainer.config.functions import import_function
from trainer.models.checks import check_input_shape
from trainer.models.hub import has_preprocessor, with_preprocessor
from trainer.models.inputs import Inputs, as_stored, model_input


def build_own(
    name: str,
    options: dict[str, Any],
    *,
    inputs: Inputs,
    num_classes: int,
    setting: str,
) -> keras.Model:
    """The model that package.module:function gives for (shape, classes, **options).

    It is given what the data has, such as uint8 images, also where it is built for
    another size than theirs, or standardised rows.

    Raises:
      ConfigError: there is no such function, or it gives no model.
    """
    return call_function(
        import_function(name, setting=f"{setting}.model"),
        name,
        options,
        inputs=inputs,
        num_classes=num_classes,
        setting=setting,
    )


def call_function(
    function: Callable[..., Any],
    name: str,
    options: dict[str, Any],
    *,
    inputs: Inputs,
    num_classes: int,
    setting: str,
) -> keras.Model:
    """The same of a `function` that is at hand; `name` is its in messages.

    Raises:
      ConfigError: its call fails, or gives no model.
    """
    try:
        model = function(inputs.model_shape, num_classes, **options)
    except TypeError as error:
        raise ConfigError(
            f"{setting}.model {name!r} must be callable as function(shape, "
            f"num_classes, **options) with options {options!r}: {error}"
        ) from error
    except ConfigError:
        raise
    except ValueError as error:
        raise _call_failed(error, name, options, inputs, setting) from error
    if not isinstance(model, keras.Model):
        raise ConfigError(
            f"{setting}.model {name!r} must return a keras.Model, "
            f"got {type(model).__name__}; return the model itself"
        )
    if has_preprocessor(model):
        return with_preprocessor(model, name, inputs=inputs, setting=setting)
    return _from_input(model, name, inputs=inputs, setting=setting)


def _from_input(
    model: keras.Model, name: str, *, inputs: Inputs, setting: str
) -> keras.Model:
    """The model of the data's examples, as a user's own `model` takes them."""
    start = model_input(inputs)
    check_input_shape(
        model,
        start.shape[1:],
        f"{setting}.model {name!r} must give a model of inputs of the shape that it is "
        f"called with, {tuple(start.shape[1:])}",
        "begin it with keras.Input(input_shape), or set image_size to its own",
    )
    # It starts from the data itself.
    if not inputs.is_row and start.shape[1:] == inputs.shape:
        return model
    result = model(as_stored(inputs, start))
    [source] = keras.utils.get_source_inputs(start)
    return keras.Model(source, result, name="own")


def _call_failed(
    error: ValueError, name: str, options: dict[str, Any], inputs: Inputs, setting: str
) -> ConfigError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    own_options = f"{setting}.options, " if options else ""
    return ConfigError(
        f"{setting}.model {name!r} must give a model for inputs of shape "
        f"{inputs.model_shape}, got an error in its call: {reason}; mend the function, "
        f"which must make new layers at each call, or change {own_options}"
        f"{setting}.image_size or data.image_size"
    )
