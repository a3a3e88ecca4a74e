"""A tracker: what takes the numbers and the files of runs, in a store of its own."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from trainer.config import ConfigError, MlflowOptions, TrackingConfig
from trainer.config.functions import import_function

Line = tuple[int, Mapping[str, float]]  # a step and its metrics


class TrackingError(OSError):
    """A tracker does not take what is sent; the run goes on."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A run, one of its trainings, or a study or sweep of runs, as a tracker has it."""

    key: str  # 32 hexadecimal digits, the same whenever the workdir is sent
    name: str
    parent: str  # the key of what it is a part of; "" of the whole workdir
    settings: Mapping[str, Any]  # by their names in the config
    is_chosen: bool = False  # the training of the model of [export]


class Tracker(Protocol):
    """Takes runs one after another; what it raises is told, and sent again later."""

    def begin(self, run: TrackedRun) -> int:
        """Opens a run by its key, and makes it where there is none.

        Returns:
          The last step of which it has the metrics; -1 for none.
        """

    def log(self, run: TrackedRun, lines: Sequence[Line]) -> None:
        """Takes the metrics of later steps, in their order."""

    def keep(self, run: TrackedRun, file: pathlib.Path, folder: str) -> None:
        """Takes a file, into its `folder`, in place of an earlier one of its name."""

    def end(self, run: TrackedRun, *, failed: bool) -> None:
        """Hears that nothing more will come, or that the run has come to nothing."""


# Makes a tracker, which may take seconds, or reach for a server.
Opening = Callable[[], Tracker]


def opening(section: TrackingConfig, name: str) -> Opening:
    """The way to open the tracker of the section, for the run `name`.

    Raises:
      ConfigError: its package is not installed, or there is no such function.
    """
    if not isinstance(section.options, MlflowOptions):
        function = import_function(section.tracker, setting="tracking.tracker")
        return lambda: function(**section.options)
    from trainer.tracking import mlflow_tracker

    options = section.options
    if missing := mlflow_tracker.missing(options):
        raise ConfigError(
            f"tracking.tracker must be of what is installed, got 'mlflow' without "
            f"{', '.join(missing)}; pip install 'alambic[mlflow]'"
        )
    return lambda: mlflow_tracker.MlflowTracker(options, experiment=name)
