"""A whole run small enough for a test, and what to read from it."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
from etils import epath

from tests.helpers.repository import REPOSITORY
from trainer import models
from trainer.cluster import termination, workers
from trainer.session import Session
from trainer.session.run_devices import Devices

CONFIG = """
name = "small"
seeds = [0, 1]

[data]
dataset = "mnist_mini"
data_dir = "{tfds_dir}"
train_split = "train[:1000]"
validation_split = "train[9500:]"
test_split = "test[:500]"

[teacher]
model = "cnn"
options.filters = [8, 16]

[teacher.train]
global_batch_size = 24
steps = 60
schedule = "cosine"
augment = "shift"

[student]
model = "mlp"
options = {{hidden_sizes = [16], dropout = 0.2}}

[student.train]
global_batch_size = 24
steps = 60

[runtime]
steps_per_loop = 5
log_every_steps = 5
eval_every_steps = 20
save_every_steps = 20
"""

# Of a teacher that is two networks.
MEMBERS = """[[teacher.members]]
model = "cnn"
options.filters = [4, 8]
seed = 3
[teacher.members.train]
global_batch_size = 24
steps = 20

[[teacher.members]]
model = "mlp"
options.hidden_sizes = [12]
weight = 3.0
[teacher.members.train]
global_batch_size = 20
steps = 40

"""

TRAININGS = (
    "teacher",
    "student/seed-0",
    "student/seed-1",
    "baseline/seed-0",
    "baseline/seed-1",
)


def write_config(folder: pathlib.Path, tfds_dir: str) -> pathlib.Path:
    path = folder / "small.toml"
    path.write_text(CONFIG.format(tfds_dir=tfds_dir))
    return path


def write_ensemble(folder: pathlib.Path, tfds_dir: str) -> pathlib.Path:
    path = write_config(folder, tfds_dir)
    text = path.read_text()
    teacher = text[text.index("[teacher]") : text.index("[student]")]
    path.write_text(text.replace(teacher, MEMBERS).replace("steps = 60", "steps = 20"))
    return path


def command(name: str, config: pathlib.Path, workdir: pathlib.Path, *more: str):
    """The command line of a stage, for this or another process."""
    return ["trainer", name, f"--config={config}", f"--workdir={workdir}", *more]


def start(name: str, config: pathlib.Path, workdir: pathlib.Path, *more: str):
    """A run in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", *command(name, config, workdir, *more)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def session(settings, workdir: pathlib.Path, strategy) -> Session:
    """The session of a process that is alone, and that nobody stops."""
    runtime = settings.runtime
    devices = Devices(
        runtime=runtime,
        strategy=strategy,
        workers=workers.Workers(None),
        termination=termination.Termination(
            grace_secs=runtime.grace_secs, watchdog_secs=runtime.watchdog_secs
        ),
    )
    return Session.of(settings, epath.Path(workdir), devices)


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def weights(path: pathlib.Path) -> list[np.ndarray]:
    """The weights of a .keras file."""
    model = keras.models.load_model(
        path, custom_objects={"Dropout": models.Dropout}, compile=False
    )
    return [weight.numpy() for weight in model.weights]
