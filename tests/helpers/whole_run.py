"""A whole run small enough for a test, and what to read from it."""

import contextlib
import io
import pathlib
import subprocess
import sys

import keras
import numpy as np
from etils import epath

from tests.helpers import configs, pages
from tests.helpers.repository import REPOSITORY
from trainer import main, models
from trainer.cluster import termination, workers
from trainer.session import Session
from trainer.session.run_devices import Devices

TRAININGS = (
    "teacher",
    "student/seed-0",
    "student/seed-1",
    "baseline/seed-0",
    "baseline/seed-1",
)


def write_config(folder: pathlib.Path, tfds_dir: str) -> pathlib.Path:
    """The path of a config of all stages."""
    path = folder / "small.toml"
    path.write_text(configs.WHOLE.format(tfds_dir=tfds_dir))
    return path


def write_ensemble(folder: pathlib.Path, tfds_dir: str) -> pathlib.Path:
    """The same run with a teacher that is two networks."""
    path = write_config(folder, tfds_dir)
    text = path.read_text()
    teacher = text[text.index("[teacher]") : text.index("[student]")]
    path.write_text(
        text.replace(teacher, configs.WHOLE_MEMBERS).replace("steps = 60", "steps = 20")
    )
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


def do(
    name: str,
    config: pathlib.Path,
    workdir: pathlib.Path,
    *more: str,
    draws: bool = False,
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command in this process."""
    with (
        contextlib.nullcontext() if draws else pages.undrawn(),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        code = main.main(command(name, config, workdir, *more))
    return code, out.getvalue(), err.getvalue()


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
    return Session.of_run(settings, epath.Path(workdir), devices)


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
