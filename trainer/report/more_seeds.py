"""The way to more seeds of a run, where its verdict asks for some."""

import shlex
from typing import Any

from etils import epath

from trainer.report import inputs, reproduction, siblings, verdict
from trainer.storage import files
from trainer.storage.workdir import CONFIG


def way(results: dict[str, Any], workdir: epath.Path, *, named: str = "") -> str:
    """The command, or the call, that trains the missing seeds of the run in `workdir`.

    A page, which is the same wherever it is drawn, has the folder `named` otherwise.
    "" where none are missing, or where it is one of many that are not for that.
    """
    seeds = verdict.enough_seeds(results)
    if not seeds:
        return ""
    setting = f"--set='seeds={seeds}'"
    if siblings.is_of_study(workdir):
        return f"the command of the study with {setting}"
    if siblings.is_cell(workdir):
        return ""
    if _is_of_objects(workdir):
        is_range = seeds == list(range(len(seeds)))
        given = f"range({len(seeds)})" if is_range else str(seeds)
        return f"the same call with seeds={given}"
    folder = shlex.quote(named or str(workdir))
    return f"python -m trainer run --workdir={folder} {setting}"


def _is_of_objects(workdir: epath.Path) -> bool:
    """Whether the config in `workdir` does not say all of the run."""
    is_there = files.exists(workdir / CONFIG)
    return is_there and reproduction.is_of_objects(inputs.read_config(workdir))
