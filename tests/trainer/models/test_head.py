"""The head of a model, and training it alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import models, prng
from trainer.config import (
    ApplicationOptions,
    CnnOptions,
    ConvMlpOptions,
    MlpOptions,
    ShufflenetV1Options,
    SqueezenetOptions,
)


def build(name, options, side=32):
    return models.build(
        name,
        options,
        inputs=models.Inputs(shape=(side, side, 3)),
        num_classes=5,
        seed=0,
        precision="float32",
        setting="student",
    )


@pytest.mark.parametrize(
    ("name", "options", "head"),
    [
        ("cnn", CnnOptions(filters=(3,)), "logits"),
        ("conv_mlp", ConvMlpOptions(filters=2, hidden_sizes=(4,)), "logits"),
        ("mlp", MlpOptions(hidden_sizes=(4,)), "logits"),
        ("squeezenet", SqueezenetOptions(), "conv10"),
        ("shufflenet_v1", ShufflenetV1Options(widths=(36, 48, 60)), "logits"),
        ("MobileNet", ApplicationOptions(), "conv_preds"),
        ("MobileNetV3Small", ApplicationOptions(), "logits"),
        pytest.param(
            "VGG16", ApplicationOptions(), "predictions", marks=pytest.mark.slow
        ),
    ],
)
def test_the_head_gives_the_logits(name, options, head):
    layer = models.head(build(name, options))
    assert layer.name == head
    assert layer.kernel.shape[-1] == 5


def nested():
    inner = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.Dense(5, name="last"),
        ]
    )
    row = keras.Input((3,))
    x = keras.layers.Dense(4)(row)
    return keras.Model(row, keras.layers.Activation("linear")(inner(x)))


def test_a_head_inside_an_inner_model_is_found():
    assert models.head(nested()).name == "last"


def values(variables):
    return [variable.numpy().copy() for variable in variables]


def train(model, given):
    """Steps of gradient descent on what is trainable, in training mode."""
    with models.dropout_keys(prng.key(0, tf.range(len(given)))):
        for _ in range(3):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(model(given, training=True)[:, 0])
            gradients = tape.gradient(loss, model.trainable_variables)
            for variable, step in zip(
                model.trainable_variables, gradients, strict=True
            ):
                variable.assign_sub(0.1 * step)


@pytest.mark.parametrize(
    "name", ["nested", pytest.param("MobileNetV2", marks=pytest.mark.slow)]
)
def test_all_but_the_head_stays_bit_identical(name):
    rng = np.random.default_rng(0)
    if name == "nested":
        model, given = nested(), rng.normal(size=(6, 3)).astype(np.float32)
    else:
        model = build(name, ApplicationOptions())
        given = rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    head = models.head(model)
    own = {id(variable) for variable in head.variables}
    others = [v for v in model.variables if id(v) not in own]
    before, before_head = values(others), values(head.variables)
    with models.head_alone(model):
        assert len(model.trainable_variables) == 2
        train(model, given)
    for a, b in zip(before, values(others), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(
        (a != b).any() for a, b in zip(before_head, values(head.variables), strict=True)
    )


def test_afterwards_all_trains_again_but_what_was_frozen_before():
    model = nested()
    model.layers[1].trainable = False
    before = [layer.trainable for layer in model._flatten_layers()]
    statistics = values(model.non_trainable_variables)
    with models.head_alone(model):
        pass
    assert [layer.trainable for layer in model._flatten_layers()] == before
    train(model, np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32))
    after = values(model.non_trainable_variables)
    assert any((a != b).any() for a, b in zip(statistics, after, strict=True))


def test_a_layer_as_activation_hides_no_layer():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, activation=keras.layers.LeakyReLU(), name="back"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(5, activation=keras.layers.LeakyReLU(), name="last"),
        ]
    )
    assert models.head(model).name == "last"
    with models.head_alone(model):
        assert [
            "/".join(v.path.split("/")[-2:]) for v in model.trainable_variables
        ] == [
            "last/kernel",
            "last/bias",
        ]
    assert len(model.trainable_variables) == 6
