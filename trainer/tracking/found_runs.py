"""The runs of a workdir and their trainings, by the files that they have left."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from etils import epath

from trainer.config import Config, flatten
from trainer.storage import files, workdir
from trainer.tracking.tracker import Line
from trainer.train.events import read_metrics

_STEP = re.compile(r"step-(\d+)\.npz")
# Of a study, a sweep or a watch.
_GROUPS = (workdir.STUDY, workdir.SWEEP, workdir.WATCH)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoundRun:
    """One of them."""

    folder: str  # from the workdir; "" is the workdir itself
    parent: str | None = None  # the folder of what it is a part of
    name: str
    settings: Callable[[], Mapping[str, Any]]
    lines: Callable[[], list[Line]] = list  # reads those that will not be written anew
    summary: Mapping[str, float] = dataclasses.field(default_factory=dict)
    # {path in the tracker: file}
    files: Mapping[str, epath.Path] = dataclasses.field(default_factory=dict)
    is_over: bool = False
    has_failed: bool = False
    is_training: bool = False
    is_chosen: bool = False  # the training of the model of [export]

    @classmethod
    def of_workdir(cls, path: epath.Path, config: Config) -> "FoundRun":
        """All of the workdir `path`."""
        settings = functools.partial(_settings, path)
        return cls(folder="", name=config.name, settings=settings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Fate:
    """The end of a run, as far as the whole that it is a part of knows it."""

    is_over: bool = False
    has_failed: bool = False
    summary: Mapping[str, float] = dataclasses.field(default_factory=dict)


def find_runs(
    path: epath.Path,
    config: Config,
    *,
    is_settled: Callable[[str], bool] = lambda folder: False,
) -> Iterator[FoundRun]:
    """All in the workdir `path`: what others are a part of before these.

    Cells whose folder `is_settled` are not looked into.

    Raises:
      ReportError, StorageError, ConfigError: a file is damaged.
    """
    names = files.names_in(path)
    if workdir.CONFIG not in names:
        return
    groups = sorted(names.intersection(_GROUPS))
    if not groups:
        yield from _find_single(path, config)
        return
    fates = _fates(path)
    waiting = [fate for fate in fates.values() if not fate.is_over]
    yield dataclasses.replace(
        FoundRun.of_workdir(path, config),
        files={name: path / name for name in groups} | _drawn(path),
        is_over=bool(fates) and not waiting,
    )
    # Of the teacher, which the cells share.
    yield from _find_trainings(path, config, folder="", is_over=False)
    for cell in sorted(files.names_in(path / workdir.CELLS)):
        own = path / workdir.CELLS / cell
        folder = f"{workdir.CELLS}/{cell}"
        if not is_settled(folder) and files.exists(own / workdir.CONFIG):
            run = FoundRun(
                folder=folder,
                parent="",
                name=cell,
                settings=functools.partial(_settings, own),
            )
            yield from _find_run(own, config, run, fates.get(cell, _Fate()))


def _find_single(path: epath.Path, config: Config) -> Iterator[FoundRun]:
    """A run that has no cells, with the training that it exports."""
    seed = config.export.seed
    seed = config.seeds[0] if seed == -1 else seed
    chosen = workdir.training_folder(path, config.export.role, seed)
    for run in _find_run(path, config, FoundRun.of_workdir(path, config), _Fate()):
        yield dataclasses.replace(run, is_chosen=path / run.folder == chosen)


def _find_run(
    path: epath.Path, config: Config, run: FoundRun, fate: _Fate
) -> Iterator[FoundRun]:
    """The run in a folder, whose trainings follow."""
    names = files.names_in(path)
    has_failed = fate.has_failed or workdir.DIVERGED in names
    is_over = fate.is_over or has_failed or workdir.RESULTS in names
    told = (workdir.CONFIG, workdir.RESULTS, workdir.CROSSVAL_RESULTS)
    measured = _summary(path) if workdir.RESULTS in names else {}
    yield dataclasses.replace(
        run,
        summary={**fate.summary, **measured},
        files={
            **{each: path / each for each in told if each in names},
            **_drawn(path),
            **_exported(path),
        },
        is_over=is_over,
        has_failed=has_failed,
    )
    yield from _find_trainings(path, config, folder=run.folder, is_over=is_over)


def _find_trainings(
    path: epath.Path, config: Config, *, folder: str, is_over: bool
) -> Iterator[FoundRun]:
    """The trainings of the run in `folder`; where that `is_over` none goes on."""
    for role in sorted(files.names_in(path).intersection(workdir.ROLES)):
        for own in (path / role, *sorted(_folders_in(path / role))):
            names = files.names_in(own)
            if workdir.METRICS not in names:
                continue
            place = str(own).removeprefix(f"{path}/")
            is_whole = workdir.FINISHED in names
            told = {"role": role, "part": place.partition("/")[2]}
            is_sent = is_whole and role in config.tracking.models
            yield FoundRun(
                folder=f"{folder}/{place}".strip("/"),
                parent=folder,
                name=re.sub("[-_/]", " ", place),
                settings=functools.partial(dict, told),
                lines=_reader(own, is_over=is_over or is_whole),
                files=_model(own) if is_sent else {},
                is_over=is_over or is_whole,
                has_failed=is_over and not is_whole,
                is_training=True,
            )


def _fates(path: epath.Path) -> dict[str, _Fate]:
    """The fates of the cells of a study or of the trials of a sweep."""
    # Loads NumPy, which no run needs that is not tracked.
    from trainer import report

    if files.exists(path / workdir.STUDY):
        return {
            cell["name"]: _Fate(is_over=cell["status"] != "waiting")
            for cell in report.read_study(path)["cells"]
        }
    if not files.exists(path / workdir.SWEEP):
        return {}
    sweep = report.read_sweep(path)
    return {
        trial["cell"]: _Fate(
            is_over=trial["status"] not in ("running", "waiting"),
            has_failed=trial["status"] in ("diverged", "failed", "refused"),
            summary={f"trial/{sweep['metric']}": trial["value"]}
            if trial["value"] is not None
            else {},
        )
        for trial in sweep["trials"]
    }


def _folders_in(folder: epath.Path) -> list[epath.Path]:
    """The folders of seeds and members."""
    names = files.names_in(folder)
    return [folder / name for name in names if name.startswith(("seed-", "member-"))]


def _reader(folder: epath.Path, *, is_over: bool) -> Callable[[], list[Line]]:
    """Reads the lines up to a checkpoint: later ones go when a run is killed."""

    def read() -> list[Line]:
        names = files.names_in(folder / workdir.CHECKPOINTS)
        steps = [int(found[1]) for found in map(_STEP.fullmatch, names) if found]
        lines: list[Line] = []
        for line in read_metrics(folder / workdir.METRICS):
            step = line.pop("step")
            if is_over or step <= max(steps, default=0):
                lines.append((step, line))
        return lines

    return read


def _settings(path: epath.Path) -> dict[str, Any]:
    """Every setting of a run but for where it is sent."""
    kept = flatten(dict(workdir.read_config(path)))
    return {
        name: value
        for name, value in kept.items()
        if not name.startswith("tracking.") and value is not None
    }


def _summary(path: epath.Path) -> dict[str, float]:
    """The numbers of the test split: means over seeds, and the gain."""
    from trainer import report

    results = report.read_results(path)
    found: dict[str, Any] = {}
    for role, entry in results["models"].items():
        found[f"{role}/parameters"] = entry["parameters"]
        found |= {f"{role}/test/{name}": v for name, v in entry["mean"].items()}
        found |= {f"{role}/test/{name}_std": v for name, v in entry["std"].items()}
    gain = (results.get("gain") or {}).get("errors") or {}
    found |= {f"gain/errors/{name}": v for name, v in gain.items()}
    return {name: float(v) for name, v in found.items() if isinstance(v, int | float)}


def _drawn(path: epath.Path) -> dict[str, epath.Path]:
    """The page and its figures."""
    folder = (path / workdir.REPORT).parent
    return {
        f"{folder.name}/{name}": folder / name
        for name in sorted(files.names_in(folder))
        if name.endswith((".html", ".png")) and not name.startswith(".")
    }


def _exported(path: epath.Path) -> dict[str, epath.Path]:
    """The model in other formats, once all are written."""
    if not files.exists(path / workdir.EXPORTED):
        return {}
    folder = path / workdir.EXPORT
    found = {str(file).removeprefix(f"{path}/"): file for file in files.walk(folder)}
    return {name: file for name, file in found.items() if "/." not in name}


def _model(folder: epath.Path) -> dict[str, epath.Path]:
    """The selected model, and the file that tells its classes."""
    names = (workdir.FINISHED, f"classes.{workdir.FINISHED}.json")
    known = files.names_in(folder)
    return {f"model/{name}": folder / name for name in names if name in known}
