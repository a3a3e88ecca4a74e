"""The entries of the results: each model's metrics, and what distilling gained."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.evaluation import metrics
from trainer.session.predictions import ModelPredictions

Metrics = dict[str, Any]


def entry(
    outcomes: list[ModelPredictions],
    labels: np.ndarray,
    teacher_logits: np.ndarray | None,
    *,
    excluded: Sequence[int],
) -> Metrics:
    """The entry of one role in the results; of the teacher without `teacher_logits`.

    `labels` [M] and `teacher_logits` [M, C] are the test split's, `excluded` the labels
    that students are not shown.
    """
    seeds: list[Metrics] = []
    for outcome in outcomes:
        measured: dict[str, Metrics] = {}
        for kind, logits in outcome.logits.items():
            found: Metrics = {"step": outcome.steps[kind]}
            found |= metrics.classification_metrics(logits, labels)
            if excluded:
                found |= metrics.excluded_metrics(logits, labels, excluded=excluded)
            if teacher_logits is not None:
                found |= metrics.teacher_metrics(logits, teacher_logits)
            if outcome.biases:
                found["class_bias"] = outcome.biases[kind]
            measured[kind] = found
        seeds.append({"seed": outcome.seed, "weights": outcome.weights, **measured})
    # Nobody knows those of a teacher that is elsewhere.
    counts = [each.parameters for each in outcomes if each.parameters is not None]
    selected = metrics.class_metrics(outcomes[0].logits["best"], labels)
    return {
        "parameters": round(statistics.fmean(counts)) if counts else None,
        "train_examples_per_sec": _median([each.rate for each in outcomes]),
        "test": seeds[0]["best"] | selected,
        "seeds": seeds,
        **_over_seeds([seed["best"] for seed in seeds]),
    }


def gain(student: Metrics, baseline: Metrics) -> Metrics:
    """Baseline errors minus student errors, seed by seed."""
    gains = [
        float(alone["best"]["errors"] - taught["best"]["errors"])
        for alone, taught in zip(baseline["seeds"], student["seeds"], strict=True)
    ]
    spread = _spread(gains)
    return {
        "per_seed": gains,
        "mean": statistics.fmean(gains),
        "standard_error": None if spread is None else spread / len(gains) ** 0.5,
    }


def _over_seeds(best: list[Metrics]) -> Metrics:
    names = [name for name in best[0] if name != "step"]
    columns = {name: [metrics[name] for metrics in best] for name in names}
    return {
        "mean": {name: statistics.fmean(values) for name, values in columns.items()},
        "std": {name: _spread(values) for name, values in columns.items()},
    }


def _median(rates: list[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return statistics.median(known) if known else None


def _spread(values: list[float]) -> float | None:
    """The sample standard deviation; of one value there is none."""
    return statistics.stdev(values) if len(values) > 1 else None
