"""Reliability diagrams of a page: accuracy against confidence (Guo et al., 2017)."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from trainer.evaluation.calibration import reliability_bins, wilson_interval
from trainer.report.chart import Axis, Chart, plot
from trainer.report.colours import QUIET, slots
from trainer.report.inputs import display_name
from trainer.report.marks import Series

_NUM_BINS = 15


def calibration_charts(
    logits: Mapping[str, np.ndarray], labels: np.ndarray
) -> Iterator[Chart]:
    """A chart a model of `logits` [M, C]: a dot is the examples of one bin."""
    for name, slot in slots(logits).items():
        bins = reliability_bins(logits[name], labels, num_bins=_NUM_BINS)
        shown = np.flatnonzero(bins.count)
        low, high = wilson_interval(
            bins.accuracy[shown] * bins.count[shown], bins.count[shown]
        )
        places = 100 * np.stack([bins.confidence, bins.accuracy], axis=1)[shown]
        dots = Series(
            name=display_name(name),
            points=[(float(x), float(y)) for x, y in places],
            sizes=[3 + 6 * (bins.count[i] / len(labels)) ** 0.5 for i in shown],
            limits=[
                (100 * float(a), 100 * float(b)) for a, b in zip(low, high, strict=True)
            ],
            tips=[
                _tip(x, y, bins.count[i])
                for (x, y), i in zip(places, shown, strict=True)
            ],
            slot=slot,
            is_line=False,
        )
        ideal = Series(
            name="ideal",
            points=[(0.0, 0.0), (100.0, 100.0)],
            slot=QUIET,
            is_dashed=True,
            is_faint=True,
        )
        drawn = plot(
            f"{display_name(name)}: ECE {bins.ece:.4f}",
            [ideal, dots],
            x=Axis(label="confidence (%)", ends=(0.0, 100.0)),
            y=Axis(label="accuracy (%)", ends=(0.0, 100.0)),
        )
        if drawn:
            yield dataclasses.replace(drawn, legend=())


def _tip(confidence: float, accuracy: float, count: int) -> str:
    return (
        f"{count:,} examples\nconfidence {confidence:.1f} %\naccuracy {accuracy:.1f} %"
    )
