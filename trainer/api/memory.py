"""Models that are in memory: what identifies them, and what to tell of them."""

from collections.abc import Iterator
from typing import Any

import keras

from trainer import console, models
from trainer.config import ConfigError
from trainer.models import GivenModel, checks


def teacher(model: keras.Model) -> tuple[dict[str, Any], GivenModel]:
    """The options of a teacher with the weights that it has, and itself.

    Raises:
      ConfigError: it has no weights yet.
    """
    if not model.built:
        raise ConfigError(
            f"teacher must have weights, got a {type(model).__name__} that is not "
            "built yet; begin it with keras.Input, or call it once and train it"
        )
    options = _identity(model) | {"weights": models.weights_fingerprint(model)}
    if checks.last_activation(model) == "softmax":
        console.log(
            "teacher: it ends in a softmax, and the logarithms of its probabilities "
            "are its logits"
        )
        options["output"] = "probabilities"
    problem = models.find_problem(model)
    if problem is not None:
        console.log(
            f"teacher: it cannot be built again from its configuration ({problem}), "
            "and is used itself, on one device"
        )
    return options, GivenModel(source=model, keeps_weights=True, problem=problem)


def student(model: keras.Model) -> tuple[dict[str, Any], GivenModel]:
    """The options of a student that is cloned for each seed, and itself.

    Raises:
      ConfigError: it cannot be cloned, or has frozen weights, which would be drawn.
    """
    problem = models.find_problem(model)
    if problem is not None:
        raise ConfigError(
            "student must be a model that can be cloned from its configuration for "
            f"each seed, got a {type(model).__name__} that cannot: {problem}; give its "
            "class a get_config, or a function (input_shape, num_classes) -> model"
        )
    frozen = [layer.name for layer in _leaves(model) if _is_frozen(layer)]
    if frozen:
        raise ConfigError(
            "student must have no frozen layers, for its weights are drawn anew for "
            f"each seed, got {', '.join(frozen[:3])}; give a function (input_shape, "
            "num_classes) -> model that loads them, or student.weights a file"
        )
    console.log(
        "student: it is cloned for each seed and its baseline, and its weights are "
        "drawn anew"
    )
    seeds = list(_fixed_seeds(model.get_config(), ""))
    if seeds:
        console.log(
            f"warning: student: initializers have a seed of their own "
            f"({', '.join(seeds[:3])}), with which all seeds start alike; leave it out"
        )
    return _identity(model), GivenModel(source=model, keeps_weights=False)


def _identity(model: keras.Model) -> dict[str, Any]:
    return {
        "name": type(model).__name__,
        "architecture": models.architecture_fingerprint(model),
    }


def _leaves(model: keras.Model) -> list[keras.layers.Layer]:
    layers = model._flatten_layers(include_self=False)
    return [layer for layer in layers if not list(layer._layers)]


def _is_frozen(layer: keras.layers.Layer) -> bool:
    # What adapt() has found is kept.
    is_adapted = isinstance(layer, keras.layers.Normalization)
    return bool(layer.weights) and not layer.trainable and not is_adapted


def _fixed_seeds(config: Any, owner: str) -> Iterator[str]:
    """The initializers with a seed in the configuration, such as "dense.kernel"."""
    if isinstance(config, list | tuple):
        for part in config:
            yield from _fixed_seeds(part, owner)
    if not isinstance(config, dict):
        return
    owner = config["name"] if isinstance(config.get("name"), str) else owner
    for key, value in config.items():
        inner = value.get("config") if isinstance(value, dict) else None
        if key.endswith("initializer") and isinstance(inner, dict):
            if inner.get("seed") is not None:
                yield f"{owner}.{key}, seed {inner['seed']}"
        else:
            yield from _fixed_seeds(value, owner)
