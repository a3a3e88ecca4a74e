"""A small student in training beside its teacher, on any number of replicas."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import keras
import numpy as np
import pytest

from tests.helpers.devices import numpy_of, strategy_of
from trainer import data, losses, models, optimizers, soft_targets
from trainer.config import (
    AdamOptions,
    DistillConfig,
    MixConfig,
    MlpOptions,
    SgdOptions,
    TermConfig,
    TrainConfig,
)
from trainer.devices import distribution
from trainer.runs.variant_session import forget_models
from trainer.train import objective, step
from trainer.train.connecting import connect
from trainer.train.distillation_loss import DistillationLoss
from trainer.train.feature_loss import Connection
from trainer.train.terms import Term, build_term

IMAGE_SHAPE = (6, 6, 1)
NUM_CLASSES = 5
BATCH = 12
SEED = 3
_COLLECTED = 2  # runs, of which the unused ones are collected


def examples(num: int = 50) -> data.ArrayExamples:
    """Noise images whose label is the brightest of five pixels: learnable."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (num, *IMAGE_SHAPE), dtype=np.uint8)
    labels = images.reshape(num, -1)[:, :NUM_CLASSES].argmax(axis=1).astype(np.int32)
    return data.ArrayExamples(inputs=images, labels=labels, ids=np.arange(num))


def build_mlp(options: MlpOptions, seed: int = 0, precision: str = "float32"):
    return models.build(
        "mlp",
        options,
        inputs=models.Inputs(shape=IMAGE_SHAPE),
        num_classes=NUM_CLASSES,
        seed=seed,
        precision=precision,
        setting="student",
    )


def linear(options: MlpOptions, precision: str = "float32") -> keras.Model:
    """A model of one layer, whatever the options, for the textbook's gradient."""
    del options, precision
    keras.utils.set_random_seed(1)
    image = keras.Input(IMAGE_SHAPE, dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.Dense(NUM_CLASSES)(x))


SGD = TrainConfig(
    global_batch_size=BATCH,
    steps=20,
    learning_rate=0.1,
    optimizer="sgd",
    optimizer_options=SgdOptions(momentum=0.9, nesterov=True),
)
ADAM = TrainConfig(
    global_batch_size=BATCH,
    steps=20,
    learning_rate=1e-3,
    optimizer="adam",
    optimizer_options=AdamOptions(),
)
DROPOUT = MlpOptions(hidden_sizes=(16, 16), input_dropout=0.1, dropout=0.5)


def connected(
    terms: Sequence[TermConfig],
    student: keras.Model,
    teacher: keras.Model,
    *,
    precision: str = "float32",
    images: data.ArrayExamples | None = None,
) -> dict[int, Connection]:
    """The networks of the terms between layers, in the scope of a strategy."""
    between = {i: term for i, term in enumerate(terms) if term.is_of_features}
    if not between:
        return {}
    inputs = np.array((examples() if images is None else images).inputs[:4])
    return {
        i: connect(
            term,
            student=student,
            teacher=teacher,
            student_examples=inputs,
            teacher_examples=inputs,
            key=(SEED, i),
            precision=precision,
            setting=f"distill.terms[{i}]",
        )
        for i, term in between.items()
    }


def signal_of(
    *teachers: keras.Model,
    weights=(1.0,),
    layers: Sequence[str] = (),
    xla: bool = False,
) -> objective.TeacherSignal:
    signals = [
        soft_targets.online(
            teacher, models.find_taps(teacher, layers, setting="layer"), xla=xla
        )
        for teacher in teachers
    ]
    return lambda batch: losses.TeacherPredictions(
        members=[signal(batch) for signal in signals], weights=weights
    )


def built_terms(
    terms: Sequence[TermConfig],
    *,
    num_steps: int = 100,
    steps_per_epoch: float = 10.0,
    group_size: int = 0,
    connections: Mapping[int, Connection] = MappingProxyType({}),
) -> list[Term]:
    return [
        build_term(
            term,
            name=f"{term.loss}[{i}]",
            setting=f"distill.terms[{i}]",
            num_steps=num_steps,
            steps_per_epoch=steps_per_epoch,
            group_size=group_size,
            logs_weight=False,
            connection=connections.get(i),
        )
        for i, term in enumerate(terms)
    ]


def kl_term(alpha: float, temperature: float) -> Term:
    """The term of the short form."""
    config = DistillConfig(alpha=alpha, temperature=temperature)
    (term,) = built_terms(config.terms)
    return dataclasses.replace(term, name="soft_loss")


# The metrics of each step, and the weights at the end.
Measured = tuple[list[dict[str, float]], list[np.ndarray]]


class Run:
    """A student in training beside its teacher, on any number of replicas.

    Those that nobody needs any more are collected now and then: the threads of many
    old iterators wait for one another when all are collected at once.
    """

    _numbers = itertools.count(1)

    def __init__(
        self,
        *,
        train: TrainConfig,
        num_replicas: int = 1,
        xla: bool | Literal["teacher", "student"] = False,
        steps_per_execution: int = 1,
        options: MlpOptions = DROPOUT,
        build=build_mlp,
        build_teacher=build_mlp,
        precision: str = "float32",
        alpha: float = 0.7,
        temperature: float = 3.0,
        terms: Sequence[TermConfig] = (),  # in place of alpha and temperature
        hard_weight: float = 1.0,
        class_weights: tuple[float, ...] = (),
        group_size: int = 0,
        term_gradients: bool = False,
        mixing: MixConfig | None = None,  # of [distill]; None: that of `train`
        distil: bool = True,
        images: data.ArrayExamples | None = None,
        change_core: Callable[
            [objective.Objective], objective.Objective
        ] = lambda unchanged: unchanged,
    ) -> None:
        if next(self._numbers) % _COLLECTED == 0:
            forget_models()
        self.strategy = strategy_of(num_replicas)
        self.stop = distribution.stop_flag()
        with self.strategy.scope():
            self.teacher = build_teacher(
                MlpOptions(hidden_sizes=(24,), dropout=0.5), seed=9
            )
            self.teacher.trainable = False
            self.student = build(options, precision=precision)
            self.connections = connected(
                terms, self.student, self.teacher, precision=precision, images=images
            )
            self.adapters = [
                adapter
                for connection in self.connections.values()
                for adapter in filter(None, connection.adapters)
            ]
            self.update = optimizers.OptimizerUpdate(
                self.student,
                train,
                float16=precision == "mixed_float16",
                adapters=self.adapters,
            )
        computed = (
            objective.distillation(
                self.student,
                signal_of(
                    self.teacher,
                    layers=[x for term in terms for x in term.teacher_layers],
                    xla=xla == "teacher",
                ),
                DistillationLoss(
                    terms=(
                        built_terms(
                            terms,
                            num_steps=train.steps,
                            group_size=group_size,
                            connections=self.connections,
                        )
                        or [kl_term(alpha, temperature)]
                    ),
                    hard_weight=hard_weight if terms else 1.0 - alpha,
                    label_smoothing=train.label_smoothing,
                    class_weights=class_weights,
                ),
                mixing=mixing or train,
                seed=SEED,
                term_gradients=term_gradients,
                compiles_student=xla == "student",
            )
            if distil
            else objective.supervised(
                self.student, train, seed=SEED, class_weights=class_weights
            )
        )
        self.schedule = optimizers.schedule(
            train, num_steps=train.steps, setting="student.train"
        )
        self.compiled = step.compile_step(
            change_core(computed),
            model=self.student,
            update=self.update,
            schedule=self.schedule,
            batches=data.training_batches(
                examples() if images is None else images,
                augment=data.Augment(operations=(), crop=None),
                views=data.Views(seed=SEED, count=None),
                auxiliary=None,
                seed=SEED,
                per_replica_batch_size=train.global_batch_size // num_replicas,
                first_step=0,
                strategy=self.strategy,
                steps_per_execution=steps_per_execution,
            ),
            accumulate=train.accumulate,
            stop=self.stop,
            strategy=self.strategy,
            xla=xla in (True, "student"),
            in_programs=steps_per_execution > 1,
        )

    def losses(self, num_steps: int) -> list[float]:
        return [self.compiled.run(1)["loss"] for _ in range(num_steps)]

    def weights(self) -> list[np.ndarray]:
        networks = (self.student, *self.adapters)
        return [numpy_of(v) for network in networks for v in network.variables]


def batch_norm_model(
    options: MlpOptions, seed: int = 0, precision: str = "float32"
) -> keras.Model:
    del options, precision
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE, dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(8),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )


def assert_same_and_moving(found: Measured, reference: Measured) -> None:
    """Two trainings are the same to rounding, and each loss of them really moves."""
    losses, weights = reference
    for name, warm in losses[3].items():
        moves = [abs(step[name] / warm - 1.0) for step in losses[4:]]
        assert max(moves) > 0.01, name
    for ours, theirs in zip(found[0], losses, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5)
    for actual, expected in zip(found[1], weights, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)
