"""Networks of a Python program, which gives the models themselves beside the config."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.config import places
from trainer.config.data import DataConfig
from trainer.config.errors import ConfigError
from trainer.config.models import MemoryOptions


def brings_weights(network: Any) -> bool:
    """Whether the network of a section is a model with weights of its own."""
    options = network.options
    return isinstance(options, MemoryOptions) and bool(options.weights)


def given(data: DataConfig, networks: Mapping[str, Any]) -> list[str]:
    """The sections of which a Python program holds what the config cannot say."""
    is_given = data.dataset.startswith(places.MEMORY)
    models = [
        path
        for path, network in networks.items()
        if isinstance(network.options, MemoryOptions)
    ]
    return [*(["data"] if is_given else []), *models]


def check(networks: Mapping[str, Any]) -> None:
    """Refuses settings that a model which is there already cannot follow.

    `networks` are the sections of teachers and student by their names.

    Raises:
      ConfigError: it names the setting.
    """
    for path, network in networks.items():
        options = network.options
        if not (isinstance(options, MemoryOptions) and options.architecture):
            continue
        given: dict[str, Any] = {
            "precision": (network.precision, "inherit"),
            "image_size": (network.image_size, 0),
        }
        if options.weights:
            given["weights"] = (network.weights, "")
        for name, (value, only) in given.items():
            if value != only:
                raise ConfigError(
                    f"{path}.{name} must be {only!r} for a model in memory "
                    f"({options.name}), which is used as it is, got {value!r}; leave "
                    "it out, or give a function (input_shape, num_classes) -> model"
                )


def way_out(teachers: Mapping[str, Any], changed: Sequence[str]) -> str:
    """The end of a message where a teacher in memory has other weights than before.

    `changed` are the differences to the config of the run that has begun.
    """
    for path, teacher in teachers.items():
        weights = f"{path}.options.weights:"
        is_given = isinstance(teacher.options, MemoryOptions)
        if is_given and any(change.startswith(weights) for change in changed):
            return (
                f"; {path} must have the weights that the run began with: save it once "
                "it is made, and load it where it is given again"
            )
    return ""
