"""The trainer itself: the compiled loop of a student's training, with its input."""

import dataclasses
import math
from typing import Any

import keras
import numpy as np

from tests.benchmarks import flops, timing
from tests.benchmarks.arrays import tiled
from tests.benchmarks.ready import Ready, process_secs, repeated
from tests.benchmarks.workloads import Workload
from trainer.data.arrays import ArrayExamples
from trainer.data.host_memory import empty
from trainer.doctor.compile_options import CompileOptions
from trainer.session import Session, train_state
from trainer.session.train_state import TrainSpec
from trainer.stages.student import distillation, make_specs, online


def distilling(session: Session, workload: Workload, *, turn_secs: float) -> Ready:
    """The steps that `python -m trainer student` takes between two evaluations.

    Where replicas exchange anything, `all_reduce_secs` comes with each turn.
    """
    learning, training, teacher = prepared(session, workload)
    learning.compiled.run(1)
    started_secs = process_secs()
    loop = session.config.runtime.steps_per_loop

    def run(num_steps: int) -> None:
        for done in range(0, num_steps, loop):
            learning.compiled.run(min(loop, num_steps - done))

    facts = {
        "first_step_secs": started_secs,
        "flops": flops.of_step(
            teacher=teacher, student=training.model, batch_size=workload.batch_size
        ),
        "traces": learning.compiled.compute.experimental_get_tracing_count(),
        "way": CompileOptions(
            xla="on" if session.devices.compiles("student") else "off",
            steps_per_execution=session.config.runtime.steps_per_execution,
        ).text,
    }
    turn = repeated(
        run,
        turn_secs=turn_secs,
        agreed=lambda count: session.devices.workers.broadcast(lambda: count),
    )
    if session.devices.strategy.num_replicas_in_sync == 1:
        return Ready(facts=facts, turn=turn)
    (exchange,) = timing.all_reduces(session, [_num_exchanged(learning, training)])
    return Ready(
        facts=facts,
        turn=lambda: turn() | {"all_reduce_secs": exchange.time()["secs"]},
    )


def prepared(
    session: Session, workload: Workload
) -> tuple[train_state.TrainState, TrainSpec, keras.Model | None]:
    """A student before its first step, and the teacher where it is online."""
    training, teacher = _training(session, workload)
    training = dataclasses.replace(
        training, examples=_repeated(training.examples, workload.num_examples)
    )
    return train_state.prepare(session.networks, training), training, teacher


def reading(session: Session, workload: Workload, *, turn_secs: float) -> Ready:
    """Batches of the training pipeline, which nothing learns from."""
    training, _ = _training(session, workload)
    batches = iter(train_state.batches(session.datasets, training, 0))

    def run(num_steps: int) -> None:
        for _ in range(num_steps):
            next(batches)["input"].numpy()

    run(1)
    facts: dict[str, Any] = {"first_step_secs": process_secs(), "flops": 0}
    return Ready(facts=facts, turn=repeated(run, turn_secs=turn_secs))


def _num_exchanged(learning: train_state.TrainState, training: TrainSpec) -> int:
    """Floats of a step's all-reduce."""
    exchanged = [*training.model.trainable_variables, *learning.update.moving]
    # As in trainer/train/step.py metrics, examples and the wish to stop go along.
    more = len(learning.compiled.objective.metrics) + 2
    return sum(math.prod(variable.shape) for variable in exchanged) + more


def _training(
    session: Session, workload: Workload
) -> tuple[TrainSpec, keras.Model | None]:
    """The student's, and the teacher where it is online."""
    seed = session.config.seeds[0]
    if workload.cached:
        return make_specs(session)(seed), None
    # With the weights that it begins with, so that it need not be trained.
    (section,) = session.config.teachers.values()
    teacher = session.networks.build("teacher", section.seed)
    teacher.trainable = False
    student = session.networks.build("student", seed)
    signals = online(session.networks, [teacher])
    training = distillation(session.networks, student, signals, seed)
    return training, teacher


def _repeated(examples: Any, count: int) -> ArrayExamples:
    """The same rows and ids again and again, as a larger set has them."""
    inputs = empty((count, *examples.inputs.shape[1:]), examples.inputs.dtype)
    inputs[:] = tiled(examples.inputs, count)
    return ArrayExamples(
        inputs=inputs,
        labels=tiled(examples.labels, count),
        ids=np.asarray(tiled(examples.ids, count)),
    )
