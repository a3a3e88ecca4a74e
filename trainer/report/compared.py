"""Results of finished runs, read from their workdirs for a comparison."""

import collections
import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from etils import epath

from trainer.report import image_view
from trainer.report.inputs import (
    History,
    read_config,
    read_histories,
    read_results,
    setting,
)
from trainer.report.problems import ReportError
from trainer.storage import files
from trainer.storage.kinds import KINDS
from trainer.storage.workdir import CELLS, CONFIG, RESULTS

# What a workdir may hold instead of one run, whose cells are runs.
_OF_CELLS = {name: what for name, what in KINDS.items() if name != RESULTS}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run beside others."""

    path: epath.Path  # its workdir
    label: str  # its name; with its folder where others have the same
    config: dict[str, Any]
    models: dict[str, Any]
    gain: dict[str, Any] | None
    curves: list[History]  # of its students, one a seed

    @property
    def tested_on(self) -> str:
        """The test split, by which errors of runs can be compared."""
        dataset, split = (
            setting(self.config, "data", key) for key in ("dataset", "test_split")
        )
        examples = int(next(iter(self.models.values()))["mean"]["examples"])
        about = [
            f"{examples:,} examples",
            *filter(None, [image_view.text(self.config)]),
        ]
        return f"{dataset}, {split} ({', '.join(about)})"


def read(paths: Sequence[epath.Path], out: epath.Path) -> list[Run]:
    """The runs in the workdirs `paths`, in that order, for a page in `out`.

    Raises:
      ReportError: there are fewer than two, one is given twice or not finished, or
        `out` holds a run of its own.
    """
    _check(paths, out)
    found = [(path, read_config(path), read_results(path)) for path in paths]
    names = [str(results.get("name", "run")) for _, _, results in found]
    counts = collections.Counter(names)
    return [
        Run(
            path=path,
            label=name if counts[name] == 1 else f"{name} ({path})",
            config=config,
            models=results["models"],
            gain=(results.get("gain") or {}).get("errors"),
            curves=read_histories(path / "student"),
        )
        for name, (path, config, results) in zip(names, found, strict=True)
    ]


def note(runs: Sequence[Run]) -> str:
    """A warning about runs tested on different data; "" on the same."""
    tested = dict.fromkeys(run.tested_on for run in runs)
    if len(tested) == 1:
        return ""
    return (
        f"The runs are tested on different data: {'; '.join(tested)}. Errors and "
        "accuracies on different test sets are not comparable."
    )


def _check(paths: Sequence[epath.Path], out: epath.Path) -> None:
    if len(paths) < 2:
        raise ReportError(
            f"report must name two workdirs or more to compare, got {paths[0]} alone; "
            "for the page of one run leave it out, and give --config and --workdir"
        )
    places = [_place(path) for path in paths]
    for path, place in zip(paths, places, strict=True):
        if places.count(place) > 1:
            raise ReportError(
                f"each workdir must be named once, got {path} twice; leave one out"
            )
        held = [what for name, what in _OF_CELLS.items() if files.exists(path / name)]
        if held and not files.exists(path / RESULTS):
            raise ReportError(
                f"{path} must hold a finished run, got {held[0]}; name runs of it: "
                f"{path / CELLS}/NAME"
            )
    if _place(out) in places or any(
        files.exists(out / name) for name in (CONFIG, *KINDS)
    ):
        raise ReportError(
            f"--workdir must be a folder of the comparison's own, got {out}, which "
            "holds a run, whose page would be lost; choose another"
        )


def _place(path: epath.Path) -> str:
    # By whatever links it is reached.
    return str(path) if files.is_remote(path) else os.path.realpath(path)
