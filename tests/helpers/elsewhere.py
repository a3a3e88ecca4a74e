"""A run on points in a plane, whose teacher is elsewhere and answers in files."""

import csv
import pathlib

import numpy as np

from tests.helpers import configs, point_study, whole_run
from tests.helpers.devices import strategy_of
from trainer import config
from trainer.session import Session
from trainer.storage import workdir

NAMES = np.array(["in", "out"])


def write_config(folder: pathlib.Path) -> pathlib.Path:
    """The path of a config without a teacher, with its table beside it."""
    whole = point_study.write_config(folder).read_text()
    teacher = whole[whole.index("[teacher]") : whole.index("[student]")]
    study = whole[whole.index("[study.grid]") :]
    path = folder / "points.toml"
    distill = configs.IMPORTED.format(folder=folder)
    path.write_text(whole.replace(teacher, "").replace(study, distill))
    return path


def session(path: pathlib.Path, folder: pathlib.Path, *settings: str) -> Session:
    """A run in the workdir `folder`."""
    chosen = config.load(str(path), settings)
    opened = whole_run.session(chosen, folder, strategy_of(1))
    workdir.claim(opened.path, chosen)
    return opened


def logits_of(path: pathlib.Path) -> np.ndarray:
    """Logits of a teacher that knows the rule, for each row of the table: [M, 2]."""
    with open(path.parent / "points.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    side = np.array([float(row["x"]) * float(row["y"]) for row in rows])
    return 3.0 * np.stack([side, -side], axis=1)


def parts_of(opened: Session) -> dict[str, np.ndarray]:
    """The ids that each part has, which are the numbers of rows."""
    datasets = opened.datasets
    test = datasets.read(opened.config.data.test_split)
    return {
        "train": datasets.transfer.ids,
        "validation": datasets.validation.ids,
        "test": test.ids,
    }


def write_answers(
    path: pathlib.Path, opened: Session, *parts: str, name: str = "answers"
) -> pathlib.Path:
    """The folder of the answers on `parts`, or on all of them."""
    folder, logits = path.parent / name, logits_of(path)
    folder.mkdir(exist_ok=True)
    for part, ids in parts_of(opened).items():
        if not parts or part in parts:
            write(folder / f"{part}.npz", id=ids, logits=logits[ids])
    return folder


def write(path: pathlib.Path, **arrays: np.ndarray) -> None:
    """Writes a file of answers, of both classes unless said."""
    np.savez(path, **{"class_names": NAMES, **arrays})
