"""Probabilities of a few examples at rising temperatures, as bars of the top classes.

Shapes: C = classes, N = bars of an example.
"""

from collections.abc import Sequence

import numpy as np

from trainer.evaluation.calibration import softmax

TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 20.0)
NUM_CLASSES = 10  # shown by name; the others share one bar


def temperatures(own: float | None) -> list[float]:
    """The temperatures that are shown, the run's `own` among them."""
    return sorted({*TEMPERATURES, *((float(own),) if own else ())})


def bar_names(order: np.ndarray, class_names: Sequence[str]) -> list[str]:
    """Names of the N bars: the first classes of `order`, then the others."""
    names = [class_names[index] for index in order[:NUM_CLASSES]]
    num_others = len(order) - len(names)
    return [*names, f"{num_others} others"] if num_others else names


def bar_is_true(order: np.ndarray, label: int) -> np.ndarray:
    """Marks the bar of the true class among the N bars: bool [N]."""
    is_true: np.ndarray = order[: NUM_CLASSES + 1] == label
    # The bar of the others is no class, even where it holds the true one.
    is_true[NUM_CLASSES:] = False
    return is_true


def bar_probabilities(ordered_logits: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities of the N bars, from logits [C] in falling order."""
    probs = softmax(ordered_logits, temperature=temperature)
    if len(probs) <= NUM_CLASSES:
        return probs
    return np.append(probs[:NUM_CLASSES], probs[NUM_CLASSES:].sum())


def percent(share: float) -> str:
    """A probability as text, of a small one its first digits."""
    number = 100 * share
    if number < 0.01:
        return "<0.01%"
    digits = 0 if number >= 9.95 else 1 if number >= 0.995 else 2
    return f"{number:.{digits}f}%"
