"""The memory of a process does not grow with the steps that it takes."""

import pathlib
import re

import numpy as np
import pytest

from tests.helpers import whole_run

NUM_STEPS = 200_000
CONFIG = """
name = "growth"

[data]
dataset = "csv:{folder}/rows.csv"
train_split = "train[:600]"
validation_split = "train[600:800]"
test_split = "train[800:]"

[teacher]
model = "mlp"
options.hidden_sizes = [4]

[teacher.train]
global_batch_size = 10
steps = {steps}

[student]
model = "mlp"

[student.train]
global_batch_size = 10
steps = 1

[runtime]
xla = "on"
steps_per_execution = 50
steps_per_loop = 1000
log_every_steps = 2000
eval_every_steps = 2000
save_every_steps = 20000
"""


def resident_mb(pid: int) -> float:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s*(\d+) kB", status, flags=re.M)[1]) / 1000


@pytest.mark.slow
def test_memory_stays_as_it_is_for_200_000_steps(tmp_path):
    rng = np.random.default_rng(0)
    rows = "".join(f"{x},{y},{int(x > y)}\n" for x, y in rng.random((1000, 2)))
    (tmp_path / "rows.csv").write_text("x,y,label\n" + rows)
    config = tmp_path / "growth.toml"
    config.write_text(CONFIG.format(folder=tmp_path, steps=NUM_STEPS))
    resident, told = {}, []
    with whole_run.start("teacher", config, tmp_path / "run") as process:
        for line in process.stderr:
            told.append(line)
            if found := re.search(r"teacher seed 0: step (\d+)/", line):
                resident[int(found[1])] = resident_mb(process.pid)
    assert process.returncode == 0, told
    assert len(resident) == 100
    # Each line is of a step, a look at the validation split, and maybe a checkpoint.
    begun = [mb for step, mb in resident.items() if 20_000 <= step <= 40_000]
    ended = [mb for step, mb in resident.items() if step >= 180_000]
    # A list of one float a step would be 5 MB, of a tensor each far more.
    assert np.median(ended) - np.median(begun) < 4, resident
