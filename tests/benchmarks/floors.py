"""What no trainer can undercut: the networks alone, without input, loop or log.

Each part is compiled in every way there is, and its quickest one counts. It runs in a
loop on the device, on a few batches that stay in memory; the batch changes from one
repetition to the next, so that nothing can be computed once for all.
"""

import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.benchmarks import flops
from tests.benchmarks.keras_models import Pair
from tests.benchmarks.ready import Ready, process_secs, repeated
from tests.benchmarks.workloads import Workload
from trainer import models

_NUM_BATCHES = 4
SIZES = (1024, 2048)  # of the square matrices of which the quickest counts
_TRIAL_SECS = 0.5  # of each way to compile

Run = Callable[[int], object]  # as many repetitions


def networks(pair: Pair, workload: Workload, *, turn_secs: float) -> Ready:
    """The teacher's forward pass, where it is online, and the student's step."""
    batches = _batches(pair, workload)
    parts: dict[str, Mapping[str, Run]] = {"student": _student_runs(pair, batches)}
    if not workload.cached:
        parts["teacher"] = _teacher_runs(pair.teacher, batches["input"])
    chosen = {name: _quickest(runs, turn_secs) for name, runs in parts.items()}
    facts: dict[str, Any] = {
        "flops": flops.of_step(
            teacher=None if workload.cached else pair.teacher,
            student=pair.student,
            batch_size=workload.batch_size,
        ),
        "compiled": chosen,
    }
    turns = {
        name: repeated(runs[chosen[name]], turn_secs=turn_secs / len(parts))
        for name, runs in parts.items()
    }

    def turn() -> dict[str, float]:
        secs = {name: part()["secs"] for name, part in turns.items()}
        return {"secs": sum(secs.values())} | {f"{k}_secs": v for k, v in secs.items()}

    return Ready(facts=facts, turn=turn)


def matmul(dtype: str, *, turn_secs: float, sizes: Sequence[int] = SIZES) -> Ready:
    """The product of two square matrices, of the size that gives the most."""
    runs = {size: _matmul_run(size, dtype) for size in sizes}
    for run in runs.values():
        run(1)
    secs = {size: repeated(run, turn_secs=0)()["secs"] for size, run in runs.items()}
    best = max(sizes, key=lambda size: size**3 / secs[size])
    facts = {"flops": 2 * best**3, "size": best}
    return Ready(facts=facts, turn=repeated(runs[best], turn_secs=turn_secs))


def decoding(folder: str, workload: Workload, *, turn_secs: float) -> Ready:
    """JPEG files decoded on all cores; nothing is resized, cropped or batched."""
    paths = sorted(str(path) for path in pathlib.Path(folder).glob("*/*.jpg"))
    images = (
        tf.data.Dataset.from_tensor_slices(paths)
        .repeat()
        .map(
            lambda path: tf.reduce_max(tf.io.decode_jpeg(tf.io.read_file(path))),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .batch(workload.batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )
    batches = iter(images)

    def run(num_steps: int) -> None:
        for _ in range(num_steps):
            next(batches).numpy()

    run(1)
    facts: dict[str, Any] = {"first_step_secs": process_secs(), "flops": 0}
    return Ready(facts=facts, turn=repeated(run, turn_secs=turn_secs))


def _batches(pair: Pair, workload: Workload) -> dict[str, tf.Tensor]:
    """[batches, B, ...] each."""
    count = _NUM_BATCHES * workload.batch_size
    num_classes = pair.student.output_shape[-1]
    logits = np.zeros((count, num_classes), np.float32)
    if pair.logits is not None:
        logits = pair.logits[:count]
    rows = {"input": pair.inputs[:count], "label": pair.labels[:count]}
    return {
        name: tf.constant(values.reshape(_NUM_BATCHES, -1, *values.shape[1:]))
        for name, values in (rows | {"logits": logits}).items()
    }


def _teacher_runs(teacher: keras.Model, inputs: tf.Tensor) -> Mapping[str, Run]:
    def answer(model: keras.Model, i: tf.Tensor) -> tf.Tensor:
        logits = model(inputs[i], training=False)
        return tf.reduce_sum(tf.cast(logits, tf.float32))

    whole = functools.partial(answer, teacher)
    runs = {"": _loop(whole, xla=False), "XLA": _loop(whole, xla=True)}
    folded = models.fold_batch_norm(teacher)
    if folded is not teacher:
        fewer = functools.partial(answer, folded)
        runs["BatchNorm folded"] = _loop(fewer, xla=False)
    return runs


def _student_runs(pair: Pair, batches: dict[str, tf.Tensor]) -> Mapping[str, Run]:
    student, trained = pair.student, pair.student.trainable_variables
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(trained)
    slots = [(tf.Variable(v * 0), tf.Variable(v * 0)) for v in map(_tensor, trained)]

    def step(apply: Callable[[list[tf.Tensor]], object], i: tf.Tensor) -> tf.Tensor:
        batch = {name: values[i] for name, values in batches.items()}
        with tf.GradientTape() as tape:
            logits = tf.cast(student(batch["input"], training=True), tf.float32)
            loss = _loss(pair, logits, batch)
        apply(tape.gradient(loss, trained))
        return loss

    def by_keras(gradients: list[tf.Tensor]) -> None:
        optimizer.apply(gradients)

    def by_kernel(gradients: list[tf.Tensor]) -> None:
        # One operation for each variable. The powers of beta stand still.
        for value, gradient, (m, v) in zip(trained, gradients, slots, strict=True):
            handles = (value.value.handle, m.handle, v.handle)
            constants = (0.9, 0.999, 1e-3, 0.9, 0.999, 1e-7)
            tf.raw_ops.ResourceApplyAdam(
                **dict(zip(_ADAM, (*handles, *constants, gradient), strict=True))
            )

    return {
        "": _loop(functools.partial(step, by_keras), xla=False),
        "one kernel a variable": _loop(functools.partial(step, by_kernel), xla=False),
        "XLA": _loop(functools.partial(step, by_keras), xla=True),
    }


_ADAM = (
    *("var", "m", "v", "beta1_power", "beta2_power", "lr"),
    *("beta1", "beta2", "epsilon", "grad"),
)


def _loss(pair: Pair, logits: tf.Tensor, batch: dict[str, tf.Tensor]) -> tf.Tensor:
    """With the cross-entropy in the place of the divergence: the same gradient."""
    distill = pair.config.distill
    temperature, alpha = distill.temperature, distill.alpha
    soft = tf.nn.softmax_cross_entropy_with_logits(
        tf.nn.softmax(batch["logits"] / temperature), logits / temperature
    )
    hard = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], logits)
    return tf.reduce_mean(alpha * temperature**2 * soft + (1 - alpha) * hard)


def _matmul_run(size: int, dtype: str) -> Run:
    first = tf.cast(tf.random.stateless_normal([size, size], seed=[1, 2]), dtype)
    # Reverses columns: values stay as they are, however often it is applied.
    factor = tf.cast(tf.reverse(tf.eye(size), [1]), dtype)

    def body(i: tf.Tensor, product: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return i + 1, tf.matmul(product, factor)

    @tf.function(autograph=False)
    def multiply(count: tf.Tensor) -> tf.Tensor:
        return tf.while_loop(lambda i, _: i < count, body, (tf.constant(0), first))[1][
            0, 0
        ]

    return lambda count: multiply(tf.constant(count)).numpy()


def _loop(one: Callable[[tf.Tensor], tf.Tensor], *, xla: bool) -> Run:
    compiled = tf.function(one, autograph=False, jit_compile=xla)

    def body(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return i + 1, total + compiled(i % _NUM_BATCHES)

    @tf.function(autograph=False)
    def repeat(count: tf.Tensor) -> tf.Tensor:
        return tf.while_loop(
            lambda i, _: i < count,
            body,
            (tf.constant(0), tf.constant(0.0)),
            parallel_iterations=1,
        )[1]

    return lambda count: repeat(tf.constant(count)).numpy()


def _quickest(runs: Mapping[str, Run], turn_secs: float) -> str:
    secs = {}
    for name, run in runs.items():
        run(1)
        turn = repeated(run, turn_secs=min(turn_secs, _TRIAL_SECS))
        secs[name] = turn()["secs"]
    return min(secs, key=secs.__getitem__)


def _tensor(variable: keras.Variable) -> tf.Tensor:
    return tf.convert_to_tensor(variable.value)
