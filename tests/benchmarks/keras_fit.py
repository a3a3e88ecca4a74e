"""`fit` of Keras that waits between epochs until it is its turn."""

import contextlib
import dataclasses
import queue
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.benchmarks import flops, keras_models
from tests.benchmarks.arrays import tiled
from tests.benchmarks.keras_models import Pair
from tests.benchmarks.ready import Ready, process_secs, repeated
from tests.benchmarks.workloads import IMAGE_SIZE, Workload

STEPS_PER_EXECUTION = (1, 32)
_ENOUGH = 10**9  # epochs
_HOPELESS = 1.5  # times the seconds of the other compiler
_TRIALS = 3
_TRIAL_SECS = 0.5  # of a turn in a search, at most
_TRIALS_SECS = 5.0  # after which none begins
_SHUFFLED = 1024  # examples in the buffer of the guides' pipeline


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tuning:
    """What a user can turn without another program."""

    jit_compile: bool
    steps_per_execution: int
    tf_data: bool = False  # a tf.data pipeline in place of arrays


def search(secs_of: Callable[[Tuning], float]) -> dict[Tuning, float]:
    """The seconds of a step with every tuning that is tried.

    Both compilers with arrays, at each number of steps per execution; and tf.data with
    the better one of each. A compiler that loses by half is not tried again.
    """
    found: dict[Tuning, float] = {}
    compilers = [False, True]
    for steps in STEPS_PER_EXECUTION:
        secs = {}
        for compiler in compilers:
            tuning = Tuning(jit_compile=compiler, steps_per_execution=steps)
            secs[compiler] = found[tuning] = secs_of(tuning)
        best = min(secs, key=secs.__getitem__)
        compilers = [c for c in compilers if secs[c] < _HOPELESS * secs[best]]
        with_tf_data = Tuning(jit_compile=best, steps_per_execution=steps, tf_data=True)
        found[with_tf_data] = secs_of(with_tf_data)
    return found


def searching(
    pair: Callable[[], Pair], workload: Workload, *, turn_secs: float
) -> Ready:
    """All that was tried, in its facts; it has no turns."""

    def secs_of(tuning: Tuning) -> float:
        secs = min(turn_secs, _TRIAL_SECS)
        ready = fitting(pair(), workload, tuning, turn_secs=secs)
        end = time.monotonic() + _TRIALS_SECS
        turns = [ready.turn()["secs"]]
        while len(turns) < _TRIALS and time.monotonic() < end:
            turns.append(ready.turn()["secs"])
        return statistics.median(turns)

    found = [
        {"tuning": dataclasses.asdict(tuning), "secs": secs}
        for tuning, secs in search(secs_of).items()
    ]
    return Ready(facts={"found": found}, turn=dict)


def scope(num_devices: int) -> contextlib.AbstractContextManager[Any]:
    """Where models are to be built for so many logical CPUs."""
    if num_devices == 1:
        return contextlib.nullcontext()
    (cpu, *_) = tf.config.list_physical_devices("CPU")
    logical = [tf.config.LogicalDeviceConfiguration()] * num_devices
    tf.config.set_logical_device_configuration(cpu, logical)
    names = [f"/cpu:{i}" for i in range(num_devices)]
    return tf.distribute.MirroredStrategy(names).scope()


def fitting(
    pair: Pair, workload: Workload, tuning: Tuning, *, turn_secs: float
) -> Ready:
    """Keras's Distiller, or with cached targets the student alone."""
    compiling = {
        "jit_compile": tuning.jit_compile,
        "steps_per_execution": tuning.steps_per_execution,
    }
    if workload.cached:
        model = keras_models.soft_target_student(pair, **compiling)
        targets = keras_models.soft_targets_and_labels(pair)
    else:
        model = keras_models.distiller(pair, **compiling)
        targets = pair.labels
    return _ready(model, pair, workload, targets, tuning, turn_secs=turn_secs)


def example(pair: Pair, workload: Workload, *, turn_secs: float) -> Ready:
    """The Keras example as it stands: arrays, and no setting of `compile`."""
    model = keras_models.ExampleDistiller(pair)
    tuning = Tuning(jit_compile=False, steps_per_execution=1, tf_data=False)
    return _ready(model, pair, workload, pair.labels, tuning, turn_secs=turn_secs)


def reading(folder: str, workload: Workload, *, turn_secs: float) -> Ready:
    """Batches of a folder of images as Keras reads them, cropped and mirrored."""
    images = keras.utils.image_dataset_from_directory(
        folder,
        batch_size=workload.batch_size,
        image_size=(IMAGE_SIZE, IMAGE_SIZE),
        verbose=False,
    )

    def view(batch: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        padded = tf.image.resize_with_crop_or_pad(batch, IMAGE_SIZE + 8, IMAGE_SIZE + 8)
        shape = [tf.shape(batch)[0], IMAGE_SIZE, IMAGE_SIZE, 3]
        cropped = tf.image.random_crop(padded, shape)
        return tf.image.random_flip_left_right(cropped), labels

    viewed = images.map(view, num_parallel_calls=tf.data.AUTOTUNE)
    batches = iter(viewed.repeat().prefetch(tf.data.AUTOTUNE))

    def run(num_steps: int) -> None:
        for _ in range(num_steps):
            next(batches)[0].numpy()

    run(1)
    return Ready(
        facts={"first_step_secs": process_secs(), "flops": 0},
        turn=repeated(run, turn_secs=turn_secs),
    )


def _ready(
    model: keras.Model,
    pair: Pair,
    workload: Workload,
    targets: np.ndarray,
    tuning: Tuning,
    *,
    turn_secs: float,
) -> Ready:
    unit = tuning.steps_per_execution
    first = _Fit(model, pair.inputs, targets, workload.batch_size, tuning, unit)
    first.epoch()
    facts: dict[str, Any] = {
        "first_step_secs": process_secs(),
        "flops": flops.of_step(
            teacher=None if workload.cached else pair.teacher,
            student=pair.student,
            batch_size=workload.batch_size,
        ),
        "tuning": dataclasses.asdict(tuning),
    }
    # At most a user's epoch; what starts one takes a few milliseconds.
    whole = max(unit, len(pair.inputs) // workload.batch_size // unit * unit)
    count = unit * max(1, round(turn_secs / first.epoch()))
    fit, count = first, min(count, whole)
    times = 1
    if count > unit:
        first.end()
        fit = _Fit(model, pair.inputs, targets, workload.batch_size, tuning, count)
        fit.epoch()  # starts its iterator
        times = max(1, round(turn_secs / fit.epoch()))

    def turn() -> dict[str, float]:
        return {"secs": sum(fit.epoch() for _ in range(times)) / (times * count)}

    return Ready(facts=facts, turn=turn)


class _Fit(keras.callbacks.Callback):
    """A fit in a thread of its own, whose epochs of so many steps begin when told."""

    def __init__(
        self,
        model: keras.Model,
        inputs: np.ndarray,
        targets: np.ndarray,
        batch_size: int,
        tuning: Tuning,
        num_steps: int,
    ) -> None:
        super().__init__()
        self._calls: queue.Queue[bool] = queue.Queue()
        self._found: queue.Queue[float | Exception] = queue.Queue()
        self._started = 0.0
        # Whole epochs of so many steps, for fit warns where data ends within one.
        epoch = batch_size * num_steps
        count = max(1, len(inputs) // epoch) * epoch
        if count > len(inputs):
            inputs, targets = tiled(inputs, count), tiled(targets, count)
        inputs, targets = inputs[:count], targets[:count]
        given: dict[str, Any] = {"x": inputs, "y": targets, "batch_size": batch_size}
        if tuning.tf_data:
            given = {"x": pipeline(inputs, targets, batch_size), "shuffle": False}
        self._thread = threading.Thread(
            target=self._run,
            args=(model.fit, {**given, "steps_per_epoch": num_steps}),
            daemon=True,
        )
        self._thread.start()

    def epoch(self) -> float:
        """Seconds that the next epoch takes."""
        self._calls.put(True)
        found = self._found.get()
        if isinstance(found, Exception):
            raise found
        return found

    def end(self) -> None:
        """Ends the fit."""
        self._calls.put(False)
        self._thread.join()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if not self._calls.get():
            raise _EndedError
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._found.put(time.perf_counter() - self._started)

    def _run(self, fit: Callable[..., Any], given: dict[str, Any]) -> None:
        try:
            fit(**given, epochs=_ENOUGH, verbose=0, callbacks=[self])
        except _EndedError:
            pass
        except Exception as error:
            self._found.put(error)


class _EndedError(Exception):
    """Nobody wants another epoch."""


def pipeline(
    inputs: np.ndarray, targets: np.ndarray, batch_size: int
) -> tf.data.Dataset:
    """As the guides have it: shuffle, batch, prefetch."""
    return (
        tf.data.Dataset.from_tensor_slices((inputs, targets))
        .shuffle(_SHUFFLED, reshuffle_each_iteration=True)
        .repeat()
        .batch(batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )
