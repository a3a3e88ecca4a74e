"""A user of Keras who distils a saved teacher into a saved student.

    python -m tests.benchmarks.whole_keras keras|stored FOLDER EPOCHS

It is a contender of `tests.benchmarks.whole`, which makes what is in the folder.
"""

import json
import pathlib
import sys

import keras
import numpy as np

from tests.benchmarks import keras_models
from tests.benchmarks.arrays import INPUTS, LABELS
from tests.benchmarks.keras_fit import Tuning, pipeline
from tests.benchmarks.keras_models import Pair
from tests.benchmarks.workloads import WORKLOADS

_BATCH = 256  # of predictions


def main(contender: str, folder: pathlib.Path, epochs: int) -> None:
    """Trains the student and saves it."""
    workload = WORKLOADS["W1"]
    teacher = keras.models.load_model(folder / "teacher.keras")
    student = keras.models.load_model(folder / "student.keras")
    inputs, labels = _arrays(folder / "W1")
    held_out, their_labels = _arrays(folder / "validation")
    tuning = Tuning(**json.loads((folder / "tuning.json").read_text()))
    compiling = {
        "jit_compile": tuning.jit_compile,
        "steps_per_execution": tuning.steps_per_execution,
    }
    pair = Pair(
        config=workload.settings(folder, precision="float32"),
        teacher=teacher,
        student=student,
        inputs=inputs,
        labels=labels,
        logits=None,
    )
    targets, their_targets = labels, their_labels
    if contender == "keras":
        model = keras_models.distiller(pair, **compiling)
    else:
        model = keras_models.soft_target_student(pair, **compiling)
        targets, their_targets = (
            keras_models.join(pair, teacher.predict(x, _BATCH, verbose=0), y)
            for x, y in ((inputs, labels), (held_out, their_labels))
        )
    given = {"x": inputs, "y": targets, "batch_size": workload.batch_size}
    if tuning.tf_data:
        given = {"x": pipeline(inputs, targets, workload.batch_size), "shuffle": False}
        given["steps_per_epoch"] = len(inputs) // workload.batch_size
    model.fit(
        **given, epochs=epochs, validation_data=(held_out, their_targets), verbose=0
    )
    student.save(folder / f"{contender}.keras")


def _arrays(folder: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    return np.load(folder / INPUTS), np.load(folder / LABELS)


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]))
