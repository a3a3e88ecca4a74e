"""Weights and temperatures of losses, chosen on the validation split.

    python -m tests.tools.tune_losses configs/NAME.toml --workdir=DIR \
        [--seeds=10,11] [--learning_rates=0.001,...]

First the baseline takes each of the learning rates, by default LEARNING_RATES. With
the best of them students learn by each loss of [study.grid] at as many of its POINTS,
evenly chosen. Nothing reads the test split. DIR/trials.json keeps what was measured,
and the lines of [study.grid] with the best settings are printed. Finished trials are
kept.
"""

import argparse
import itertools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from tests.tools import loss_comparison
from trainer import config
from trainer.runs import workflow
from trainer.storage import files, workdir
from trainer.train.events import read_metrics

Term = Mapping[str, Any]  # as a config has it

STANDARDIZED = "kl, standardized"
LEARNING_RATES = (1e-3, 2e-3, 3e-3, 5e-3, 7e-3, 1e-2, 2e-2, 3e-2)

# Weights and temperatures that each loss is tried with, around those of its paper,
# beside hard_weight = 1. Other options are those of the config.
_USUAL = (0.3, 1.0, 3.0, 10.0)
_NONE: tuple[float, ...] = ()
POINTS: Mapping[str, tuple[Sequence[float], Sequence[float]]] = {
    "kl": (_USUAL, (2.0, 4.0)),
    STANDARDIZED: (_USUAL, (1.0, 2.0)),
    "reverse_kl": (_USUAL, (2.0, 4.0)),
    "jensen_shannon": ((1.0, 3.0, 10.0, 30.0), (2.0, 4.0)),
    "dkd": ((0.1, 0.3, 1.0, 3.0), (2.0, 4.0)),
    "dist": (_USUAL, (1.0, 4.0)),
    "nkd": (_USUAL, (1.0, 2.0)),
    "wsl": (_USUAL, (2.0, 4.0)),
    # These have no temperature.
    "hard_targets": ((0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0), _NONE),
    "logit_mse": ((0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0), _NONE),
    "hint": ((0.1, 1.0, 10.0, 100.0), _NONE),
    "attention": ((10.0, 100.0, 1000.0, 10_000.0), _NONE),
    "similarity": ((30.0, 300.0, 3000.0, 30_000.0), _NONE),
    "rkd": ((0.01, 0.1, 1.0, 10.0), _NONE),
    "pkt": ((30.0, 300.0, 3000.0, 30_000.0), _NONE),
    "contrastive": ((0.03, 0.1, 0.3, 1.0), _NONE),
    "vid": ((0.01, 0.1, 1.0, 10.0), _NONE),
    "cosine": ((0.1, 1.0, 10.0, 100.0), _NONE),
    "srrl": ((0.03, 0.1, 0.3, 1.0), _NONE),
}


def losses(file: pathlib.Path) -> list[Term]:
    """The terms of the study in a config, one a cell."""
    grid = config.load(str(file)).study.grid
    return [term for [term] in grid[loss_comparison.AXIS]]


def points(term: Term, *, count: int) -> list[Term]:
    """The term at `count` of its POINTS: the last of each so many."""
    name = STANDARDIZED if term.get("standardize") else term["loss"]
    weights, temperatures = POINTS[name]
    found = []
    for weight, temperature in itertools.product(weights, temperatures or [None]):
        point = {**term, "weight": weight}
        found.append(
            point if temperature is None else point | {"temperature": temperature}
        )
    if count > len(found):
        raise ValueError(f"{len(found)} points cannot be {count}")
    return [found[(i + 1) * len(found) // count - 1] for i in range(count)]


def validation(path: epath.Path, role: str, seeds: Sequence[int]) -> tuple[float, ...]:
    """Mean error and mean cross-entropy of the selected models: fewer is better."""
    chosen = []
    for seed in seeds:
        folder = workdir.training_folder(path, role, seed)
        lines = read_metrics(folder / workdir.METRICS)
        tested = [line for line in lines if "eval/accuracy" in line]
        chosen.append(max(tested, key=lambda line: line["eval/accuracy"]))
    return tuple(
        sum(values) / len(seeds)
        for values in zip(
            *[(1 - line["eval/accuracy"], line["eval/nll"]) for line in chosen],
            strict=True,
        )
    )


class Tuning:
    """The trials of a config in a folder."""

    def __init__(
        self, file: pathlib.Path, folder: epath.Path, seeds: Sequence[int]
    ) -> None:
        self._file, self._folder, self._seeds = str(file), folder, seeds
        self._common = [f"seeds={list(seeds)}"]
        if config.load(self._file).distill.soft_targets != "online":
            self._common.append("distill.soft_targets='cached'")
            self._common.append(f"distill.soft_targets_dir='{folder / 'soft_targets'}'")

    def measure(self, role: str, name: str, *overrides: str) -> tuple[float, ...]:
        """The validation metrics of a trial, which is trained if it is not yet."""
        # Loads TensorFlow.
        from trainer.runs.variant_session import forget_models

        path = self._folder / "trials" / name
        given = config.load(self._file, [*self._common, *overrides])
        is_done = all(
            (workdir.training_folder(path, role, seed) / workdir.FINISHED).exists()
            for seed in self._seeds
        )
        if not is_done:
            workflow.run_stages(given, path, ("teacher", "soft-targets", role))
            forget_models()
        return validation(path, role, self._seeds)

    def baseline(self, rates: Sequence[float]) -> dict[float, tuple[float, ...]]:
        """The metrics of the baseline at each learning rate."""
        return {
            rate: self.measure(
                "baseline", f"baseline-{rate:g}", f"student.train.learning_rate={rate}"
            )
            for rate in rates
        }

    def loss(self, rate: float, term: Term) -> tuple[float, ...]:
        """The metrics of the student that learns by one term."""
        text = ", ".join(f"{key}={json.dumps(value)}" for key, value in term.items())
        name = "-".join(f"{value}" for value in term.values()).lower()
        return self.measure(
            "student",
            name,
            f"student.train.learning_rate={rate}",
            f"distill.terms=[{{{text}}}]",
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs all trials and tells the best."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("--workdir", type=epath.Path, required=True)
    parser.add_argument("--seeds", default="10,11")
    usual = ",".join(map(str, LEARNING_RATES))
    parser.add_argument("--learning_rates", default=usual)
    given = parser.parse_args(arguments)
    seeds = [int(seed) for seed in given.seeds.split(",")]
    tuning = Tuning(given.config, given.workdir, seeds)
    rates = tuning.baseline([float(one) for one in given.learning_rates.split(",")])
    rate = min(rates, key=lambda rate: rates[rate])
    trials: dict[str, Any] = {
        "seeds": seeds,
        "baseline": [{"learning_rate": r, "error": e[0]} for r, e in rates.items()],
        "losses": [],
    }
    best = []
    for term in losses(given.config):
        found = [(tuning.loss(rate, at), at) for at in points(term, count=len(rates))]
        trials["losses"].append([{**at, "error": error} for (error, _), at in found])
        best.append(min(found, key=lambda one: one[0])[1])
    files.write_json(given.workdir / "trials.json", trials)
    print(f"learning_rate = {rate:g}")
    for term in best:
        text = ", ".join(f"{key} = {json.dumps(v)}" for key, v in term.items())
        print(f"    [{{{text}}}],")


if __name__ == "__main__":
    main()
