"""The demo as a person sees it, on a terminal and in a log file."""

import shutil
import subprocess
import sys

import pytest
from etils import epath

from tests.helpers import terminal
from tests.helpers.messages import foreign_lines
from tests.helpers.repository import REPOSITORY
from trainer import report
from trainer.progress.folded import fold

# `make demo` in small.
COMMAND = [
    *(sys.executable, "-m", "trainer", "run"),
    "--config=configs/demo.toml",
    "--set=seeds=[0]",
    "--set=teacher.train.steps=5",
    "--set=teacher.options.filters=[4]",
    "--set=student.train.steps=50",
    "--set=distill.soft_targets=online",
    "--set=data.train_split=train[:500]",
    "--set=data.validation_split=train[9500:]",
    "--set=data.test_split=test[:500]",
]


@pytest.mark.slow
def test_nobody_else_speaks_on_a_terminal_or_in_a_log_file(tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    workdir = tmp_path / "demo"
    command = [*COMMAND, f"--workdir={workdir}"]
    found = terminal.run(command, columns=80)
    assert found.code == 0, found.raw
    # The verdict is the last line, and all of the table fits the width.
    outcome = report.outcome(epath.Path(workdir))
    told = found.lines
    expected = fold(outcome, 80).split("\n")
    assert told[-len(expected) :] == expected
    assert all(len(line) <= 80 for line in expected if str(workdir) not in line)
    lines = told[: -len(expected)]
    assert lines[0] == (
        f"trainer: run configs/demo.toml in {workdir}; loading TensorFlow"
    )
    assert foreign_lines("\n".join(lines)) == []
    for part in ("▸ student", "epoch ", "left", "evaluating", "drawing"):
        assert part in found.raw
    # What is left, in a log file: a training, the evaluation and the page.
    shutil.rmtree(workdir / "baseline")
    (workdir / "results.json").unlink()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == report.outcome(epath.Path(workdir)) + "\n"
    assert foreign_lines(done.stderr) == []
    assert "baseline seed 0: step 50/50, loss" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
