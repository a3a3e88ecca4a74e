"""Images mixed in pairs: the pixels, who sees them, and on how many devices."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.messages import refused
from tests.helpers.students import (
    BATCH,
    IMAGE_SHAPE,
    NUM_CLASSES,
    SEED,
    SGD,
    Run,
    examples,
    kl_term,
)
from trainer import losses, prng
from trainer.config import ConfigError, TrainConfig
from trainer.data.mixing import mix
from trainer.devices import distribution
from trainer.train import objective
from trainer.train.distillation_loss import DistillationLoss

STEP = 7


def coefficients(num: int, *, share: float = 1.0, step: int = STEP) -> np.ndarray:
    """How much each of `num` examples keeps of itself, from a table of ones and zeros.

    Of a pair (1, 0) the first example becomes its own coefficient, and the second one
    minus its own.
    """
    table = np.tile(np.array([[1.0], [0.0]], np.float32), (num // 2, 1))
    found = mix(
        tf.constant(table),
        tf.range(num),
        tf.constant(step, tf.int64),
        share=share,
        seed=SEED,
    ).numpy()[:, 0]
    return np.where(np.arange(num) % 2, 1 - found, found).astype(np.float64)


def mixed_images(num: int, **settings: object) -> tuple[np.ndarray, np.ndarray]:
    """Images before and after."""
    images = examples(num).inputs
    step = tf.constant(STEP, tf.int64)
    settings = {"share": 1.0, "seed": SEED} | settings
    after = mix(tf.constant(images), tf.range(num), step, **settings)
    assert after.dtype == tf.uint8
    return images, after.numpy()


@pytest.mark.parametrize("xla", [False, True])
def test_pixels_are_those_of_exact_arithmetic(xla):
    images = examples(64).inputs
    compiled = tf.function(mix, jit_compile=xla, autograph=False)
    after = compiled(
        tf.constant(images),
        tf.range(64),
        tf.constant(STEP, tf.int64),
        share=1.0,
        seed=SEED,
    )
    own = coefficients(64).reshape(-1, 1, 1, 1)
    partners = images.reshape(32, 2, *IMAGE_SHAPE)[:, ::-1].reshape(images.shape)
    # float64 holds all of it, and rounds ties to even.
    expected = np.rint(own * images + (1 - own) * partners)
    np.testing.assert_array_equal(after, expected)


def test_partners_share_their_coefficient():
    own = coefficients(64)
    np.testing.assert_array_equal(own[0::2], own[1::2])
    assert len(set(own)) == 32


def test_coefficients_are_such_that_no_product_with_a_pixel_is_rounded():
    own = coefficients(20_000)
    np.testing.assert_array_equal(own * 2**16, np.rint(own * 2**16))


def test_coefficients_are_uniform():
    own = np.sort(coefficients(20_000)[::2])
    places = (np.arange(10_000) + 0.5) / 10_000
    # Kolmogorov and Smirnov's distance; 1.63 / sqrt(n) at 1 %.
    assert np.abs(own - places).max() < 0.0163
    assert (own >= 0).all()
    assert (own < 1).all()


@pytest.mark.parametrize("share", [0.25, 0.9])
def test_that_shard_of_the_pairs_is_mixed(share):
    kept = coefficients(20_000, share=share)[::2] == 1
    # Five standard deviations of 10,000 independent pairs.
    assert (1 - kept.mean()) == pytest.approx(
        share, abs=5 * (share * (1 - share) / 10_000) ** 0.5
    )


def test_pairs_that_are_not_mixed_stay_as_they_are():
    before, after = mixed_images(64, share=0.5)
    kept = coefficients(64, share=0.5) == 1
    np.testing.assert_array_equal(after[kept], before[kept])
    assert 0 < kept.sum() < 64


def test_each_step_and_each_seed_mixes_anew():
    assert not set(coefficients(64)) & set(coefficients(64, step=STEP + 1))
    _, one = mixed_images(8)
    _, other = mixed_images(8, seed=SEED + 1)
    assert (one != other).any()


def test_a_part_of_the_batch_is_mixed_as_in_the_whole():
    images, after = mixed_images(12)
    part = mix(
        tf.constant(images[4:8]),
        tf.range(4, 8),
        tf.constant(STEP, tf.int64),
        share=1.0,
        seed=SEED,
    )
    np.testing.assert_array_equal(part, after[4:8])


@pytest.mark.parametrize("words", [(STEP, 1), (STEP, 2), (1, STEP)])
def test_no_draw_is_one_of_dropout_or_augmentation(words):
    """Which fold (step, place) and (epoch, id)."""
    places = tf.range(64)
    folded = [
        places // 2 if word == 2 else places if word == 1 else word for word in words
    ]
    others = prng.uniforms(prng.key(SEED, *folded), 2).numpy()
    assert not set(coefficients(64)) & set((others * 2**16 // 1 / 2**16).flat)


class Seen(keras.layers.Layer):
    """Keeps what it is given."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        self.inputs = inputs
        return tf.cast(inputs, tf.float32)


def test_teacher_and_student_see_the_same_pixels():
    seen = Seen()
    student = keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE, dtype="uint8"),
            seen,
            keras.layers.Flatten(),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )
    shown = []

    def signal(batch):
        shown.append(batch)
        targets = losses.SoftTargets(logits=tf.zeros([BATCH, NUM_CLASSES]))
        return losses.TeacherPredictions(
            members=[losses.Member(at=lambda temperature: targets)]
        )

    computed = objective.distillation(
        student,
        signal,
        DistillationLoss(
            terms=[kl_term(1.0, 1.0)], hard_weight=0.0, label_smoothing=0.0
        ),
        mixup=1.0,
        seed=SEED,
    )
    batch = {
        "input": tf.constant(examples(BATCH).inputs),
        "label": tf.constant(examples(BATCH).labels),
        "id": tf.range(BATCH, dtype=tf.int64),
        "batch_position": tf.range(BATCH),
    }
    computed.run(batch, tf.constant(STEP, tf.int64), tf.constant(1.0))
    np.testing.assert_array_equal(shown[0]["input"], seen.inputs)
    np.testing.assert_array_equal(seen.inputs, mixed_images(BATCH)[1])
    assert shown[0]["label"].numpy().tolist() == [-1] * BATCH


def matched(images=None, train: TrainConfig = SGD, **settings: object) -> Run:
    return Run(train=train, alpha=1.0, mixup=1.0, images=images, **settings)


@pytest.fixture(scope="module")
def reference() -> tuple[list[float], list[np.ndarray]]:
    """Five steps on one device, with dropout."""
    run = matched()
    return run.losses(5), run.weights()


@pytest.mark.parametrize(
    ("num_replicas", "accumulate", "xla"),
    [
        (2, 1, False),
        pytest.param(1, 3, False, marks=pytest.mark.slow),
        pytest.param(2, 1, True, marks=pytest.mark.slow),
        pytest.param(2, 3, True, marks=pytest.mark.slow),
    ],
)
def test_devices_and_micro_batches_do_not_change_the_training(
    reference, num_replicas, accumulate, xla
):
    train = dataclasses.replace(SGD, accumulate=accumulate)
    run = matched(train=train, num_replicas=num_replicas, xla=xla)
    np.testing.assert_allclose(run.losses(5), reference[0], rtol=1e-5)
    for actual, expected in zip(run.weights(), reference[1], strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def test_no_label_is_needed_and_what_is_measured_against_labels_is_left_out(reference):
    labeled = examples()
    run = matched(dataclasses.replace(labeled, labels=np.full_like(labeled.labels, -1)))
    metrics = run.compiled.run(5)
    assert metrics.keys() == {
        "loss",
        "soft_loss",
        "agreement",
        "gradient_norm",
        "stop",
    }
    assert metrics["loss"] == pytest.approx(np.mean(reference[0]), rel=1e-6)
    for actual, expected in zip(run.weights(), reference[1], strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_mixing_is_another_training(reference):
    alone = Run(train=SGD, alpha=1.0)
    assert alone.losses(1)[0] != pytest.approx(reference[0][0], rel=1e-3)


def check_pairs(train: TrainConfig, num_replicas: int) -> None:
    distribution.check_groups(
        train, num_replicas, size=2, why="distill.mixup", setting="student.train"
    )


@pytest.mark.parametrize(
    ("batch", "num_replicas", "accumulate", "nearest"),
    [(15, 1, 1, 16), (18, 2, 1, 16), (12, 1, 4, 16), (3, 3, 1, 6)],
)
def test_an_odd_share_is_refused_with_the_nearest(
    batch, num_replicas, accumulate, nearest
):
    train = TrainConfig(global_batch_size=batch, steps=1, accumulate=accumulate)
    factors = (
        2,
        f"{num_replicas} replicas",
        f"student.train.accumulate ({accumulate})",
    )
    facts = ("student.train.global_batch_size", *factors, f"got {batch}", nearest)
    with refused(ConfigError, "distill.mixup", *facts):
        check_pairs(train, num_replicas)
    train = dataclasses.replace(train, global_batch_size=nearest)
    check_pairs(train, num_replicas)
