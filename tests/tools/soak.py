"""A run of three workers that is killed and stopped again and again.

    python -m tests.tools.soak --faults=20 --seed=0 \
        --teacher_steps=20000 --student_steps=8000

It trains once undisturbed and once under `python -m launch local` with that many
faults, each SIGKILL or SIGTERM to a random worker at a random second of an attempt, and
compares the models bit for bit.
"""

import dataclasses
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

from tests.helpers import pages, whole_run
from tests.helpers.repository import REPOSITORY

NUM_WORKERS = 3
SECS = (6, 25)  # of an attempt, between which a fault happens

_FAULTS = flags.DEFINE_integer("faults", 20, "how many")
_SEED = flags.DEFINE_integer("seed", 0, "of the faults")
_TEACHER_STEPS = flags.DEFINE_integer("teacher_steps", 20000, "of the teacher")
_STUDENT_STEPS = flags.DEFINE_integer("student_steps", 8000, "of student and baseline")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the disturbed run."""

    code: int
    faults: list[str]  # that happened
    ends: list[str]  # how the attempts ended
    secs: float
    differences: list[str]  # models that are not those of the undisturbed run
    log: str


def random_faults(count: int, seed: int) -> list[str]:
    """Such as "kill:worker:1@secs=7"."""
    rng = random.Random(seed)
    return [
        f"{rng.choice(('kill', 'term'))}:worker:{rng.randrange(NUM_WORKERS)}"
        f"@secs={rng.randint(*SECS)}"
        for _ in range(count)
    ]


def soak(
    folder: pathlib.Path, tfds_dir: str, faults: list[str], settings: list[str]
) -> Outcome:
    """Runs both and compares them."""
    config = whole_run.write_config(folder, tfds_dir)
    settings = [f"--set={setting}" for setting in settings]
    expected = _launched(config, folder / "undisturbed", [], settings)
    if expected.returncode:
        raise RuntimeError(f"the undisturbed run failed: {expected.stderr}")
    started = time.monotonic()
    done = _launched(
        config,
        folder / "disturbed",
        [f"--max-restarts={len(faults)}", *(f"--fault={fault}" for fault in faults)],
        settings,
    )
    return Outcome(
        code=done.returncode,
        faults=re.findall(r"^launch: fault (\S+@\S+)", done.stderr, re.MULTILINE),
        ends=re.findall(r"^launch: (worker-\d failed with .*?);", done.stderr, re.M),
        secs=time.monotonic() - started,
        differences=list(_differences(folder / "undisturbed", folder / "disturbed")),
        log=done.stderr,
    )


def _launched(
    config: pathlib.Path, workdir: pathlib.Path, flags: list[str], settings: list[str]
) -> subprocess.CompletedProcess:
    launch = ["launch", "local", f"--workers={NUM_WORKERS}", *flags, "--"]
    words = whole_run.command("run", config, workdir, *settings)
    command = ["python", "-c", pages.UNDRAWN, *words]
    return subprocess.run(
        [sys.executable, "-m", *launch, *command],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )


def _differences(expected: pathlib.Path, workdir: pathlib.Path):
    models = sorted(path.relative_to(expected) for path in expected.rglob("*.keras"))
    for path in models:
        if not (workdir / path).exists():
            yield f"{path} is missing"
            continue
        ours, theirs = (
            whole_run.weights(folder / path) for folder in (workdir, expected)
        )
        if not all(map(np.array_equal, ours, theirs)):
            yield str(path)


def main(argv: list[str]) -> None:
    del argv
    faults = random_faults(_FAULTS.value, _SEED.value)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        outcome = soak(
            folder,
            str(folder / "tfds"),
            faults,
            [
                "seeds=[0]",
                f"teacher.train.steps={_TEACHER_STEPS.value}",
                f"student.train.steps={_STUDENT_STEPS.value}",
                f"runtime.max_restarts={_FAULTS.value}",
                "runtime.save_every_steps=200",
                "runtime.eval_every_steps=200",
                "runtime.log_every_steps=50",
            ],
        )
    for end in outcome.ends:
        print(end)
    print(f"{len(outcome.faults)} faults: {' '.join(outcome.faults)}")
    print(f"exit code {outcome.code} after {outcome.secs:.0f} s")
    if outcome.code or len(outcome.faults) < len(faults):
        print(outcome.log)
        sys.exit(1)
    print(f"models that differ: {', '.join(outcome.differences) or 'none'}")
    sys.exit(bool(outcome.differences))


if __name__ == "__main__":
    app.run(main)
