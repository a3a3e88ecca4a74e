"""Pairs that are mixed: pixels, shares, labels, and the same on any devices."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import worker_batches
from tests.helpers.messages import refused
from tests.helpers.oracle import kl_divergence, log_softmax, softmax
from tests.helpers.students import (
    BATCH,
    IMAGE_SHAPE,
    NUM_CLASSES,
    SEED,
    SGD,
    Run,
    examples,
    kl_term,
    linear,
)
from trainer import losses, prng
from trainer.config import (
    ConfigError,
    DistillConfig,
    MixConfig,
    SgdOptions,
    TrainConfig,
)
from trainer.data.examples import InputShard
from trainer.data.mixing import mix
from trainer.devices import distribution
from trainer.train import objective
from trainer.train.distillation_loss import DistillationLoss

STEP = 7
MIXUP, CUTMIX = MixConfig(mixup=1.0), MixConfig(cutmix=1.0)
BOTH = MixConfig(mixup=0.3, cutmix=0.5, mixup_beta=0.4, cutmix_beta=2.0)


@functools.cache
def mixer(mixing: MixConfig, seed: int, xla: bool):
    function = functools.partial(mix, mixing=mixing, seed=seed)
    if not xla:
        return function
    return tf.function(function, jit_compile=True, autograph=False)


def mixed(
    inputs: np.ndarray,
    mixing: MixConfig,
    *,
    positions: np.ndarray | None = None,
    step: int = STEP,
    seed: int = SEED,
    xla: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """The inputs afterwards, and the share of its own in each."""
    found, shares = mixer(mixing, seed, xla)(
        tf.constant(inputs),
        tf.constant(np.arange(len(inputs)) if positions is None else positions),
        tf.constant(step, tf.int64),
    )
    assert found.dtype == inputs.dtype
    return found.numpy(), shares.numpy()


def coefficients(num: int, mixing: MixConfig = MIXUP, step: int = STEP) -> np.ndarray:
    """How much each of `num` examples keeps of itself, from a table of ones and zeros.

    Of a pair (1, 0) the first example becomes its own coefficient, and the second one
    minus its own.
    """
    table = np.tile(np.array([[1.0], [0.0]], np.float32), (num // 2, 1))
    rows, shares = mixed(table, mixing, step=step)
    found = rows[:, 0].astype(np.float64)
    found[1::2] = 1 - found[1::2]
    np.testing.assert_array_equal(found, shares)
    return found


def partners_of(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, 2, *values.shape[1:])[:, ::-1].reshape(values.shape)


# Mixup.


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("beta", [1.0, 0.2])
def test_pixels_are_those_of_exact_arithmetic(xla, beta):
    images, mixing = examples(64).inputs, MixConfig(mixup=1.0, mixup_beta=beta)
    after, _ = mixed(images, mixing, xla=xla)
    own = coefficients(64, mixing).reshape(-1, 1, 1, 1)
    # float64 holds all of it, and rounds ties to even.
    expected = np.rint(own * images + (1 - own) * partners_of(images))
    np.testing.assert_array_equal(after, expected)


def test_partners_share_their_coefficient():
    own = coefficients(64)
    np.testing.assert_array_equal(own[0::2], own[1::2])
    assert len(set(own)) == 32


@pytest.mark.parametrize(
    ("beta", "below"),
    [
        (1.0, lambda x: x),
        (0.5, lambda x: 2 / np.pi * np.arcsin(np.sqrt(x))),
        (2.0, lambda x: 3 * x**2 - 2 * x**3),
    ],
)
def test_coefficients_are_of_the_distribution_and_no_product_is_rounded(beta, below):
    own = np.sort(coefficients(20_000, MixConfig(mixup=1.0, mixup_beta=beta))[::2])
    np.testing.assert_array_equal(own * 2**16, np.rint(own * 2**16))
    places = (np.arange(10_000) + 0.5) / 10_000
    # Kolmogorov and Smirnov's distance; 1.63 / sqrt(n) at 1 %. Steps are rounded down.
    assert np.abs(below(own + 2**-17) - places).max() < 0.0163
    assert (own >= 0).all()
    assert (own < 1).all()


@pytest.mark.parametrize("share", [0.25, 0.9])
def test_that_share_of_the_pairs_is_mixed(share):
    kept = coefficients(20_000, MixConfig(mixup=share))[::2] == 1
    # Five standard deviations of 10,000 independent pairs.
    assert (1 - kept.mean()) == pytest.approx(
        share, abs=5 * (share * (1 - share) / 10_000) ** 0.5
    )


# CutMix.


def box_by_hand(lam: float, height: int, width: int, row: int, column: int):
    """The paper's rand_bbox, as its authors published it."""
    cut_ratio = np.sqrt(1.0 - lam)
    cut_height, cut_width = int(height * cut_ratio), int(width * cut_ratio)
    rows = np.clip([row - cut_height // 2, row + cut_height // 2], 0, height)
    columns = np.clip([column - cut_width // 2, column + cut_width // 2], 0, width)
    return slice(*rows), slice(*columns)


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(32, 32, 3), (7, 12, 1)])
def test_boxes_and_their_shares_are_exactly_the_paper_s(shape, dtype, xla):
    height, width, _ = shape
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (400, *shape)).astype(dtype)
    after, shares = mixed(images, CUTMIX, xla=xla)
    keys = prng.key(SEED, -1, STEP, tf.range(400) // 2)
    lams = np.floor(prng.uniforms(keys, 1).numpy()[:, 0] * 2**16) / 2**16
    rows, columns = (prng.bits(keys, 4).numpy()[:, 2:] % [height, width]).T
    expected, partners = images.copy(), partners_of(images)
    for i, lam in enumerate(lams):
        box = box_by_hand(lam, height, width, int(rows[i]), int(columns[i]))
        expected[i][box] = partners[i][box]
        kept = 1 - np.zeros((height, width))[box].size / (height * width)
        assert shares[i] == np.float32(kept)
    np.testing.assert_array_equal(after, expected)
    assert len(set(shares)) > 20


def test_the_share_is_that_of_the_pixels_at_any_size():
    """Also where a quotient of single precision would be off by its last bit."""
    shape = (199, 223, 1)
    images = np.tile(np.array([0, 1], np.uint8)[:, None, None, None], (20, *shape))
    after, shares = mixed(images, CUTMIX, xla=True)
    found = (after == images).mean(axis=(1, 2, 3)).astype(np.float32)
    np.testing.assert_array_equal(shares, found)


def test_a_narrow_distribution_cuts_nearly_half():
    images = np.zeros((200, 64, 64, 1), np.uint8)
    mixing = MixConfig(cutmix=1.0, cutmix_beta=1000.0)
    _, shares = mixed(images, mixing)
    # 64 sqrt(1/2) are 45 pixels, of which 22 lie on each side of the centre.
    assert 1 - shares.min() == pytest.approx(44**2 / 64**2, abs=0.05)


def test_each_pair_is_blended_or_cut_or_left():
    images = np.random.default_rng(0).integers(0, 256, (8000, 8, 8, 1), dtype=np.uint8)
    after, shares = mixed(images, BOTH)
    is_own, is_partner = after == images, after == partners_of(images)
    axes = (1, 2, 3)
    left = is_own.all(axis=axes)
    blended = ~(is_own | is_partner).all(axis=axes)
    # Some boxes have no pixel; some coefficients are as good as 0 or 1.
    assert 0.2 <= left.mean() < 0.35
    assert 0.2 < blended.mean() < 0.32
    np.testing.assert_array_equal(shares[0::2], shares[1::2])
    cut = ~left & ~blended & ~is_partner.all(axis=axes)
    found = is_own.mean(axis=axes)
    # A pixel may be the partner's by chance: 1 of 256.
    np.testing.assert_allclose(shares[cut], found[cut], atol=4 / 64)
    assert cut.mean() > 0.3


# One as another.


@pytest.mark.parametrize("mixing", [MIXUP, CUTMIX, BOTH])
def test_each_step_and_each_seed_mixes_anew(mixing):
    images = np.random.default_rng(0).integers(0, 256, (64, 9, 9, 1), dtype=np.uint8)
    one, *others = (
        mixed(images, mixing, **changed)[0]
        for changed in ({}, {"step": STEP + 1}, {"seed": SEED + 1})
    )
    for other in others:
        assert (one != other).any()


@pytest.mark.parametrize("words", [(STEP, 1), (STEP, 2), (1, STEP)])
def test_no_draw_is_one_of_dropout_or_augmentation(words):
    """Which fold (step, place) and (epoch, id)."""
    places = tf.range(64)
    folded = [
        places // 2 if word == 2 else places if word == 1 else word for word in words
    ]
    others = prng.uniforms(prng.key(SEED, *folded), 2).numpy()
    assert not set(coefficients(64)) & set((others * 2**16 // 1 / 2**16).flat)


def shown(
    *,
    num_replicas: int = 1,
    num_workers: int = 1,
    first_step: int = 0,
    last_step: int = 6,
    xla: bool = False,
) -> list[np.ndarray]:
    """Of each step, what all replicas see: images, shares and ids, by positions."""
    parts = worker_batches.of_workers(
        examples(),
        dict,
        batch_size=16,
        num_replicas=num_replicas,
        num_workers=num_workers,
        seed=SEED,
        first_step=first_step,
        num_steps=last_step - first_step,
    )

    def mixed_part(step: int, part: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        images, shares = mixed(
            part["input"], BOTH, positions=part["batch_position"], step=step, xla=xla
        )
        return part | {"input": images, "share": shares}

    joined = worker_batches.join((step, mixed_part(step, x)) for step, x in parts)
    return [
        np.concatenate(
            [
                batch["input"].reshape(len(batch["id"]), -1),
                *(batch[x][:, None] for x in ("share", "batch_position", "id")),
            ],
            axis=1,
        )
        for batch in joined
    ]


@pytest.fixture(scope="module")
def whole() -> list[np.ndarray]:
    """What one replica sees, from the first step on."""
    return shown()


@pytest.mark.parametrize(
    "parts",
    [
        {"num_replicas": 2},
        {"num_replicas": 4, "xla": True},
        {"num_replicas": 2, "num_workers": 2, "first_step": 1},
        {"num_replicas": 4, "num_workers": 2, "first_step": 5, "xla": True},
        {"first_step": 4},
    ],
)
def test_replicas_workers_and_resumed_steps_see_the_same_bit_for_bit(whole, parts):
    found = shown(**parts)
    for ours, theirs in zip(found, whole[-len(found) :], strict=True):
        np.testing.assert_array_equal(ours, theirs)


class Seen(keras.layers.Layer):
    """Keeps what it is given."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        self.inputs = inputs
        return tf.cast(inputs, tf.float32)


def looking() -> tuple[Seen, keras.Model]:
    seen = Seen()
    layers = [seen, keras.layers.Flatten(), keras.layers.Dense(NUM_CLASSES)]
    return seen, keras.Sequential([keras.Input(IMAGE_SHAPE, dtype="uint8"), *layers])


TRAIN = TrainConfig(global_batch_size=BATCH, steps=20, mixup=0.5, cutmix=0.5)


@pytest.mark.parametrize("mixing", [DistillConfig(mixup=1.0, alpha=1.0), TRAIN])
def test_teacher_student_and_baseline_see_the_same_pixels(mixing):
    seen, student = looking()
    shown = []

    def signal(batch):
        shown.append(batch)
        targets = losses.SoftTargets(logits=tf.zeros([BATCH, NUM_CLASSES]))
        return losses.TeacherPredictions(
            members=[losses.Member(at=lambda temperature: targets)]
        )

    loss = DistillationLoss(
        terms=[kl_term(1.0, 1.0)], hard_weight=0.0, label_smoothing=0.0
    )
    images = examples(BATCH)
    batch = {
        "input": tf.constant(images.inputs),
        "label": tf.constant(images.labels),
        "id": tf.range(BATCH, dtype=tf.int64),
        "batch_position": tf.range(BATCH),
    }
    now = tf.constant(STEP, tf.int64), tf.constant(1.0)
    taught = objective.distillation(student, signal, loss, mixing=mixing, seed=SEED)
    taught.run(batch, *now)
    np.testing.assert_array_equal(shown[0]["input"], seen.inputs)
    np.testing.assert_array_equal(seen.inputs, mixed(images.inputs, mixing)[0])
    labels = [-1] * BATCH if mixing is not TRAIN else images.labels.tolist()
    assert shown[0]["label"].numpy().tolist() == labels

    seen, model = looking()
    objective.supervised(model, TRAIN, seed=SEED).run(batch, *now)
    np.testing.assert_array_equal(seen.inputs, mixed(images.inputs, TRAIN)[0])


# What mixed pairs teach.


def matched(images=None, train: TrainConfig = SGD, **settings: object) -> Run:
    mixing = DistillConfig(mixup=1.0)
    return Run(train=train, alpha=1.0, mixing=mixing, images=images, **settings)


def labeled(images=None, train: TrainConfig = SGD, **settings: object) -> Run:
    train = dataclasses.replace(train, mixup=0.4, cutmix=0.6, cutmix_beta=0.5)
    return Run(train=train, images=images, **settings)


@pytest.fixture(scope="module", params=[matched, labeled])
def reference(request):
    """Five steps on one device, with dropout."""
    run = request.param()
    return request.param, run.losses(5), run.weights()


@pytest.mark.slow
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
    make, expected, weights = reference
    train = dataclasses.replace(SGD, accumulate=accumulate)
    run = make(train=train, num_replicas=num_replicas, xla=xla)
    np.testing.assert_allclose(run.losses(5), expected, rtol=1e-5)
    for actual, wanted in zip(run.weights(), weights, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("reference", [matched], indirect=True)
def test_no_label_is_needed_and_what_is_measured_against_labels_is_left_out(reference):
    _, expected, weights = reference
    images = examples()
    run = matched(dataclasses.replace(images, labels=np.full_like(images.labels, -1)))
    metrics = run.compiled.run(5)
    assert metrics.keys() == {
        "loss",
        "soft_loss",
        "agreement",
        "gradient_norm",
        "stop",
    }
    assert metrics["loss"] == pytest.approx(np.mean(expected), rel=1e-6)
    for actual, wanted in zip(run.weights(), weights, strict=True):
        np.testing.assert_array_equal(actual, wanted)


WEIGHTS = (0.2, 3.0, 1.0, 0.5, 1.5)
SMOOTHED = dataclasses.replace(
    TRAIN,
    learning_rate=0.5,
    optimizer="sgd",
    optimizer_options=SgdOptions(momentum=0.0),
    label_smoothing=0.1,
    mixup=0.3,
    cutmix=0.5,
)


@pytest.mark.parametrize(
    ("distil", "num_replicas", "class_weights"),
    [(True, 1, WEIGHTS), (True, 2, ()), (False, 2, WEIGHTS)],
)
def test_one_step_is_the_textbook_s_with_both_labels_by_their_shares(
    distil, num_replicas, class_weights
):
    """An example that is mixed with one without a label has none.

    The loss on each label has the weight of its class, and the divisor has none.
    """
    images = examples(BATCH)  # one epoch is one batch, in some order
    if distil:
        labels = np.where(np.arange(BATCH) % 4, images.labels, -1).astype(np.int32)
        images = dataclasses.replace(images, labels=labels)
    alpha, temperature = (0.25, 2.0) if distil else (0.0, 1.0)
    run = Run(
        train=SMOOTHED,
        num_replicas=num_replicas,
        build=linear,
        images=images,
        alpha=alpha,
        temperature=temperature,
        distil=distil,
        class_weights=class_weights,
    )
    shard = InputShard(
        per_replica_batch_size=BATCH, num_replicas=1, first_replica=0, local_replicas=1
    )
    batches = images.training(shard, seed=SEED, first_step=0, map_fn=dict)
    (batch,) = batches.take(1).as_numpy_iterator()
    inputs, shares = mixed(batch["input"], SMOOTHED, step=0)
    own, partner = batch["label"], partners_of(batch["label"])
    is_labeled = (own >= 0) & ((partner >= 0) | (shares == 1))
    assert 0 < is_labeled.sum() < BATCH or not distil

    one_hot = np.eye(NUM_CLASSES)[np.maximum([own, partner], 0)]
    by_share = shares[:, None] * one_hot[0] + (1 - shares[:, None]) * one_hot[1]
    weights = np.array(class_weights or (1.0,) * NUM_CLASSES)
    # Of each label its share, its weight, and the target that smoothing makes of it.
    parts = [shares, 1 - shares] * weights[np.maximum([own, partner], 0)]
    targets = 0.9 * one_hot + 0.1 / NUM_CLASSES
    kernel, bias = (w.astype(np.float64) for w in run.weights())
    pixels = inputs.reshape(BATCH, -1) / 255.0
    logits = pixels @ kernel + bias
    log_probs = log_softmax(logits)
    hard = is_labeled * -(parts * (targets * log_probs).sum(axis=2)).sum(axis=0)
    hits = is_labeled * by_share[np.arange(BATCH), logits.argmax(axis=1)]
    taught = run.teacher(inputs, training=False).numpy()
    slopes = (parts[..., None] * (softmax(logits) - targets)).sum(axis=0)
    slope = (1 - alpha) * is_labeled[:, None] * slopes
    loss = (1 - alpha) * hard
    if distil:
        soft = temperature**2 * kl_divergence(taught, logits, temperature)
        loss = loss + alpha * soft
        tempered = softmax(logits, temperature) - softmax(taught, temperature)
        slope += alpha * temperature * tempered

    metrics = run.compiled.run(1)
    assert metrics["loss"] == pytest.approx(loss.mean(), rel=1e-5)
    assert metrics["accuracy"] == pytest.approx(hits.sum() / is_labeled.sum())
    if distil:
        assert metrics["soft_loss"] == pytest.approx(soft.mean(), rel=1e-5)
        mean = hard.sum() / is_labeled.sum()
        assert metrics["hard_loss"] == pytest.approx(mean, rel=1e-5)
    new_kernel, new_bias = run.weights()
    slope *= 0.5 / BATCH
    np.testing.assert_allclose(new_kernel, kernel - pixels.T @ slope, atol=1e-6)
    np.testing.assert_allclose(new_bias, bias - slope.sum(axis=0), atol=1e-6)


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
