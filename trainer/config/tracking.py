"""The tracking section: where a run's numbers and files are sent too."""

import dataclasses
import urllib.parse
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from trainer.config.errors import ConfigError
from trainer.config.export import ExportConfig
from trainer.config.rules import FILLED, OptionsOf, Place


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoTrackingOptions:
    """No options: nothing is sent."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MlflowOptions:
    """An MLflow store, by its server or by its database."""

    # http://HOST:PORT, sqlite:///FILE, or what else MLflow's client takes.
    uri: Annotated[Place, FILLED]
    experiment: str = ""  # the experiment of its runs; "": the name of the run
    # Where the files of a new experiment lie; "": where its server says, or beside the
    # file of an SQLite store, in mlartifacts/.
    artifacts: Place = ""
    # A model of its registry, which gets a version; "": none.
    register_as: str = ""


TRACKERS: Mapping[str, type] = {"": NoTrackingOptions, "mlflow": MlflowOptions}
NO_TRACKING = NoTrackingOptions()


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Settings of what is sent while a run trains, or later by the track command."""

    # "mlflow", or package.module:function, which gives a trainer.tracking.Tracker for
    # the options; "": nothing is sent.
    tracker: str = ""
    # The options of the tracker.
    options: Annotated[Any, OptionsOf("tracker", TRACKERS, own=True)] = NO_TRACKING
    # Roles whose selected models are sent; of the others the numbers alone.
    models: tuple[Literal["teacher", "student", "baseline", "finetune"], ...] = (
        "student",
    )


def check(section: TrackingConfig, export: ExportConfig) -> None:
    """Refuses what the workdir must not keep, and a registration of what is not sent.

    Raises:
      ConfigError: it names the setting.
    """
    if not isinstance(section.options, MlflowOptions):
        return
    if urllib.parse.urlsplit(section.options.uri).password is not None:
        raise ConfigError(
            "tracking.options.uri must be without a password, which the workdir would "
            "keep, got one; MLflow takes it from MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or a database's client from its own variables"
        )
    role = export.role.partition(".")[0]
    if section.options.register_as and role not in section.models:
        raise ConfigError(
            f"tracking.models must have {role!r}, the role of [export], where "
            "tracking.options.register_as has its model registered, got "
            f"{list(section.models)}; add it"
        )
