"""The time of a student's step with a hint between maps, beside that of kl alone.

    python -m tests.benchmarks.hint [ROUNDS]

The pair of configs/keras_mnist_cnn.toml on bundled digits: the last maps are 7 x 7,
with 32 and 512 channels. A third contender is the adapter alone: its forward and
backward pass and its update, for a batch of such maps. All are compiled as a run
compiles them and warm, and take turns; what the hint adds is compared with the adapter.
"""

import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import tensorflow as tf

from tests.helpers import whole_run
from trainer import config, losses, optimizers
from trainer.devices import distribution
from trainer.optimizers.vector import flatten
from trainer.session import Session, train_state
from trainer.stages.student import distillation, online

_ROUNDS = 200
_TURN_STEPS = 10  # short, for other programs come and go

_PAIR = """
name = "hint"

[data]
dataset = "mnist_mini"

[teacher]
model = "cnn"
options.filters = [256, 512]
train = {global_batch_size = 64, epochs = 1}

[student]
model = "cnn"
options.filters = [16, 32]
train = {global_batch_size = 64, epochs = 3}

[distill]
soft_targets = "online"
terms = [TERMS]
"""
_KL = "{loss = 'kl'}"
_LAYER = "convolution_2"
_HINT = f"{{loss = 'hint', student_layer = '{_LAYER}', teacher_layer = '{_LAYER}'}}"


def main(words: list[str]) -> None:
    """Prints medians, and what the hint adds over the adapter alone, of these."""
    num_rounds = int(words[0]) if words else _ROUNDS
    with tempfile.TemporaryDirectory(prefix="alambic-") as folder:
        path = pathlib.Path(folder)
        kl, _ = _step(path / "kl", _KL)
        both, state = _step(path / "both", f"{_KL}, {_HINT}")
        contenders = {
            "kl": kl,
            "kl and hint": both,
            "adapter alone": _adapter_alone(state),
        }
        # The first round compiles.
        rounds = [
            {name: _secs(run) for name, run in contenders.items()}
            for _ in range(1 + num_rounds)
        ][1:]
    medians = {
        name: statistics.median(turns[name] for turns in rounds) / _TURN_STEPS
        for name in contenders
    }
    for name, secs in medians.items():
        print(f"{name}: {1000 * secs:.2f} ms a step")
    added = medians["kl and hint"] - medians["kl"]
    print(
        f"the hint adds {1000 * added:.2f} ms, {added / medians['adapter alone']:.2f} "
        f"times the adapter alone (medians of {num_rounds} rounds of {_TURN_STEPS} "
        "steps in turn)"
    )


def _step(
    folder: pathlib.Path, terms: str
) -> tuple[Callable[[int], object], tuple[Session, train_state.TrainSpec]]:
    folder.mkdir()
    file = folder / "pair.toml"
    file.write_text(_PAIR.replace("TERMS", terms))
    given = config.load(str(file), [])
    run = whole_run.session(
        given, folder, distribution.strategy(given.runtime, num_workers=1)
    )
    teacher = run.networks.build("teacher", 0)
    teacher.trainable = False
    spec = distillation(
        run.networks,
        run.networks.build("student", 0),
        online(run.networks, [teacher]),
        0,
        teachers=[teacher],
    )
    return train_state.prepare(run.networks, spec).compiled.run, (run, spec)


def _adapter_alone(
    of_both: tuple[Session, train_state.TrainSpec],
) -> Callable[[int], object]:
    """Forward, backward and update of the adapter on a batch of drawn maps."""
    run, spec = of_both
    (adapter,) = spec.objective.adapters
    kernel = adapter.trainable_variables[0]
    _, _, channels, wanted = kernel.shape
    size = spec.section.global_batch_size
    places = spec.model.get_layer(_LAYER).output.shape[1:3]
    student = tf.random.normal((size, *places, channels))
    teacher = tf.random.normal((size, *places, wanted))
    update = optimizers.OptimizerUpdate(adapter, spec.section, float16=False)

    @tf.function(jit_compile=run.devices.compiles("student"), autograph=False)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(student)
            loss = tf.reduce_sum(
                losses.hint_loss(adapter(student, training=True), teacher)
            )
        *gradients, to_student = tape.gradient(
            loss, [*adapter.trainable_variables, student]
        )
        update.apply(flatten(gradients) / size, [], tf.constant(1e-3))
        return tf.reduce_sum(to_student)

    def repeat(num_steps: int) -> None:
        for _ in range(num_steps):
            step()

    return repeat


def _secs(run: Callable[[int], object]) -> float:
    started = time.perf_counter()
    run(_TURN_STEPS)
    return time.perf_counter() - started


if __name__ == "__main__":
    main(sys.argv[1:])
