"""The first twenty losses of a run, frozen: a refactoring must not move them.

`pytest tests/runs/test_golden.py --update-golden` writes them anew; do that in a commit
of its own which says why the numbers changed.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import whole_run
from tests.helpers.repository import REPOSITORY
from trainer.train.events import read_metrics

GOLDEN = REPOSITORY / "tests" / "golden" / "losses.json"

EVERY_STEP = (
    "--set=seeds=[0]",
    "--set=teacher.train.steps=20",
    "--set=student.train.steps=20",
    "--set=runtime.steps_per_loop=1",
    "--set=runtime.log_every_steps=1",
)
# Each stage, in one process.
STAGES = """
import sys
from trainer import main
for stage in ("teacher", "student", "baseline"):
    assert main.main(["trainer", stage, *sys.argv[1:]]) == 0
"""


@pytest.mark.slow
def test_twenty_losses_of_teacher_student_and_baseline(
    tmp_path, tfds_dir, monkeypatch, request
):
    # Without oneDNN, whose rounding depends on the processor's instructions.
    monkeypatch.setitem(os.environ, "TF_ENABLE_ONEDNN_OPTS", "0")
    config = whole_run.write_config(tmp_path, tfds_dir)
    for_all = whole_run.command("STAGE", config, tmp_path / "workdir", *EVERY_STEP)
    done = subprocess.run(
        [sys.executable, "-c", STAGES, *for_all[2:]],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    losses = {
        name: [
            line["train/loss"]
            for line in read_metrics(tmp_path / "workdir" / name / "metrics.jsonl")
        ]
        for name in ("teacher", "student/seed-0", "baseline/seed-0")
    }
    if request.config.getoption("--update-golden"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(losses, indent=1) + "\n")
    golden = json.loads(GOLDEN.read_text())
    assert losses.keys() == golden.keys()
    for name, values in golden.items():
        assert len(values) == 20
        np.testing.assert_allclose(losses[name], values, rtol=1e-4, err_msg=name)
