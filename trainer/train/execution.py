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
Take: TypeAlias = Callable[[Batch, tf.Tensor], tf.Tensor]

# Steps: from their number, int32 [], to their float64 [S] sums.
Repeat: TypeAlias = Callable[[tf.Tensor], tf.Tensor]


def repeat_steps(
    take: Take, iterator: Iterator[Batch], stop: tf.Variable, *, num_sums: int
) -> Compiled:
    """Steps one after another, in one graph; `take` counts them."""

    def add(done: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        more = take(next(iterator), stop.read_value())
        return done + 1, sums + tf.cast(more, tf.float64)

    @tf.function(autograph=False)
    def repeat(num_steps: tf.Tensor) -> tf.Tensor:
        nothing = tf.zeros([num_sums], tf.float64)
        return tf.while_loop(
            lambda done, _: done < num_steps, add, (tf.constant(0), nothing)
        )[1]

    return repeat


def repeat_in_programs(
    take: Take,
    iterator: Iterator[Batch],
    stop: tf.Variable,
    *,
    num_sums: int,
    device: str,
) -> Repeat:
    """As `repeat_steps`, where batches come N together and XLA may compile a step.

    The programs run on `device`, and read `stop` before they begin. Batches that are
    left over wait for the next call.
    """
    specs = iterator.element_spec  # type: ignore[attr-defined]
    size = specs["label"].shape[0]
    program = _compile_program(take, num_sums)

    def on_device(several: Batch, first: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
        wish = stop.read_value()
        with tf.device(device):
            return program(several, first, end, wish)

    run = _compile_loop(on_device, iterator, size=size, num_sums=num_sums)
    # Nothing, all of which counts as used.
    several = {name: tf.zeros(spec.shape, spec.dtype) for name, spec in specs.items()}
    left = [tf.constant(size), several]

    def repeat(num_steps: tf.Tensor) -> tf.Tensor:
        sums, *left[:] = run(num_steps, *left)
        return sums

    return repeat


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


def _compile_program(take: Take, num_sums: int) -> Compiled:
    """From N batches and the range of those that are taken, to sums."""

    @tf.function(jit_compile=True, autograph=False)
    def program(
        several: Batch, first: tf.Tensor, end: tf.Tensor, stop: tf.Tensor
    ) -> tf.Tensor:
        def add(i: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch = {name: values[i] for name, values in several.items()}
            return i + 1, sums + tf.cast(take(batch, stop), tf.float64)

        nothing = tf.zeros([num_sums], tf.float64)
        return tf.while_loop(lambda i, _: i < end, add, (first, nothing))[1]

    return program
