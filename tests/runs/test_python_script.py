"""The script of docs/python.md: what it prints, and what a kill changes of it."""

import re
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

import trainer
from tests.helpers.pages import HIDDEN, undrawn
from tests.helpers.python_runs import digits, same
from tests.helpers.repository import REPOSITORY

PAGE = (REPOSITORY / "docs" / "python.md").read_text()
(SCRIPT,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
# Dies in the second student, between two checkpoints.
KILL = """
import os, signal
def _die(epoch, logs):
    _die.epochs = getattr(_die, "epochs", 0) + 1
    if _die.epochs == 8:
        os.kill(os.getpid(), signal.SIGKILL)
"""
CADENCE = (
    'config={"runtime": {"steps_per_loop": 3, "log_every_steps": 3, '
    '"eval_every_steps": 3, "save_every_steps": 9}}'
)
# The same run as a config file.
TOML = """
name = "same"
seeds = [0, 1]
[data]
dataset = "tests.helpers.python_runs:dataset"
options.path = "{folder}/digits.npz"
[teacher]
model = "saved"
options = {{path = "{folder}/teacher.keras", input = "as_given"}}
[student]
model = "tests.helpers.python_runs:build_student"
options.units = 32
[student.train]
global_batch_size = 64
epochs = 5
[distill]
temperature = 4.0
alpha = 0.9
[runtime]
steps_per_loop = 3
log_every_steps = 3
eval_every_steps = 3
save_every_steps = 9
"""


def test_it_is_short():
    assert len([line for line in SCRIPT.splitlines() if line]) <= 12


def run(folder, script: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", HIDDEN + script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_it_prints_the_table_and_goes_on_bit_for_bit_as_a_config_file_does(tmp_path):
    images, labels = digits("train[:900]", tmp_path / "lists")
    np.savez(tmp_path / "digits.npz", x=images, y=labels)
    keras.utils.set_random_seed(0)
    teacher = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(32, "relu"),
            keras.layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher.compile("adam", loss)
    teacher.fit(images, labels, epochs=5, verbose=0)
    teacher.save(tmp_path / "teacher.keras")
    often = SCRIPT.replace("epochs=5", f"epochs=5, {CADENCE}")
    callback = "callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=_die)], seeds"
    died = run(tmp_path, KILL + often.replace("seeds", callback, 1))
    assert died.returncode == -signal.SIGKILL
    assert not (tmp_path / "run/student/seed-1/model.keras").exists()
    assert list((tmp_path / "run/student/seed-1/checkpoints").glob("*.npz"))
    again = run(tmp_path, often)
    assert again.returncode == 0, again.stderr
    told = again.stdout.splitlines()
    assert [line.split()[0] for line in told[2:5]] == ["teacher", "student", "baseline"]
    assert any(line.startswith("verdict: ") for line in told)
    (tmp_path / "same.toml").write_text(TOML.format(folder=tmp_path))
    with undrawn():
        of_file = trainer.run(tmp_path / "same.toml", tmp_path / "of_file")
    for role in ("student", "baseline"):
        for seed in (0, 1):
            expected = of_file.model(role, seed)
            path = tmp_path / "run" / f"{role}/seed-{seed}/model.keras"
            assert same(keras.models.load_model(path), expected)
