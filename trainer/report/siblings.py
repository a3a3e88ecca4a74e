"""Pages beside that of a cell: its study's or sweep's, and those of the other cells."""

import urllib.parse
from collections.abc import Iterator
from typing import Any

from etils import epath

from trainer.report.section import Link
from trainer.storage import files, seal
from trainer.storage.workdir import CELLS, REPORT, STUDY, SWEEP, WATCH

_MOST = 12
_UP = f"../../../{REPORT}"


def links(workdir: epath.Path) -> tuple[Link, ...]:
    """The pages beside that of the run in `workdir`; none where it is no cell."""
    if not is_cell(workdir):
        return ()
    return tuple(_links(workdir, workdir.parent.parent))


def is_cell(workdir: epath.Path) -> bool:
    """Whether the run in `workdir` is one of many."""
    return workdir.parent.name == CELLS


def is_of_study(workdir: epath.Path) -> bool:
    """Whether it is one of a study."""
    return is_cell(workdir) and files.exists(workdir.parent.parent / STUDY)


def _links(workdir: epath.Path, whole: epath.Path) -> Iterator[Link]:
    for name, what in ((STUDY, "study"), (SWEEP, "sweep"), (WATCH, "watch")):
        if files.exists(whole / name):
            yield Link(text=f"the whole {what}", address=_UP)
    if files.exists(whole / STUDY):
        cells = [cell["name"] for cell in _cells(whole / STUDY)]
        for name in _around(cells, workdir.name):
            is_here = name == workdir.name
            address = f"../../{urllib.parse.quote(name)}/{REPORT}"
            yield Link(text=name, address="" if is_here else address)


def _cells(path: epath.Path) -> list[dict[str, Any]]:
    """The finished and waiting cells; those that diverged have no page."""
    found = seal.parse(path.read_bytes())["cells"]
    return [cell for cell in found if cell["status"] != "diverged"]


def _around(names: list[str], name: str) -> list[str]:
    """The names nearest to one of them, in their order."""
    here = names.index(name) if name in names else 0
    first = max(0, min(here - _MOST // 2, len(names) - _MOST))
    return names[first : first + _MOST]
