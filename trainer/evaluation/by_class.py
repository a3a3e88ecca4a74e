"""Metrics in which each class counts alike, in NumPy.

Shapes: M = examples, C = classes.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassCounts:
    """Examples by their classes, each int64 [C]."""

    right: np.ndarray  # of the class, and predicted as it
    of_class: np.ndarray
    predicted: np.ndarray  # as the class

    @classmethod
    def of(cls, logits: np.ndarray, labels: np.ndarray) -> "ClassCounts":
        """The counts of predictions: [M, C], int [M]."""
        num_classes, predicted = logits.shape[1], logits.argmax(axis=1)
        return cls(
            right=np.bincount(labels[predicted == labels], minlength=num_classes),
            of_class=np.bincount(labels, minlength=num_classes),
            predicted=np.bincount(predicted, minlength=num_classes),
        )

    @property
    def recall(self) -> np.ndarray:
        """The share of each class's examples that is found; NaN of none: [C]."""
        return _ratio(self.right, self.of_class)

    @property
    def precision(self) -> np.ndarray:
        """The share of what is predicted as each class that is of it; NaN of none."""
        return _ratio(self.right, self.predicted)

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that have examples."""
        return float(np.nanmean(self.recall))

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that are there or predicted.

        F1 is 2 precision recall / (precision + recall), and 0 where nothing is right.
        """
        return float(np.nanmean(_ratio(2 * self.right, self.of_class + self.predicted)))


def auc(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """Area under the ROC curve of two classes: [M, 2], int [M]; None of one class.

    It is the share of the pairs of an example of each class of which the one of class 1
    has the higher probability of it; equals count half (Mann and Whitney, 1947).
    """
    is_second = labels == 1
    num_second, num_first = int(is_second.sum()), int((~is_second).sum())
    if not (num_first and num_second):
        return None
    # As the probabilities order them, but not rounded to 0 and 1.
    scores = logits[:, 1].astype(np.float64) - logits[:, 0]
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]  # from 1; of equals the mean
    above = ranks[is_second].sum() - num_second * (num_second + 1) / 2
    return float(above / (num_first * num_second))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of none
        ratio: np.ndarray = part / whole
    return ratio
