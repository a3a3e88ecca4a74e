"""Differences between the predictions of a cache and those given again."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from trainer.config import EMBEDDING
from trainer.soft_targets import Manifest

# Of the largest logit. Half a unit in the last place of float16 is 2**-11 of it; other
# devices and batches round the sums in a network of float32 by less than the rest. With
# 8 bits of mantissa, as bfloat16 has, they round by more.
FLOAT32_TOLERANCE = 2**-9
MIXED_TOLERANCE = 2**-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Differences:
    """Between the predictions of a cache and those that the teacher gives now."""

    num_predictions: int
    largest: float  # absolute error of a logit
    mean: float
    same_top: float  # share of predictions with the same largest logit
    tolerance: float  # of the largest error
    largest_embedding: float  # absolute error of a value of an embedding; 0: none there
    embedding_tolerance: float

    @property
    def are_small(self) -> bool:
        """Whether rounding explains them."""
        return (
            self.largest <= self.tolerance
            and self.largest_embedding <= self.embedding_tolerance
        )

    @property
    def text(self) -> str:
        """Both of them and what is tolerated, as people read them."""
        embedding = ""
        if self.embedding_tolerance:
            embedding = (
                f"; of a value of the embedding it is {self.largest_embedding:.3g} (at "
                f"most {self.embedding_tolerance:.3g})"
            )
        return (
            f"of {self.num_predictions} asked again the largest error of a logit is "
            f"{self.largest:.3g} (at most {self.tolerance:.3g} is rounding), the mean "
            f"{self.mean:.3g}, the same class comes first in "
            f"{100 * self.same_top:.2f} %{embedding}"
        )


def compare(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    manifest: Manifest,
    *,
    tolerance: float,
) -> Differences:
    """Compares records of a cache with those of the same examples given again.

    The `tolerance` is relative to the largest number. There has to be a record.
    """
    count, total, same, error, largest = 0, 0.0, 0, 0.0, 1.0
    embedding_error, largest_value = 0.0, 1.0
    for kept, again in pairs:
        before, now = (_logits(records, manifest) for records in (kept, again))
        errors = np.abs(before - now)
        count += len(errors)
        total += float(errors.mean(axis=1).sum())
        same += int((_first(before, manifest) == _first(now, manifest)).sum())
        error = max(error, float(errors.max()))
        largest = max(largest, float(np.abs(before).max()))
        if manifest.embedding:
            values, anew = (x[EMBEDDING].astype(np.float64) for x in (kept, again))
            embedding_error = max(embedding_error, float(np.abs(values - anew).max()))
            largest_value = max(largest_value, float(np.abs(values).max()))
    return Differences(
        num_predictions=count,
        largest=error,
        mean=total / count,
        same_top=same / count,
        tolerance=tolerance * largest,
        largest_embedding=embedding_error,
        embedding_tolerance=tolerance * largest_value if manifest.embedding else 0.0,
    )


def _logits(records: np.ndarray, manifest: Manifest) -> np.ndarray:
    """All that they keep of the logits, in float64: [M, C], of the top k [M, C + T].

    There the classes that are not kept stand at the last that is, beside which one
    may stand by rounding.
    """
    logits = records["logits"].astype(np.float64)
    if not manifest.top_k:
        return logits
    every = np.repeat(logits[:, -1:], len(manifest.class_names), axis=1)
    np.put_along_axis(every, records["classes"].astype(int), logits, axis=1)
    return np.concatenate([every, records["tails"].astype(np.float64)], axis=1)


def _first(logits: np.ndarray, manifest: Manifest) -> np.ndarray:
    """The class of the largest logit: int [M]."""
    largest: np.ndarray = logits[:, : len(manifest.class_names)].argmax(axis=1)
    return largest
