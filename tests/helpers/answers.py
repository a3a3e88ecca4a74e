"""Answers in caches of soft targets, as another framework would write them in files."""

import pathlib

import numpy as np
import pyarrow
import pyarrow.parquet

from tests.helpers import cached_runs, caches
from trainer import soft_targets
from trainer.session import Session

NAMES = [str(i) for i in range(cached_runs.NUM_CLASSES)]
REVERSED = NAMES[::-1]


def of_cache(opened: Session, view: int, ids: np.ndarray) -> dict[str, np.ndarray]:
    """The records of a run's first cache for some ids of a view, by their fields."""
    folder = pathlib.Path(opened.path) / "soft_targets" / "train"
    records = caches.records(folder, view, soft_targets.read(folder).format.record)
    assert (records["id"] == np.arange(len(records))).all()
    found = records[ids]
    return {"id": ids, **{name: found[name] for name in found.dtype.names[1:]}}


def write_npz(path: pathlib.Path, **arrays: np.ndarray) -> None:
    """Writes answers over the classes of the set of dots, unless they are said."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{"class_names": np.array(NAMES), **arrays})


def write_parquet(path: pathlib.Path, **arrays: np.ndarray) -> None:
    """The same in Parquet, whose names of classes stand in a text beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: list(x) for name, x in arrays.items()}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    (path.parent / "class_names.txt").write_text("\n".join(NAMES))


def settings(folder: pathlib.Path) -> tuple[str, ...]:
    """The settings of a run that imports the answers in a folder."""
    return (
        f"distill.soft_targets_dir='{folder}'",
        "distill.soft_targets='imported'",
        "distill.min_accuracy=0.0",
    )
