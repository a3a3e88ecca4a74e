"""The gallery of test examples on which the models of a run differ."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from trainer.evaluation import disagreements
from trainer.evaluation.calibration import softmax
from trainer.report.colours import slots
from trainer.report.inputs import Inputs
from trainer.report.pixels import data_address
from trainer.report.section import Section

_TITLES = {
    disagreements.RESCUED: (
        "Rescued by the teacher",
        "The student is right, and the same network without a teacher is wrong.",
    ),
    disagreements.LOST: (
        "Lost by distillation",
        "The network without a teacher is right, and the student is wrong.",
    ),
    disagreements.TEACHER_ONLY: (
        "Only the teacher knows",
        "Neither student nor baseline has learned it.",
    ),
    disagreements.NOBODY: (
        "Nobody knows",
        "All are wrong: the hardest examples, or wrong labels.",
    ),
}
_MOST_CLASSES, _MOST_FEATURES = 4, 5  # of a tile


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bars:
    """The probabilities of a class, one a model."""

    name: str
    is_true: bool
    shares: tuple[tuple[int, float, str], ...]  # slot, probability, what it is


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tile:
    """One test example."""

    title: str
    image: str  # its address; "" where none was kept
    label: str  # the number of its row
    features: str  # the first of a row of a table
    more_features: str
    bars: tuple[Bars, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """Examples of one kind, the most telling first."""

    title: str
    note: str
    count: int
    tiles: tuple[Tile, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gallery:
    """All kinds, and whose colours their bars have."""

    models: tuple[tuple[str, int], ...]
    groups: tuple[Group, ...]


def section(found: Inputs) -> Iterator[Section]:
    """The gallery's part of a page; none where no student has a baseline."""
    predictions = found.predictions
    rows = disagreements.disagreements(predictions.logits, predictions.labels)
    if not rows:
        return
    colours = slots(predictions.logits)
    names = disagreements.compared(predictions.logits)
    models = tuple((name, colours[name]) for name in names)
    groups = tuple(
        Group(
            title=_TITLES[kind][0],
            note=_TITLES[kind][1],
            count=len(which),
            tiles=tuple(_tile(found, models, row) for row in which[: _shown(found)]),
        )
        for kind, which in rows.items()
    )
    yield Section(
        name="differences",
        title="Where they differ",
        part="gallery",
        content=Gallery(models=models, groups=groups),
        note="Bars are the probabilities of the true class and of the models' own "
        "choices. First seed, selected checkpoint.",
    )


def _shown(found: Inputs) -> int:
    """The tiles of a group; examples of which only the number is known tell less."""
    is_seen = found.thumbnails or found.rows
    return disagreements.MOST if is_seen else disagreements.MOST // 2


def _tile(found: Inputs, models: tuple[tuple[str, int], ...], row: int) -> Tile:
    predictions = found.predictions
    probs = {name: softmax(predictions.logits[name][row]) for name, _ in models}
    true = int(predictions.labels[row])
    classes = dict.fromkeys([true, *(int(p.argmax()) for p in probs.values())])
    classes |= dict.fromkeys(map(int, np.argsort(-sum(probs.values()))[:_MOST_CLASSES]))
    names = predictions.class_names
    bars = tuple(
        Bars(
            name=names[index],
            is_true=index == true,
            shares=tuple(
                (
                    slot,
                    float(probs[name][index]),
                    _tip(name, names[index], probs, index),
                )
                for name, slot in models
            ),
        )
        for index in list(classes)[:_MOST_CLASSES]
    )
    image = found.thumbnails.get(row)
    features = [
        f"{name} {value:.4g}" for name, value in found.rows.get(row, {}).items()
    ]
    return Tile(
        title=f"true: {names[true]}",
        image="" if image is None else data_address(image),
        label=f"test example {row}",
        features=", ".join(features[:_MOST_FEATURES]),
        more_features=", ".join(features[_MOST_FEATURES:]),
        bars=bars,
    )


def _tip(name: str, class_name: str, probs: dict[str, np.ndarray], index: int) -> str:
    return f"{name}: {class_name} {100 * probs[name][index]:.1f} %"
