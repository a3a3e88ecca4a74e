"""Inference times of models, on one device and all in one sitting.

Shapes: M = examples, B = examples of a batch, C = classes.
"""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from trainer import data

BATCH_SIZES = (1, 256)
_WARM_UPS = 5  # rounds before those that count; the first compiles
_ROUNDS = 200  # of one batch size
_FEWEST_ROUNDS = 5
_ENOUGH_SECS = 30.0  # of one batch size, once there are the fewest


@dataclasses.dataclass(frozen=True, kw_only=True)
class Times:
    """The inference times of one role, by batch size; keys are text as in JSON."""

    ms_per_example: dict[str, float]  # medians over the rounds
    rounds: dict[str, int]


def measure(
    networks: Mapping[str, Sequence[keras.Model]],
    examples: data.Examples,
    *,
    device: str,
    compiles: Callable[[str], bool],
    deadline: float = math.inf,
) -> dict[str, Times]:
    """The forward passes of each role, whose networks predict one after the other.

    In each round every role predicts one batch: whatever slows the machine for a
    while slows all of them. A time is that from the call to the logits being back; the
    batch lies on the `device` already. It begins again with the first of the
    `examples` where there are fewer than a batch. `compiles` says for which roles XLA
    does. Nothing begins after the `deadline` of `time.monotonic`; a batch size that it
    leaves too few rounds has no times.
    """
    times = {role: Times(ms_per_example={}, rounds={}) for role in networks}
    with tf.device(device):
        steps = {
            role: _compile(models, xla=compiles(role))
            for role, models in networks.items()
        }
        for batch_size in BATCH_SIZES:
            rows = np.arange(batch_size) % len(examples)
            batch = tf.identity(examples.read(rows))
            for role, secs in _rounds(steps, batch, deadline=deadline).items():
                per_example = 1000 * statistics.median(secs) / batch_size
                times[role].ms_per_example[str(batch_size)] = per_example
                times[role].rounds[str(batch_size)] = len(secs)
    return times


def _compile(
    models: Sequence[keras.Model], *, xla: bool
) -> Callable[[tf.Tensor], tf.Tensor]:
    """From inputs [B, ...] to the logits of all models: [B, all their classes]."""

    @tf.function(jit_compile=xla, autograph=False)
    def forward(inputs: tf.Tensor) -> tf.Tensor:
        predictions = [model(inputs, training=False) for model in models]
        # Members may know other classes.
        return tf.concat([tf.cast(x, tf.float32) for x in predictions], axis=1)

    compiled: Callable[[tf.Tensor], tf.Tensor] = forward
    return compiled


def _rounds(
    steps: Mapping[str, Callable[[tf.Tensor], tf.Tensor]],
    batch: tf.Tensor,
    *,
    deadline: float = math.inf,
) -> dict[str, list[float]]:
    """Seconds of each role, one a round; of no role where there is no time for it."""
    for _ in range(_WARM_UPS):
        for step in steps.values():
            if time.monotonic() > deadline:
                return {}
            step(batch).numpy()
    secs: dict[str, list[float]] = {role: [] for role in steps}
    begun = time.monotonic()
    enough = min(begun + _ENOUGH_SECS, (begun + deadline) / 2)
    for number in range(_ROUNDS):
        if number >= _FEWEST_ROUNDS and time.monotonic() > enough:
            break
        if time.monotonic() > deadline:
            return {}
        for role, step in steps.items():
            started = time.perf_counter()
            # Fetching the logits waits for the device.
            step(batch).numpy()
            secs[role].append(time.perf_counter() - started)
    return secs
