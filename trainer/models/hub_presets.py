"""Presets of KerasHub: the configuration of a classifier, and its weights."""

import difflib
import os
from collections.abc import Collection
from typing import Any

import keras

from trainer.config import HUB, ConfigError, places
from trainer.models.default_precision import default_precision
from trainer.models.weights import DAMAGE

_REASON_CHARACTERS = 200
# The files of the backbone's weights, of which one is there; and those of the head.
_BACKBONE = ("model.weights.h5", "model.weights.json")
_TASK, _HEAD = "task.json", "task.weights.h5"


def read_classifier(
    name: str, *, setting: str, num_classes: int | None, load_weights: bool
) -> Any:
    """The classifier of the preset hub:PRESET, which gives logits.

    Where there are no `num_classes` it has those of the preset. Messages begin with
    `setting`.

    Raises:
      ConfigError: KerasHub is not installed, or there is no such preset of a
        classifier.
    """
    preset = _preset(name, setting=setting)
    import keras_hub

    read = keras_hub.models.ImageClassifier.from_preset
    arguments: dict[str, Any] = {"load_weights": load_weights, "compile": False}
    if num_classes is not None:
        arguments["num_classes"] = num_classes
    policy = keras.config.dtype_policy().name
    try:
        # Some layers of KerasHub's are given none, and a file does not say theirs.
        with default_precision("float32"):
            found = read(preset, dtype=policy, **arguments)
            if getattr(found, "activation", None) is not None:
                found = read(preset, dtype=policy, **arguments, activation=None)
    # ImportError: of a client for the place where the preset is.
    except (*DAMAGE, ImportError) as error:
        raise _unreadable(name, setting, error) from error
    return found


def load_preset(model: keras.Model, name: str, *, is_final: bool, setting: str) -> None:
    """Sets `model`, built from the preset `name`, to the weights of the preset.

    The head is set where there are as many classes, and stays as it is otherwise.

    Raises:
      ConfigError: the preset has no weights, or none of the head of a model that
        `is_final`; `setting` names the setting in the message.
    """
    preset = _preset(name, setting=setting)
    # There is no public way to ask.
    from keras_hub.src.utils.preset_utils import check_file_exists

    try:
        has_weights = any(check_file_exists(preset, file) for file in _BACKBONE)
        has_head = _is_classifier(preset) and check_file_exists(preset, _HEAD)
    except (*DAMAGE, ImportError) as error:
        raise _unreadable(name, setting, error) from error
    if not has_weights:
        raise ConfigError(
            f"{setting} = 'own' needs a preset with weights, got {name!r} without "
            f"{_BACKBONE[0]}; save it whole (save_to_preset), or leave {setting} out "
            "and train the model"
        )
    classes = model.output_shape[-1]
    original = read_classifier(
        name,
        setting=setting,
        num_classes=None if has_head else classes,
        load_weights=True,
    )
    fits = has_head and original.num_classes == classes
    if is_final and not fits:
        own = f"{original.num_classes} classes" if has_head else "no head"
        raise ConfigError(
            f"{setting} = 'own' needs a preset of {classes} classes for a model that "
            f"is not trained, got {name!r} with {own}; add its train section, or say "
            "what its classes stand for by class_map and class_names"
        )
    _copy_weights(original if fits else original.backbone, model)


def _copy_weights(source: keras.Model, model: keras.Model) -> None:
    """Sets the network inside `model`, or its first weights, to those of `source`."""
    [network] = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    # The backbone comes first, and the head after it.
    targets = network.weights[: len(source.weights)]
    for target, value in zip(targets, source.weights, strict=True):
        target.assign(value)


def _preset(name: str, *, setting: str) -> str:
    """The preset that a model names, as KerasHub has it."""
    preset = name.removeprefix(HUB)
    try:
        import keras_hub
    except ImportError as error:
        raise ConfigError(
            f"{setting} must have KerasHub for {name!r}, got an error: {error}; run "
            "pip install '.[hub]'"
        ) from error
    known: Collection[str] = keras_hub.models.ImageClassifier.presets
    if preset in known or "://" in preset or os.path.isdir(preset):
        return preset
    near = difflib.get_close_matches(preset, known, n=1)
    offer = f"did you mean {HUB + near[0]!r}? " if near else ""
    raise ConfigError(
        f"{setting} must name a preset of an image classifier of KerasHub, or the "
        f"folder of one, got {name!r}: no such folder or preset; "
        f"{offer}{places.path_hint(preset)}"
    )


def _is_classifier(preset: str) -> bool:
    """Whether a preset has the configuration of a whole image classifier."""
    import keras_hub
    from keras_hub.src.utils import preset_utils

    if not preset_utils.check_file_exists(preset, _TASK):
        return False
    task = preset_utils.check_config_class(preset_utils.load_json(preset, _TASK))
    return issubclass(task, keras_hub.models.ImageClassifier)


def _unreadable(name: str, setting: str, error: Exception) -> ConfigError:
    reason = " ".join(str(error).split())[:_REASON_CHARACTERS] or type(error).__name__
    way = f"without a network give the folder of one (save_to_preset), as {HUB}PATH"
    if os.path.isdir(name.removeprefix(HUB)):
        way = "save it again (save_to_preset)"
    return ConfigError(
        f"{setting} must name a preset of an image classifier of KerasHub, got "
        f"{name!r}: {reason}; {way}"
    )
