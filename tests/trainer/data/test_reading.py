"""Files that go away while a model is trained or evaluated on them."""

import contextlib
import pathlib

import keras
import pytest
import tensorflow as tf

from tests.helpers import drawn_images
from tests.helpers.devices import strategy_of
from tests.helpers.messages import refused
from tests.helpers.students import SGD, Run
from trainer import data
from trainer.config import DataConfig, MlpOptions
from trainer.devices import distribution
from trainer.evaluation.predictor import predictor

SIZE = 6
EMPTIED = ("Input is empty", "the same command")


@pytest.fixture
def examples(tmp_path) -> data.Examples:
    drawn_images.write(tmp_path / "drawn", 40, size=24)
    config = DataConfig(
        dataset=f"folder:{tmp_path}/drawn",
        train_split="train[:32]",
        validation_split="train[32:36]",
        test_split="train[36:]",
        image_size=SIZE,
        memory_budget_bytes=0,
    )
    return data.open_source(config, tmp_path).read(config.train_split)


def linear(
    options: MlpOptions | None = None, seed: int = 0, precision: str = "float32"
) -> keras.Model:
    del options, seed, precision
    image = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.Dense(len(drawn_images.CLASSES))(x))


def lose(examples: data.Examples) -> None:
    for path in examples.paths:
        pathlib.Path(path).write_bytes(b"")


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_training_names_the_reason_and_the_way_out(examples, num_replicas):
    run = Run(
        train=SGD,
        num_replicas=num_replicas,
        build=linear,
        build_teacher=linear,
        images=examples,
    )
    run.compiled.run(1)
    lose(examples)
    with refused(data.DataError, *EMPTIED):
        run.compiled.run(100)


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_evaluation_names_the_reason_and_the_way_out(examples, num_replicas):
    strategy = strategy_of(num_replicas)
    with strategy.scope():
        model = linear()
    predict = predictor(
        model,
        examples,
        batch_size=4,
        stop=distribution.stop_flag(),
        strategy=strategy,
        watched=contextlib.nullcontext,
        xla=False,
    )
    lose(examples)
    with refused(data.DataError, *EMPTIED):
        predict()


def test_an_operation_of_a_model_that_fails_is_no_fault_of_the_data():
    with pytest.raises(tf.errors.InvalidArgumentError), data.reading():
        tf.debugging.assert_equal(tf.constant(1), tf.constant(2))
