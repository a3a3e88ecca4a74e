"""The picture of what a teacher knows beyond its first choice.

Shapes: K = examples shown, C = classes, H W = image, N = bars of a row.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.report import tempered
from trainer.report.colours import PALETTE
from trainer.report.figures import FAINT, INK, Figure, plain
from trainer.report.tempered import NUM_CLASSES

BAR_INCHES, MARGIN_INCHES, HEADER_INCHES = 0.155, 0.36, 0.45
NAME_INCHES, WIDTH_INCHES = 0.085, 11
TEACHER, PALE, OTHERS, MARKED = PALETTE[0], "#9cc3df", "#c9ced4", "#eef4fa"


def dark_knowledge(
    images: np.ndarray,
    logits: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    temperature: float | None = None,
) -> Figure:
    """Draws the teacher's probabilities: a row an example, a panel a temperature.

    A temperature lifts the small probabilities that tell which classes resemble each
    other (Hinton et al., Distilling the Knowledge in a Neural Network, 2015). A row's
    classes are in the teacher's order; past the tenth they share one bar.

    Args:
      images: uint8 [K, H, W, 1 or 3].
      logits: the teacher's, float [K, C].
      labels: int [K], the true classes.
      class_names: C names.
      temperature: the run's, joined to 1, 2, 4, 8, 20 and marked; None marks none.

    Raises:
      ValueError: there is no example.
    """
    if not len(images):
        raise ValueError("dark_knowledge needs at least one example, got none")
    temperatures = tempered.temperatures(temperature)
    orders = np.argsort(-logits, axis=-1, kind="stable")
    names = [_names(order, class_names) for order in orders]
    drawing, panels = _grid(names, temperatures)
    for i, (picture, *row) in enumerate(panels):
        _draw_image(picture, images[i], class_names[labels[i]])
        is_true = tempered.bar_is_true(orders[i], labels[i])
        for axes, heat in zip(row, temperatures, strict=True):
            probs = tempered.bar_probabilities(logits[i][orders[i]], heat)
            _draw_bars(axes, probs, is_true)
        _name_bars(row[0], names[i], is_true)
    if temperature:
        _mark(panels[:, 1 + temperatures.index(temperature)])
    return drawing


def _names(order: np.ndarray, class_names: Sequence[str]) -> list[str]:
    return [plain(name, width=16) for name in tempered.bar_names(order, class_names)]


def _mark(column: np.ndarray) -> None:
    for axes in column:
        axes.set_facecolor(MARKED)
    title = column[0].title
    title.set(text=f"{title.get_text()}\nthis run", color=TEACHER, weight="bold")


def _grid(
    names: list[list[str]], temperatures: Sequence[float]
) -> tuple[Figure, np.ndarray]:
    """Axes [K, 1 + temperatures]; the first column holds image and class names."""
    num_temperatures = len(temperatures)
    row_inches = max(BAR_INCHES * len(names[0]), 1.0)
    height = len(names) * (row_inches + MARGIN_INCHES) + HEADER_INCHES
    longest = max(len(name) for row in names for name in row)
    first_column = min(row_inches, 1.7) + NAME_INCHES * longest + 0.3
    panel = (WIDTH_INCHES - first_column) / num_temperatures
    drawing = Figure(figsize=(WIDTH_INCHES, height))
    panels = drawing.subplots(
        len(names),
        1 + num_temperatures,
        squeeze=False,
        gridspec_kw={
            "left": 0.01,
            "right": 0.99,
            "top": 1 - HEADER_INCHES / height,
            "bottom": 0.5 * MARGIN_INCHES / height,
            "wspace": 0.08,
            "hspace": MARGIN_INCHES / row_inches,
            "width_ratios": (first_column, *(panel,) * num_temperatures),
        },
    )
    for axes, temperature in zip(panels[0, 1:], temperatures, strict=True):
        axes.set_title(f"T = {temperature:g}", fontsize=9, color=INK)
    return drawing, panels


def _draw_image(axes: Any, image: np.ndarray, true_name: str) -> None:
    axes.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray")
    axes.set_title(
        f"true: {plain(true_name)}", fontsize=8, color=TEACHER, loc="left", pad=3
    )
    axes.set_anchor("NW")
    axes.set_axis_off()


def _name_bars(axes: Any, names: list[str], is_true: np.ndarray) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=7.5, color=INK)
    axes.tick_params(labelleft=True)
    for label in np.array(axes.get_yticklabels())[np.flatnonzero(is_true)]:
        label.set(color=TEACHER, weight="bold")


def _draw_bars(axes: Any, probs: np.ndarray, is_true: np.ndarray) -> None:
    places = np.arange(len(probs))
    colours = np.where(is_true, TEACHER, PALE)
    colours[NUM_CLASSES:] = OTHERS
    axes.barh(places, probs, height=0.78, color=colours)
    for place, prob, colour in zip(places, probs, colours, strict=True):
        is_long = prob > 0.6  # the number goes inside the bar
        axes.text(
            prob - 0.02 if is_long else prob + 0.02,
            place,
            tempered.percent(prob),
            size=6.5,
            color="white" if is_long and colour == TEACHER else INK,
            ha="right" if is_long else "left",
            va="center_baseline",
        )
    axes.set(xlim=(0, 1), ylim=(len(probs) - 0.4, -0.6), xticks=[])
    axes.tick_params(left=False, labelleft=False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(FAINT)
