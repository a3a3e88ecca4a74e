"""Parity of exported formats with the model itself.

Shapes: M = examples of a split, B = examples of a batch, C = classes.
"""

import dataclasses
import statistics
import time
from collections.abc import Mapping

import numpy as np

from trainer import data
from trainer.config import ExportConfig
from trainer.export.saved_model import Predict

EXACT = 1e-5  # of a probability, where the numbers are the same float32
_BATCH_SIZE = 256
_ROUNDS = 50  # of one example
_ENOUGH_SECS = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """Differences and speed of one format, on the test split."""

    max_difference: float  # of a probability from that of the model itself
    agreement: float  # share of examples with the same class first
    accuracy: float
    num_bytes: int
    ms_per_example: float  # median, in batches of one


def measure(
    reference: Predict,
    formats: Mapping[str, tuple[Predict, int]],
    examples: data.Examples,
) -> dict[str, Measured]:
    """Compares formats, each with its function and bytes, with the `reference`."""
    own: list[np.ndarray] = []
    found: dict[str, list[np.ndarray]] = {name: [] for name in formats}
    for first in range(0, len(examples), _BATCH_SIZE):
        last = min(first + _BATCH_SIZE, len(examples))
        inputs = examples.read(np.arange(first, last))
        own.append(reference(inputs))
        for name, (predict, _) in formats.items():
            found[name].append(predict(inputs))
    times = _latencies(
        {name: predict for name, (predict, _) in formats.items()},
        examples.read(np.arange(1)),
    )
    right = np.concatenate(own)
    results = {}
    for name, parts in found.items():
        given = np.concatenate(parts)
        results[name] = Measured(
            max_difference=float(np.abs(given - right).max()),
            agreement=float((given.argmax(1) == right.argmax(1)).mean()),
            accuracy=float((given.argmax(1) == examples.labels).mean()),
            num_bytes=formats[name][1],
            ms_per_example=times[name],
        )
    return results


def find_problems(found: Mapping[str, Measured], *, section: ExportConfig) -> list[str]:
    """Lists the problems of the formats; "model" among them is the model itself."""
    right, problems = found["model"], []
    for name, values in found.items():
        off = abs(values.accuracy - right.accuracy)
        is_lite = name.startswith("tflite_")
        setting = "int8_tolerance" if name == "tflite_int8" else "float_tolerance"
        tolerance: float = getattr(section, setting)
        # What is no number is neither.
        if is_lite and not (np.isfinite(values.max_difference) and off <= tolerance):
            problems.append(
                f"{name} must keep the test accuracy {right.accuracy:.2%} within "
                f"{tolerance:.2%}, got {values.accuracy:.2%}; leave it out of "
                f"export.formats, or raise export.{setting}"
            )
        elif not is_lite and not values.max_difference <= EXACT:
            problems.append(
                f"{name} must give the model's probabilities to {EXACT:g}, got a "
                f"difference of {values.max_difference:.3g}; leave it out of "
                "export.formats"
            )
    return problems


def _latencies(
    functions: Mapping[str, Predict], example: np.ndarray
) -> dict[str, float]:
    """Milliseconds; in each round every format predicts, so that all share the load."""
    for predict in functions.values():
        predict(example)
    secs: dict[str, list[float]] = {name: [] for name in functions}
    begun = time.monotonic()
    for _ in range(_ROUNDS):
        for name, predict in functions.items():
            started = time.perf_counter()
            predict(example)
            secs[name].append(time.perf_counter() - started)
        if time.monotonic() - begun > _ENOUGH_SECS:
            break
    return {name: 1000 * statistics.median(each) for name, each in secs.items()}
