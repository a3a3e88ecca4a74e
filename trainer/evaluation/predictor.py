"""Logits of all examples of a split, in order, from all replicas.

Shapes: M = examples, B = examples of a batch on all replicas, C = classes.
"""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager

import keras
import numpy as np
import tensorflow as tf

from trainer import data
from trainer.cluster.termination import stop_error


def predictor(
    model: keras.Model,
    examples: data.Examples,
    *,
    batch_size: int,
    stop: tf.Variable,
    strategy: tf.distribute.Strategy,
    watched: Callable[[str], AbstractContextManager[None]],
    xla: bool,
) -> Callable[[], np.ndarray]:
    """A function that gives the model's present logits of `examples`: float32 [M, C].

    It is compiled once. `batch_size` counts one step's examples, of all replicas. Each
    worker takes part and gets all logits. When `stop`, float32 [], of one of them is
    above 0, the function raises StoppedError on all of them after the same step.
    `watched` has an eye on each step.
    """
    num_replicas = strategy.num_replicas_in_sync
    share = -(-batch_size // num_replicas)
    batches, num_steps = data.evaluation_batches(
        examples, per_replica_batch_size=share, strategy=strategy
    )
    size = share * num_replicas
    step = _compile_step(model, stop=stop, strategy=strategy, xla=xla)

    def predict() -> np.ndarray:
        iterator = iter(batches)
        parts: list[np.ndarray] = []
        computed: list[tf.Tensor] = []
        for i in range(num_steps + 1):
            damage = functools.partial(data.damage_of_rows, examples, i * size, size)
            with watched("a step of an evaluation"), data.reading(damage):
                # A step is computed while the one before it is looked at.
                if i < num_steps:
                    computed.append(step(next(iterator)))
                if i > 0:
                    parts.append(_keep(computed.pop(0).numpy()))
        return np.concatenate(parts)

    return predict


def _compile_step(
    model: keras.Model,
    *,
    stop: tf.Variable,
    strategy: tf.distribute.Strategy,
    xla: bool,
) -> Callable[[dict[str, tf.Tensor]], tf.Tensor]:
    """From a batch to every replica's rows of logits, weight and stop: [B, C + 2]."""

    @tf.function(jit_compile=xla, autograph=False)
    def forward(inputs: tf.Tensor) -> tf.Tensor:
        return tf.cast(model(inputs, training=False), tf.float32)

    def on_replica(batch: dict[str, tf.Tensor], stop: tf.Tensor) -> tf.Tensor:
        weight = batch["weight"][:, tf.newaxis]
        logits = forward(batch["input"])
        rows = tf.concat([logits, weight, tf.zeros_like(weight) + stop], axis=1)
        # In the order of the replicas.
        return tf.distribute.get_replica_context().all_gather(rows, axis=0)

    def step(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        gathered = strategy.run(on_replica, args=(batch, stop.read_value()))
        return strategy.experimental_local_results(gathered)[0]

    compiled: Callable[[dict[str, tf.Tensor]], tf.Tensor] = tf.function(
        step, autograph=False
    )
    return compiled


def _keep(rows: np.ndarray) -> np.ndarray:
    """The logits of the rows that count: [B, C + 2] -> [B', C]."""
    wish = rows[:, -1].max(initial=0)
    if wish:
        raise stop_error(wish, " in an evaluation, which the next start does again")
    kept: np.ndarray = rows[rows[:, -2] == 1, :-2]
    return kept
