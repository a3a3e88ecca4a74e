"""Probabilities and their calibration, in NumPy.

Shapes: M = examples, C = classes.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReliabilityBins:
    """Equal-width bins of the confidence; means are NaN where a bin is empty."""

    edges: np.ndarray  # [num_bins + 1], from 0 to 1
    confidence: np.ndarray  # [num_bins], mean confidence of the bin's examples
    accuracy: np.ndarray  # [num_bins], share of the bin's examples that are right
    count: np.ndarray  # int [num_bins], examples in the bin
    ece: float  # expected calibration error, from 0 to 1


def softmax(logits: np.ndarray, *, temperature: float = 1.0) -> np.ndarray:
    """Probabilities of `logits / temperature`: float [..., C] -> float64 [..., C]."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    probs: np.ndarray = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probs


def reliability_bins(
    logits: np.ndarray, labels: np.ndarray, *, num_bins: int = 15
) -> ReliabilityBins:
    """Accuracy against confidence in equal-width bins: [M, C], int [M] -> [num_bins].

    The confidence is the highest probability; a bin holds its upper edge and not its
    lower one. ECE = sum over bins of count / M * |accuracy - confidence|
    (Guo et al., On Calibration of Modern Neural Networks, 2017).

    Raises:
      ValueError: there is no example.
    """
    if not len(labels):
        raise ValueError("reliability needs at least one example, got none")
    confidence = softmax(logits).max(axis=-1)
    is_right = logits.argmax(axis=-1) == labels
    edges = np.linspace(0, 1, num_bins + 1)
    bin_of_example = np.digitize(confidence, edges[1:-1], right=True)
    count = np.bincount(bin_of_example, minlength=num_bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of an empty bin
        mean_confidence = np.bincount(bin_of_example, confidence, num_bins) / count
        accuracy = np.bincount(bin_of_example, is_right, num_bins) / count
    gap = np.nan_to_num(np.abs(accuracy - mean_confidence))
    return ReliabilityBins(
        edges=edges,
        confidence=mean_confidence,
        accuracy=accuracy,
        count=count,
        ece=float(np.sum(count * gap) / len(labels)),
    )


def wilson_interval(
    successes: np.ndarray, count: np.ndarray, *, z: float = 1.96
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of a share measured as `successes / count`, at 95% by default.

    Unlike the normal approximation it stays inside 0 to 1 and keeps a width at either
    end (Wilson, 1927). Where `count` is 0 the bounds are NaN.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        share = successes / count
        centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
        spread = np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
        half = z * spread / (1 + z**2 / count)
    return centre - half, centre + half
