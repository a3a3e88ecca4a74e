"""What a frozen teacher gains by BatchNormalization that is folded away.

    python -m tests.benchmarks.folding

prints a table in Markdown. The forward passes of a network, whole and folded, take
turns in one process; XLA is off. Pixels and weights do not matter to a clock.
"""

import statistics
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from tests.benchmarks.ready import repeated
from tests.helpers.small_models import num_normalisations
from trainer import models
from trainer.config import ApplicationOptions

NETWORKS = (
    *("Xception", "ResNet50", "ResNet50V2"),
    *("MobileNetV2", "EfficientNetB0", "DenseNet121"),
)
PRECISIONS = ("float32", "mixed_bfloat16")

_BATCH_SIZE, _IMAGE_SIZE = 16, 96
_NUM_TURNS, _TURN_SECS = 11, 0.5


def lines() -> Iterator[str]:
    """The table, a network at a time."""
    yield (
        "| network | precision | BatchNorm | folded | ms | ms folded | times as fast "
        "(min - max) |"
    )
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for precision in PRECISIONS:
        for name in NETWORKS:
            yield _row(name, precision)


def _row(name: str, precision: str) -> str:
    teacher = models.build(
        name,
        ApplicationOptions(),
        inputs=models.Inputs(shape=(_IMAGE_SIZE, _IMAGE_SIZE, 3)),
        num_classes=10,
        seed=0,
        precision=precision,
        setting="teacher",
    )
    folded = models.fold_batch_norm(teacher)
    turns = [_turns(teacher), _turns(folded)]
    times = [[turn()["secs"] for turn in turns] for _ in range(_NUM_TURNS)]
    whole, fewer = (1000 * statistics.median(side) for side in zip(*times, strict=True))
    ratios = [before / after for before, after in times]
    count, left = num_normalisations(teacher), num_normalisations(folded)
    return (
        f"| {name} | {precision} | {count} | {count - left} "
        f"| {whole:.1f} | {fewer:.1f} "
        f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f}) |"
    )


def _turns(model: keras.Model) -> Callable[[], dict[str, float]]:
    images = tf.zeros([_BATCH_SIZE, _IMAGE_SIZE, _IMAGE_SIZE, 3], tf.uint8)
    answers = tf.function(lambda: model(images, training=False), autograph=False)

    def run(num_steps: int) -> None:
        for _ in range(num_steps):
            answers().numpy()

    run(1)
    return repeated(run, turn_secs=_TURN_SECS)


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)
