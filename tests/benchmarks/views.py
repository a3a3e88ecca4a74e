"""The processor time of strong views: on the host, with XLA and without, and beside it.

    python -m tests.benchmarks.views [--rounds=N]

A batch of 64 drawn images of 224 x 224 pixels is changed by each view in a tf.data
pipeline of two calls at a time, as trainings do, with XLA and without, and by XLA on
the first device. The contenders take turns in one process. A figure is the time of all
threads for each image; of a GPU, which has its own processors, the time that passes.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from unittest import mock

import numpy as np
import tensorflow as tf

from trainer import prng
from trainer.config.augmentations import AUGMENTATIONS
from trainer.data import augment, random_operations

_VIEWS = ("rand_augment", "trivial_augment", "color_jitter", "random_erasing")
_BATCH, _SIDE, _CALLS, _BATCHES = 64, 224, 2, 8

Turn = Callable[[], object]


def main(words: Sequence[str]) -> None:
    """Prints milliseconds an image for each view and contender."""
    options = dict(word.removeprefix("--").split("=", 1) for word in words)
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (_BATCH, 8, 8, 3))
    smooth = tf.image.resize(coarse, (_SIDE, _SIDE), method="bicubic")
    images = tf.cast(tf.clip_by_value(smooth, 0, 255), tf.uint8)
    turns = {
        (view, contender): turn
        for view in _VIEWS
        for contender, turn in _contenders(view, images).items()
    }
    rounds = int(options.get("rounds", 7))
    secs = {name: [_secs_an_image(turn)] for name, turn in turns.items()}
    for _ in range(rounds):
        for name, turn in turns.items():
            secs[name].append(_secs_an_image(turn))
    for (view, contender), found in secs.items():
        first, *others = found  # the first turn compiles
        print(
            f"{view}, {contender}: {1000 * statistics.median(others):.2f} ms an image, "
            f"first batches {_BATCHES * _BATCH * first:.1f} s"
        )


def _contenders(view: str, images: tf.Tensor) -> dict[str, Turn]:
    show = augment.augmentation(
        view,
        AUGMENTATIONS[view](),
        input_shape=tuple(images.shape[1:]),
        setting="data",
    )

    def of_epoch(images: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        return show(images, prng.key(0, epoch, tf.range(_BATCH)))

    def plain(images: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        with mock.patch.object(
            random_operations, "_compile", lambda function: function
        ):
            return of_epoch(images, epoch)

    on_device = tf.function(of_epoch, autograph=False)

    def beside() -> None:
        for epoch in range(_BATCHES):
            on_device(images, tf.constant(epoch))[0, 0, 0, 0].numpy()

    return {
        "host": _pipeline(plain, images),
        "host with XLA": _pipeline(of_epoch, images),
        "device with XLA": beside,
    }


def _pipeline(
    function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], images: tf.Tensor
) -> Turn:
    epochs = tf.data.Dataset.range(_BATCHES, output_type=tf.int32)
    batches = epochs.map(lambda e: function(images, e), num_parallel_calls=_CALLS)
    options = tf.data.Options()
    options.autotune.enabled = False
    batches = batches.with_options(options)
    return lambda: [None for _ in batches]


def _secs_an_image(turn: Turn) -> float:
    has_gpu = bool(tf.config.list_logical_devices("GPU"))
    clock = time.perf_counter if has_gpu else time.process_time
    begun = clock()
    turn()
    return (clock() - begun) / (_BATCHES * _BATCH)


if __name__ == "__main__":
    main(sys.argv[1:])
