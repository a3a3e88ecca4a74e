"""Repeating a step on the devices: one after another, or several as one XLA program.

Between programs the host starts operations and hands over batches; where steps are
small, that is most of their time. A program of XLA cannot wait for other replicas, so
several steps in one are for a replica that trains alone.

Shapes: S = sums of a step, N = steps of a program.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import tensorflow as tf

from trainer.data import Batch

# A compiled function of tensors, which knows its traces and graph.
Compiled: TypeAlias = tf.types.experimental.PolymorphicFunction


# One step: from a batch, and whether to stop, to its float32 [S] sums.
TrainStep: TypeAlias = Callable[[Batch, tf.Tensor], tf.Tensor]

# Steps: from their number, int32 [], to their float64 [S] sums.
MultiStep: TypeAlias = Callable[[tf.Tensor], tf.Tensor]


def repeat_steps(
    train_step: TrainStep,
    iterator: Iterator[Batch],
    stop: tf.Variable,
    *,
    num_sums: int,
) -> Compiled:
    """Steps one after another, in one graph; `train_step` counts them."""

    def add(done: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        more = train_step(next(iterator), stop.read_value())
        return done + 1, sums + tf.cast(more, tf.float64)

    @tf.function(autograph=False)
    def multi_step(num_steps: tf.Tensor) -> tf.Tensor:
        nothing = tf.zeros([num_sums], tf.float64)
        return tf.while_loop(
            lambda done, _: done < num_steps, add, (tf.constant(0), nothing)
        )[1]

    return multi_step


def repeat_in_programs(
    train_step: TrainStep,
    iterator: Iterator[Batch],
    stop: tf.Variable,
    *,
    num_sums: int,
    device: str,
) -> MultiStep:
    """Repeats steps whose batches come N together; XLA may compile such a program.

    The programs run on `device`, and read `stop` before they begin. Batches that are
    left over wait for the next call.
    """
    specs = iterator.element_spec  # type: ignore[attr-defined]
    size = specs["label"].shape[0]
    program = _compile_program(train_step, num_sums)

    def on_device(several: Batch, first: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
        wish = stop.read_value()
        with tf.device(device):
            return program(several, first, end, wish)

    run = _compile_loop(on_device, iterator, size=size, num_sums=num_sums)
    # An empty, already exhausted buffer: the first step fetches a batch.
    several = {name: tf.zeros(spec.shape, spec.dtype) for name, spec in specs.items()}
    left = [tf.constant(size), several]

    def multi_step(num_steps: tf.Tensor) -> tf.Tensor:
        sums, *left[:] = run(num_steps, *left)
        return sums

    return multi_step


def _compile_loop(
    program: Callable[[Batch, tf.Tensor, tf.Tensor], tf.Tensor],
    iterator: Iterator[Batch],
    *,
    size: int,
    num_sums: int,
) -> Compiled:
    """From steps, and N batches with how many of them are used, to sums and these."""

    @tf.function(autograph=False)
    def run(num_steps: tf.Tensor, used: tf.Tensor, several: Batch) -> Any:
        def add(
            done: tf.Tensor, sums: tf.Tensor, used: tf.Tensor, several: Batch
        ) -> Any:
            used, several = tf.cond(
                used < size,
                lambda: (used, several),
                lambda: (tf.constant(0), next(iterator)),
            )
            end = tf.minimum(used + num_steps - done, size)
            more = program(several, used, end)
            return done + end - used, sums + more, end, several

        nothing = tf.zeros([num_sums], tf.float64)
        return tf.while_loop(
            lambda done, *_: done < num_steps,
            add,
            (tf.constant(0), nothing, used, several),
        )[1:]

    return run


def _compile_program(train_step: TrainStep, num_sums: int) -> Compiled:
    """From N batches and the range of those that are taken, to sums."""

    @tf.function(jit_compile=True, autograph=False)
    def program(
        several: Batch, first: tf.Tensor, end: tf.Tensor, stop: tf.Tensor
    ) -> tf.Tensor:
        def add(i: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch = {name: values[i] for name, values in several.items()}
            return i + 1, sums + tf.cast(train_step(batch, stop), tf.float64)

        nothing = tf.zeros([num_sums], tf.float64)
        return tf.while_loop(lambda i, _: i < end, add, (first, nothing))[1]

    return program
