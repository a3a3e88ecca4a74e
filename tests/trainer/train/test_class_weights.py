"""Weights of classes in training: on any devices, and in the loss on labels alone."""

import dataclasses

import numpy as np
import pytest

from tests.helpers.oracle import cross_entropy, kl_divergence
from tests.helpers.students import (
    BATCH,
    NUM_CLASSES,
    SGD,
    Run,
    examples,
    linear,
)

SLOW = pytest.mark.slow
WEIGHTS = tuple(np.linspace(0.2, 2.0, NUM_CLASSES))


@pytest.mark.slow
@pytest.mark.parametrize("distil", [True, pytest.param(False, marks=SLOW)])
def test_weighted_classes_train_alike_on_any_devices(distil):
    train = dataclasses.replace(SGD, mixup=0.5)
    one, other = (
        Run(train=train, distil=distil, class_weights=WEIGHTS, **devices)
        for devices in ({}, {"num_replicas": 2, "xla": True})
    )
    assert other.losses(10) == pytest.approx(one.losses(10), rel=1e-5)
    for weight, same in zip(other.weights(), one.weights(), strict=True):
        np.testing.assert_allclose(weight, same, atol=1e-5)


@pytest.mark.parametrize(
    "precision", ["float32", pytest.param("mixed_float16", marks=SLOW)]
)
def test_weights_are_on_the_loss_of_labels_alone(precision):
    images = examples(BATCH)  # one batch is all of them
    run = Run(
        train=SGD,
        build=linear,
        images=images,
        alpha=0.3,
        temperature=2.0,
        precision=precision,
        class_weights=WEIGHTS,
    )
    kernel, bias = (w.astype(np.float64) for w in run.weights())
    logits = images.inputs.reshape(BATCH, -1) / 255.0 @ kernel + bias
    taught = run.teacher(images.inputs, training=False).numpy()
    unweighted = cross_entropy(logits, images.labels)
    hard = (np.array(WEIGHTS)[images.labels] * unweighted).mean()
    soft = 4 * kl_divergence(taught, logits, 2.0).mean()
    measured = run.compiled.run(1)
    assert measured["hard_loss"] == pytest.approx(hard, rel=1e-5)
    assert measured["soft_loss"] == pytest.approx(soft, rel=1e-5)
    assert measured["loss"] == pytest.approx(0.7 * hard + 0.3 * soft, rel=1e-5)
    accuracy = (logits.argmax(axis=1) == images.labels).mean()
    assert measured["accuracy"] == pytest.approx(accuracy)
