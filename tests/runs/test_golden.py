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

from tests.helpers import golden_losses, whole_run
from tests.helpers.repository import REPOSITORY

# In one process.
EACH_STAGE = """
import sys
from trainer import main
stages, words = sys.argv[1].split(), sys.argv[2:]
for stage in stages:
    assert main.main(["trainer", stage, *words]) == 0
"""


@pytest.mark.slow
def test_twenty_losses_of_teacher_student_and_baseline(
    tmp_path, tfds_dir, monkeypatch, request
):
    # Without oneDNN, whose rounding depends on the processor's instructions.
    monkeypatch.setitem(os.environ, "TF_ENABLE_ONEDNN_OPTS", "0")
    config = whole_run.write_config(tmp_path, tfds_dir)
    settings = [f"--set={setting}" for setting in golden_losses.SETTINGS]
    words = whole_run.command("STAGE", config, tmp_path / "workdir", *settings)[2:]
    done = subprocess.run(
        [sys.executable, "-c", EACH_STAGE, " ".join(golden_losses.STAGES), *words],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    losses = golden_losses.of_workdir(tmp_path / "workdir")
    if request.config.getoption("--update-golden"):
        golden_losses.PATH.parent.mkdir(exist_ok=True)
        golden_losses.PATH.write_text(json.dumps(losses, indent=1) + "\n")
    golden = golden_losses.golden()
    assert losses.keys() == golden.keys()
    for name, values in golden.items():
        assert len(values) == golden_losses.NUM_STEPS
        np.testing.assert_allclose(
            losses[name], values, rtol=golden_losses.RTOL, err_msg=name
        )
