"""The time of a whole distillation: from the start of a program to its saved student.

    TFDS_DATA_DIR=DIR python -m tests.benchmarks.whole [--epochs=N] [--rounds=N]

W8 is the pair of W1 with the teacher given as a file, on MNIST or the bundled digits.
Contenders are programs, each from its start, in turn:

- ours: `python -m trainer student` with the default settings, which build a cache;
- keras: Keras's own distiller, with the quickest of its settings;
- stored: Keras, where the user predicts the teacher's logits once and fits on them.

All validate once an epoch. The bound is 10 (t + s) / (t + 10 s) for 10 epochs, where t
is a batch of the teacher and s a step of the student, each alone and without input.
The teacher has the weights that it begins with: its speed does not depend on them.
"""

import dataclasses
import functools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import keras
import numpy as np

from tests.benchmarks import floors, keras_fit, keras_models
from tests.benchmarks.arrays import INPUTS, LABELS
from tests.benchmarks.keras_fit import Tuning
from tests.benchmarks.material import prepare
from tests.benchmarks.workloads import BUNDLED, DIGITS, WORKLOADS, Workload, digits
from tests.helpers import whole_run
from trainer import data
from trainer.config import Config, load
from trainer.devices import distribution

_SPLITS = {
    BUNDLED: ("train[:8000]", "train[8000:9000]"),
    "mnist": ("train[:55000]", "train[55000:]"),
}
_PRECISION = "float32"
_TURN_SECS = 2.0
_SHARE = 0.85  # of the bound, which is asked for
_TEACHER, _STUDENT, _TUNING = "teacher.keras", "student.keras", "tuning.json"
_VALIDATION = "validation"


def main(words: Sequence[str]) -> None:
    """Prints the seconds of each contender, the ratios and their bounds."""
    options = dict(word.removeprefix("--").split("=", 1) for word in words)
    epochs = int(options.get("epochs", 10))
    with tempfile.TemporaryDirectory(prefix="alambic-") as name:
        folder = pathlib.Path(name)
        workload = _prepare(folder, epochs)
        step = _step_secs(folder, workload)
        commands = {
            "ours": _command(folder),
            "keras": _module("keras", folder, epochs),
            "stored": _module("stored", folder, epochs),
        }
        rounds = []
        for number in range(int(options.get("rounds", 1))):
            rounds.append(
                {
                    name: _secs([*words, f"--workdir={folder}/run-{number}"])
                    if name == "ours"
                    else _secs(words)
                    for name, words in commands.items()
                }
            )
            print(f"round {number + 1}: {rounds[-1]}", file=sys.stderr, flush=True)
    _tell(rounds, step, epochs)


def _tell(
    rounds: Sequence[dict[str, float]], step: dict[str, float], epochs: int
) -> None:
    teacher, student = step["teacher_secs"], step["student_secs"]
    bound = epochs * (teacher + student) / (teacher + epochs * student)
    print(
        f"teacher {1000 * teacher:.2f} ms a batch, student {1000 * student:.2f} ms a "
        f"step: at most {bound:.2f} times as fast in {epochs} epochs"
    )
    for name in rounds[0]:
        print(f"{name}: {statistics.median(each[name] for each in rounds):.1f} s")
    for name, least in (("keras", _SHARE * bound), ("stored", 1.0)):
        ratio = statistics.median(each[name] / each["ours"] for each in rounds)
        verdict = "met" if ratio >= least else "missed"
        print(f"{name} / ours: {ratio:.2f}, at least {least:.2f} asked: {verdict}")


def _secs(words: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _command(folder: pathlib.Path) -> list[str]:
    words = [sys.executable, "-m", "trainer", "student"]
    return [*words, f"--config={folder / 'whole.toml'}"]


def _module(contender: str, folder: pathlib.Path, epochs: int) -> list[str]:
    words = [sys.executable, "-m", "tests.benchmarks.whole_keras", contender]
    return [*words, str(folder), str(epochs)]


def _prepare(folder: pathlib.Path, epochs: int) -> Workload:
    """The arrays, both networks as files, Keras's quickest settings, and the config."""
    dataset = digits()
    (folder / DIGITS).write_text(dataset)
    config = _write_config(folder, dataset, epochs)
    strategy = distribution.strategy(config.runtime, num_workers=1)
    session = whole_run.session(config, folder / "session", strategy)
    prepare(session, WORKLOADS["W1"], folder / "W1")
    validation = session.datasets.read(config.data.validation_split)
    _write_validation(folder, validation)
    num_examples = len(session.datasets.transfer)
    workload = dataclasses.replace(WORKLOADS["W1"], num_examples=num_examples)
    pair = _pair(folder, workload)
    pair.teacher.save(folder / _TEACHER)
    pair.student.save(folder / _STUDENT)
    make = functools.partial(_pair, folder, workload)
    found = keras_fit.searching(make, workload, turn_secs=_TURN_SECS).facts["found"]
    best = min(found, key=lambda each: each["secs"])["tuning"]
    print(f"keras: {Tuning(**best)}", file=sys.stderr)
    (folder / _TUNING).write_text(json.dumps(best))
    return workload


def _pair(folder: pathlib.Path, workload: Workload) -> keras_models.Pair:
    return keras_models.pair(workload, folder, precision=_PRECISION)


def _write_config(folder: pathlib.Path, dataset: str, epochs: int) -> Config:
    train, validation = _SPLITS[dataset]
    path = folder / "whole.toml"
    path.write_text(
        f"""
name = "whole"
seeds = [0]

[data]
dataset = "{dataset}"
train_split = "{train}"
validation_split = "{validation}"
test_split = "test"

[teacher]
model = "saved"
options = {{path = "{folder / _TEACHER}", input = "zero_to_255", output = "logits"}}
min_accuracy = 0.0

[student]
model = "cnn"
options.filters = [16, 32]

[student.train]
global_batch_size = 64
epochs = {epochs}
"""
    )
    return load(str(path))


def _write_validation(folder: pathlib.Path, examples: data.Examples) -> None:
    made = folder / _VALIDATION
    made.mkdir()
    np.save(made / INPUTS, examples.read(np.arange(len(examples))))
    np.save(made / LABELS, examples.labels)


def _step_secs(folder: pathlib.Path, workload: Workload) -> dict[str, float]:
    """A batch of the teacher and a step of the student, medians of turns."""
    keras.backend.clear_session()
    pair = _pair(folder, workload)
    ready = floors.networks(pair, workload, turn_secs=_TURN_SECS)
    turns = [ready.turn() for _ in range(5)]
    return {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}


if __name__ == "__main__":
    main(sys.argv[1:])
