"""The teacher's knowledge beyond its first choice, as bars of a page."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from trainer.report import inputs, loss_settings, tempered
from trainer.report.inputs import Inputs
from trainer.report.pixels import data_address
from trainer.report.section import Section

_OF_MEMBERS = (
    " Shown is the members' average at T = 1, tempered; the student learns from their "
    "average at the run's T."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bar:
    """The probability of a class."""

    name: str
    share: float
    text: str
    is_true: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heat:
    """The probabilities at one temperature."""

    text: str
    is_own: bool
    bars: tuple[Bar, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Known:
    """A test image, and what the teacher makes of it."""

    image: str
    name: str
    heats: tuple[Heat, ...]


def own_temperature(found: Inputs) -> float | None:
    """The temperature of the run's first term."""
    terms = loss_settings.terms(found.config)
    if terms:
        return float(terms[0]["temperature"])
    own = inputs.setting(found.config, "distill", "temperature")
    return None if own is None else float(own)


def section(found: Inputs, *, most: int) -> Iterator[Section]:
    """The part of a page about as many images; none without images."""
    predictions = found.predictions
    rows = predictions.example_rows[:most]
    if not len(rows):
        return
    teacher = next(iter(predictions.logits))
    yield Section(
        name="dark-knowledge",
        title="Dark knowledge",
        part="dark",
        content=[
            _known(found, teacher, int(row), image)
            for row, image in zip(rows, predictions.example_images, strict=False)
        ],
        note=f"What the {teacher} predicts for test images, at rising temperature T. "
        "Classes stay in the same order; the true one is the dark bar. At T = 1 the "
        "first choices hide the rest; a higher T lifts the small probabilities that "
        "tell which classes resemble each other, and they are what the student learns "
        "beside the label; far too high, all classes look alike."
        + (_OF_MEMBERS if "member" in predictions.logits else ""),
    )


def _known(found: Inputs, teacher: str, row: int, image: np.ndarray) -> Known:
    predictions = found.predictions
    logits, label = predictions.logits[teacher][row], int(predictions.labels[row])
    order = np.argsort(-logits, kind="stable")
    names = tempered.bar_names(order, predictions.class_names)
    is_true = tempered.bar_is_true(order, label)
    own = own_temperature(found)
    return Known(
        image=data_address(image),
        name=predictions.class_names[label],
        heats=tuple(
            Heat(
                text=f"{heat:g}",
                is_own=own is not None and heat == own,
                bars=tuple(
                    Bar(
                        name=name,
                        share=float(share),
                        text=tempered.percent(float(share)),
                        is_true=bool(truth),
                    )
                    for name, share, truth in zip(
                        names,
                        tempered.bar_probabilities(logits[order], heat),
                        is_true,
                        strict=True,
                    )
                ),
            )
            for heat in tempered.temperatures(own)
        ),
    )
