"""One number that raises, or lowers, the logits of a group of classes, in NumPy.

A student that was not shown some classes still learns of them from its teacher's
predictions, and gives them too rarely: raising their bias corrects it (Hinton, Vinyals,
Dean, Distilling the Knowledge in a Neural Network, 2015, section 3). Lowering the bias
of the shown classes by as much is the same correction.
Shapes: M = examples, C = classes.
"""

from collections.abc import Sequence

import numpy as np


def fit(logits: np.ndarray, labels: np.ndarray, *, classes: Sequence[int]) -> float:
    """The bias of `classes` with the fewest errors: float [M, C], int [M] -> nats.

    Nothing is searched: an example goes to one of `classes` as soon as the bias is
    above its threshold, its largest other logit minus its largest logit of `classes`.
    Between two thresholds nothing changes, so each interval's errors are counted. Only
    thresholds count at which the example becomes right or wrong.

    Of the intervals with the fewest errors the one nearest to 0 is taken, of two
    equally near the one above 0, and in it the middle; where it has no end, one nat
    from its only one. A threshold is never the result, for a tie would then decide.
    The bias is 0 where no interval makes fewer errors than the logits as they are,
    whose ties go to the lower class.
    """
    values = np.asarray(logits, np.float64)
    is_raised = np.isin(np.arange(values.shape[1]), classes)
    raised = np.where(is_raised, values, -np.inf)
    others = np.where(is_raised, -np.inf, values)
    # What becomes right, or wrong, where an example goes over to `classes`.
    gains = (raised.argmax(axis=1) == labels) * 1 - (others.argmax(axis=1) == labels)
    thresholds, places = np.unique(
        (others.max(axis=1) - raised.max(axis=1))[gains != 0], return_inverse=True
    )
    won = np.bincount(places, gains[gains != 0], len(thresholds))
    errors = (others.argmax(axis=1) != labels).sum() - np.cumsum([0, *won])
    if (values.argmax(axis=1) != labels).sum() <= errors.min():
        return 0.0
    return _point(np.array([-np.inf, *thresholds, np.inf]), errors == errors.min())


def _point(ends: np.ndarray, is_best: np.ndarray) -> float:
    """A point of the best of the intervals between `ends` that is nearest to 0."""
    lows, highs = ends[:-1][is_best], ends[1:][is_best]
    distances = np.maximum(np.maximum(lows, -highs), 0)
    nearest = np.flatnonzero(distances == distances.min())[-1]  # in rising order
    low, high = float(lows[nearest]), float(highs[nearest])
    if high == np.inf:
        return low + 1
    return high - 1 if low == -np.inf else (low + high) / 2


def add(logits: np.ndarray, bias: float, *, classes: Sequence[int]) -> np.ndarray:
    """`logits` with `bias` on those of `classes`: [M, C] -> float64 [M, C].

    In float64 no threshold that `fit` tells apart is lost to rounding.
    """
    corrected = np.array(logits, np.float64)
    corrected[:, list(classes)] += bias
    return corrected
