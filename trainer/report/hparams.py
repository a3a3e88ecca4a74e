"""TensorBoard's HParams: the cells of a study, or the trials of a sweep, as sessions.

A session lies in the folder `tensorboard` of its cell; its metrics are those that the
table of the study or the sweep is about. The package is an optional extra.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from trainer.config import value_text
from trainer.report import study_table, sweep_table
from trainer.storage import files
from trainer.storage.workdir import CELLS, STUDY, TENSORBOARD
from trainer.train import tensorboard

_MOST_CHOICES = 10  # beyond it numbers are a range

_METRICS = ("errors", "accuracy", "nll", "ece", "agreement")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """A cell or a trial that has come to something."""

    cell: str  # the name of its folder
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]
    has_failed: bool


def write(path: epath.Path) -> None:
    """Writes the sessions of the study or the sweep in the workdir `path`.

    Nothing where TensorBoard is not installed.

    Raises:
      ReportError: study.json or sweep.json is malformed.
      StorageError: the workdir cannot be written.
    """
    if not tensorboard.is_installed():
        return
    is_study = files.exists(path / STUDY)
    names, sessions = _of_study(path) if is_study else _of_sweep(path)
    from tensorboard.plugins.hparams import summary_v2

    whole = tensorboard.EventFile(path / TENSORBOARD)
    metrics = dict.fromkeys(name for each in sessions for name in each.metrics)
    whole.add_summary(
        summary_v2.hparams_config_pb(
            hparams=[_hparam(name, text, sessions) for name, text in names.items()],
            metrics=[summary_v2.Metric(name) for name in metrics],
        )
    )
    whole.flush()
    for each in sessions:
        events = tensorboard.EventFile(path / CELLS / each.cell / TENSORBOARD)
        values = {name: _plain(value) for name, value in each.settings.items()}
        events.add_summary(summary_v2.hparams_pb(values, trial_id=each.cell))
        if each.metrics:
            events.add_scalars(0, each.metrics)
        events.add_summary(_end(has_failed=each.has_failed))
        events.flush()


def _end(*, has_failed: bool) -> Any:
    """The end of a session; TensorBoard's own function for it loads TensorFlow."""
    from tensorboard.compat.proto import summary_pb2
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    status = api_pb2.STATUS_FAILURE if has_failed else api_pb2.STATUS_SUCCESS
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
    told = plugin_data_pb2.HParamsPluginData(session_end_info=end)
    summary = summary_pb2.Summary()
    summary.value.add(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(told),
        tensor=metadata.NULL_TENSOR,
    )
    return summary


def _of_study(path: epath.Path) -> tuple[dict[str, str], list[Session]]:
    """The settings with their short names, and the cells that are over."""
    study = study_table.read_study(path)
    sessions = []
    for cell in study["cells"]:
        if cell["status"] == "waiting":
            continue
        found: dict[str, Any] = {}
        for role, model in cell["models"].items():
            mean = model["mean"]
            found |= {f"{role}/{name}": mean.get(name) for name in _METRICS}
        if cell["gain"]:
            found["gain"] = cell["gain"]["errors"]["mean"]
        sessions.append(
            Session(
                cell=cell["name"],
                settings=cell["settings"],
                metrics=_numbers(found),
                has_failed=cell["status"] == "diverged",
            )
        )
    return study_table.labels(study), sessions


def _of_sweep(path: epath.Path) -> tuple[dict[str, str], list[Session]]:
    """The same of the trials, of which those that repeat others share a folder."""
    sweep = sweep_table.read_sweep(path)
    sessions = {
        trial["cell"]: Session(
            cell=trial["cell"],
            settings=trial["settings"],
            metrics=_numbers({sweep["metric"]: trial["value"]}),
            has_failed=trial["status"] not in ("complete", "pruned"),
        )
        for trial in sweep["trials"]
        if trial["status"] not in ("running", "waiting")
    }
    return sweep_table.labels(sweep), list(sessions.values())


def _numbers(found: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in found.items() if value is not None}


def _hparam(name: str, label: str, sessions: Sequence[Session]) -> Any:
    """The setting, with the values that it has in the sessions."""
    from tensorboard.plugins.hparams import summary_v2

    given = [each.settings[name] for each in sessions if name in each.settings]
    values = sorted(set(map(_plain, given)), key=lambda x: (type(x).__name__, x))
    domain = None
    if values and len({type(value) for value in values}) == 1:
        domain = summary_v2.Discrete(values)
        if isinstance(values[0], float) and len(values) > _MOST_CHOICES:
            domain = summary_v2.RealInterval(values[0], values[-1])
    return summary_v2.HParam(name, domain, display_name=label)


def _plain(value: Any) -> bool | float | str:
    """A value as HParams takes it: all numbers are of one type."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return float(value)
    return value_text(value)
