"""The losses of a study side by side: gains over the baseline and over `kl`.

All cells share the baselines, so that a gain over `kl` is a difference of two gains,
seed by seed.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.figure import Figure

from trainer import config
from trainer.report.amounts import gain_interval, value
from trainer.report.colours import PALETTE
from trainer.report.figures import FAINT, INK, plain, style

AXIS = "distill.terms"

Json = dict[str, Any]


def is_of_losses(study: Json) -> bool:
    """Whether the cells of a study differ by their loss alone."""
    return list(study["grid"]) == [AXIS]


def lines(study: Json, trials: Json) -> Iterator[str]:
    """The table in Markdown; `trials` are those of tune_losses."""
    yield _row("Loss", "Trials", "Gain over the baseline", "95 %", "Gain over `kl`")
    yield _row(*["---"] * 5)
    reference = _per_seed(study["cells"][0])
    counts = [len(tried) for tried in trials["losses"]]
    for cell, count in zip(study["cells"], counts, strict=True):
        gains = _per_seed(cell)
        low, high = gain_interval(cell["gain"]["errors"]) or (math.nan, math.nan)
        beside = _mean([a - b for a, b in zip(gains, reference, strict=True)])
        told = beside if cell is not study["cells"][0] else "-"
        interval = f"{low:.1f} to {high:.1f}"
        yield _row(_name(cell), str(count), _mean(gains), interval, told)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def figure(study: Json) -> Figure:
    """The gain over the baseline of each loss, with its 95 % interval."""
    cells = sorted(study["cells"], key=lambda cell: statistics.fmean(_per_seed(cell)))
    drawing = Figure(figsize=(8.4, 1.4 + 0.34 * len(cells)), layout="constrained")
    axes = drawing.subplots()
    places = range(len(cells))
    means = [statistics.fmean(_per_seed(cell)) for cell in cells]
    lows = [
        mean - (gain_interval(cell["gain"]["errors"]) or (mean, mean))[0]
        for mean, cell in zip(means, cells, strict=True)
    ]
    axes.axvline(0, color=FAINT, linewidth=1)
    axes.errorbar(means, places, xerr=lows, fmt="o", color=PALETTE[0], ecolor=INK)
    style(
        axes,
        title="Gain over the baseline, with its 95 % interval over seeds",
        x="test errors saved (more: better)",
    )
    axes.set_yticks(list(places), [plain(_name(cell), width=48) for cell in cells])
    return drawing


def _name(cell: Json) -> str:
    return config.value_text(cell["settings"][AXIS])


def _per_seed(cell: Json) -> list[float]:
    return list(cell["gain"]["errors"]["per_seed"])


def _mean(gains: Sequence[float]) -> str:
    error = statistics.stdev(gains) / math.sqrt(len(gains))
    return value(statistics.fmean(gains), error, digits=1)
