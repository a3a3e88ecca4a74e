"""Models that a Python program has in memory, and functions that it gives for one.

A model is built again from its configuration in the strategy's scope, so that each
replica has variables of its own and the program's model stays as it is.
"""

import dataclasses
import os
import pathlib
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.config import ConfigError, MemoryOptions
from trainer.models.checks import check_input_shape, check_one_output, predict
from trainer.models.hub import has_preprocessor, with_preprocessor
from trainer.models.inputs import Inputs
from trainer.models.own import call_function
from trainer.models.saved import logarithms

_REASON_CHARACTERS = 200
_TOLERANCE = 1e-2  # of the largest output
_MEMBER = "model.weights.h5"  # of a .keras file

Function = Callable[[tuple[int, ...], int], keras.Model]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class GivenModel:
    """A model in memory, or a function (input_shape, num_classes) to one."""

    source: keras.Model | Function
    keeps_weights: bool  # else they are drawn anew, by the seed
    # None where the model can be built again; else the reason, and it is used itself.
    problem: str | None = None
    _made: weakref.WeakSet[keras.Model] = dataclasses.field(
        init=False, default_factory=weakref.WeakSet
    )

    def __reduce__(self) -> tuple[Any, ...]:
        """Goes to another process without the models that were made here."""
        fields = (self.source, self.keeps_weights, self.problem)
        return _again, fields

    @property
    def classes(self) -> dict[str, type]:
        """The classes of its layers, which its files name; of a function, unknown."""
        return _own_classes(self.layers)

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """All layers of a model, with itself; none of a function."""
        if not isinstance(self.source, keras.Model):
            return []
        return list(self.source._flatten_layers(include_self=True))

    def build(
        self, options: MemoryOptions, *, inputs: Inputs, num_classes: int, setting: str
    ) -> keras.Model:
        """The model, which takes what the data yield; call it in the strategy's scope.

        Raises:
          ConfigError: it takes something else, cannot be used on these devices, or is
            not a new model at each call.
        """
        if not isinstance(self.source, keras.Model):
            return self._call(options, inputs, num_classes, setting)
        if self.problem is not None:
            _check_one_device(options.name, self.problem, setting)
            model = self.source
            _reset_seeds(model)
        else:
            model = rebuild(self.source)
        whole = model
        if has_preprocessor(model):
            whole = with_preprocessor(
                model, options.name, inputs=inputs, setting=setting
            )
        start = keras.Input(inputs.shape, dtype=inputs.dtype, name="input")
        _check_input(whole, options.name, inputs, setting)
        result = whole(start)  # which builds what was not built
        check_one_output(result, options.name, setting)
        if self.problem is None:
            if whole is model:
                _check_copy(self.source, model, options.name, inputs, setting)
            _copy_weights(self.source, model, everything=self.keeps_weights)
        if options.output == "logits":
            return whole
        return keras.Model(start, logarithms(result), name=model.name)

    def _call(
        self, options: MemoryOptions, inputs: Inputs, num_classes: int, setting: str
    ) -> keras.Model:
        model = call_function(
            self.source,
            options.name,
            {},
            inputs=inputs,
            num_classes=num_classes,
            setting=setting,
        )
        if shared := _shared(model, *self._made):
            raise ConfigError(
                f"{setting}.model {options.name!r} must give a new model at each call, "
                f"got one that shares {shared} with an earlier one; build its layers "
                "in the function, or give the model itself, which is cloned"
            )
        self._made.add(model)
        return model


def _again(
    source: keras.Model | Function, keeps_weights: bool, problem: str | None
) -> GivenModel:
    return GivenModel(source=source, keeps_weights=keeps_weights, problem=problem)


def check_apart(model: keras.Model, other: keras.Model, *, setting: str) -> None:
    """Finds that the model of a section has no variable of the `other` one.

    Raises:
      ConfigError: training it would change the other one.
    """
    if shared := _shared(model, other):
        raise ConfigError(
            f"{setting} must have variables of its own, got a model that shares "
            f"{shared} with the teacher, which would change as it learns; build its "
            "layers anew, or give a function (input_shape, num_classes) -> model"
        )


def _shared(model: keras.Model, *others: keras.Model) -> str:
    """The path of a variable that `model` has in common with another; "" for none."""
    known = {
        id(variable)
        for other in others
        if other is not model
        for variable in other.variables
    }
    if any(other is model for other in others):
        return "all variables"
    return next((v.path for v in model.variables if id(v) in known), "")


def _own_classes(layers: Iterable[keras.layers.Layer]) -> dict[str, type]:
    """Classes that are not Keras's by their names, as it looks for those of a file."""
    kinds = {type(layer) for layer in layers}
    return {
        kind.__name__: kind for kind in kinds if not kind.__module__.startswith("keras")
    }


def rebuild(model: keras.Model) -> keras.Model:
    """A model of the same configuration, whose weights its initializers draw."""
    classes = _own_classes(model._flatten_layers(include_self=True))
    with keras.saving.custom_object_scope(classes):
        config = _of_any_batch(model.get_config())
        again: keras.Model = type(model).from_config(config)
        build_config = model.get_build_config()
        if not again.built and build_config:
            again.build_from_config(build_config)
    return again


def _of_any_batch(config: Any) -> Any:
    """The configuration without the batch size of a call that built a Sequential."""
    if isinstance(config, list):
        return [_of_any_batch(part) for part in config]
    if not isinstance(config, dict):
        return config
    found = {name: _of_any_batch(part) for name, part in config.items()}
    for name in ("batch_shape", "build_input_shape"):
        if isinstance(shape := found.get(name), list | tuple) and shape:
            found[name] = [None, *shape[1:]]
    return found


def find_problem(model: keras.Model) -> str | None:
    """The reason why a model cannot be built again; None where it can."""
    # Exceptions of a user's own code may be of any kind.
    try:
        again = rebuild(model)
        if model.built:
            _copy_weights(model, again, everything=True)
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        return text.partition(". ")[0][:_REASON_CHARACTERS]
    return None


def _check_copy(
    model: keras.Model, again: keras.Model, name: str, inputs: Inputs, setting: str
) -> None:
    """Finds that a model that was built again computes what the program's does.

    A configuration need not have all that a model of a user's own class depends on.
    """
    if not model.built:
        return
    drawn = [keras.ops.convert_to_numpy(variable) for variable in again.variables]
    _copy_weights(model, again, everything=True)
    before, twice, after = (
        predict(each, inputs.examples()).astype(np.float32)
        for each in (model, model, again)
    )
    for variable, value in zip(again.variables, drawn, strict=True):
        variable.assign(value)
    largest = max(1.0, float(np.abs(before).max(initial=0)))
    is_alike = before.shape == after.shape and np.allclose(
        before, after, rtol=0, atol=_TOLERANCE * largest, equal_nan=True
    )
    # One that is drawn anew at each call tells nothing.
    if not is_alike and np.array_equal(before, twice, equal_nan=True):
        raise ConfigError(
            f"{setting}.model {name!r} must be one whose configuration says what it "
            "computes, got one that computes something else when it is built again "
            "from it; give its class a get_config with all that it depends on, or give "
            "a function (input_shape, num_classes) -> model"
        )


def _reset_seeds(model: keras.Model) -> None:
    """Gives dropout one state in all processes, by which caches know the model."""
    for layer in model._flatten_layers(include_self=False):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(keras.ops.zeros_like(generator.state))


def save_weights(model: keras.Model, path: os.PathLike[str]) -> None:
    """Writes the weights as a .keras file keeps them, without a configuration."""
    with tempfile.TemporaryDirectory(prefix="alambic-") as folder:
        weights = pathlib.Path(folder, _MEMBER)
        model.save_weights(weights)
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(weights, _MEMBER)


def _copy_weights(model: keras.Model, again: keras.Model, *, everything: bool) -> None:
    """Sets the weights of `again` to those of `model`: all, or what adapt() has found.

    Raises:
      ValueError: they have not the same layers.
    """
    if everything:
        again.set_weights(model.get_weights())
    pairs = zip(_adapted(model), _adapted(again), strict=True)
    for layer, copy in pairs:
        if layer.built:
            copy.set_weights(layer.get_weights())
            copy.finalize_state()


def _adapted(model: keras.Model) -> list[keras.layers.Normalization]:
    """The layers whose weights adapt() has found, each once."""
    layers = model._flatten_layers(include_self=False)
    found = {
        id(layer): layer
        for layer in layers
        # Those that were given their statistics have no weights.
        if isinstance(layer, keras.layers.Normalization) and layer.input_mean is None
    }
    return list(found.values())


def _check_one_device(name: str, problem: str, setting: str) -> None:
    count = tf.distribute.get_strategy().num_replicas_in_sync
    if count > 1:
        raise ConfigError(
            f"{setting}.model {name!r} must be one that can be built from its "
            f"configuration to be on {count} replicas, got one that cannot: {problem}; "
            "give its class a get_config, give a function (input_shape, num_classes) "
            "-> model, or set runtime.strategy = 'one_device'"
        )


def _check_input(model: keras.Model, name: str, inputs: Inputs, setting: str) -> None:
    check_input_shape(
        model,
        inputs.shape,
        f"{setting}.model {name!r} must take what the data yield, {inputs.dtype} of "
        f"shape {inputs.shape}, for nothing is added to a model in memory",
        "give it data of that shape, or end in such an Input",
    )
