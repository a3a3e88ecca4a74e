"""The frozen losses of a small run, and what of a workdir is held against them."""

import json
import pathlib
from collections.abc import Iterable

from tests.helpers.repository import REPOSITORY
from trainer.train.events import read_metrics

PATH = REPOSITORY / "tests" / "golden" / "losses.json"
# The stages, and where in a workdir each trains.
STAGES = {
    "teacher": "teacher",
    "student": "student/seed-0",
    "baseline": "baseline/seed-0",
}
NUM_STEPS = 20
RTOL = 1e-4
SETTINGS = (
    "seeds=[0]",
    f"teacher.train.steps={NUM_STEPS}",
    f"student.train.steps={NUM_STEPS}",
    "runtime.steps_per_loop=1",
    "runtime.log_every_steps=1",
)


def golden() -> dict[str, list[float]]:
    """The losses of each training, step by step, as they were on a CPU."""
    return json.loads(PATH.read_text())


def of_workdir(
    workdir: pathlib.Path, stages: Iterable[str] = tuple(STAGES)
) -> dict[str, list[float]]:
    """The losses of the trainings of these stages."""
    return {
        STAGES[stage]: [
            line["train/loss"]
            for line in read_metrics(workdir / STAGES[stage] / "metrics.jsonl")
        ]
        for stage in stages
    }
