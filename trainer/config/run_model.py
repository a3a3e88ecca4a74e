"""`run:DIR` in settings: a model that a finished run left in its workdir."""

from collections.abc import Mapping
from typing import Any

from trainer.config.errors import ConfigError
from trainer.config.models import RUN, SavedOptions

SCHEME = "run:"


def is_run_model(value: object) -> bool:
    """Whether a setting names the model of a finished run."""
    return isinstance(value, str) and value.startswith(SCHEME)


def run_model_setting(network: Any) -> tuple[str, str] | None:
    """The setting of a network's section that names a run's model, and its value."""
    options = network.options
    if isinstance(options, SavedOptions) and is_run_model(options.path):
        return "options.path", options.path
    if is_run_model(network.weights):
        return "weights", network.weights
    return None


def check(networks: Mapping[str, Any]) -> None:
    """Refuses models of runs for students, and a model "run" that is of no run.

    `networks` are the sections of teachers and student by their names.

    Raises:
      ConfigError: it names the setting.
    """
    for path, network in networks.items():
        found = run_model_setting(network)
        if found and path == "student":
            setting, value = found
            raise ConfigError(
                f"student.{setting} must be a file, got {value!r}, which only teachers "
                "may name; give the path of its model.keras, such as "
                "DIR/student/seed-0/model.keras"
            )
        if network.model == RUN and not found:
            raise ConfigError(
                f"{path}.model {RUN!r} needs weights = '{SCHEME}DIR' of a teacher, got "
                f"{path}.weights = {network.weights!r}; name an architecture"
            )
