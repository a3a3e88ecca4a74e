"""What caches teach: of few bits or classes, several teachers, or without labels."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import cached_runs, whole_run
from tests.helpers.cached_runs import (
    CACHED,
    NUM_CLASSES,
    SHIFTED,
    answers,
    assert_same_trainings,
    batches,
    cached_session,
    session,
    taught,
    trained,
)
from tests.helpers.messages import assert_states, refused
from tests.helpers.oracle import bucket_probs, kl_of_probs, softmax
from trainer import data, exit_codes, losses, main, models, prng
from trainer.config import ConfigError, load
from trainer.soft_targets import SoftTargetsError
from trainer.stages.soft_targets import caches
from trainer.storage import seal

T = 4.0  # distill.temperature, by default


def soft_loss(student: np.ndarray, teacher: np.ndarray, temperature: float):
    """By the textbook, in float64: probabilities of buckets [B, K] -> [B]."""
    return temperature**2 * kl_of_probs(teacher, student)


# Few bits.


@pytest.mark.slow
def test_float16_gives_each_of_200_batches_the_loss_of_a_live_teacher(world, tmp_path):
    sets = (SHIFTED, "distill.views=2")
    online = session(world, tmp_path / "online", SHIFTED)
    trained(online)
    half = cached_session(
        world, tmp_path / "half", "distill.soft_targets_dtype='float16'", *sets
    )
    training = taught(half)
    found = batches(half, training, 200)
    assert found[0]["teacher_0_logits"].dtype == np.float16
    student = online.networks.build("student", 0)
    student.load_weights(str(online.networks.folder("student", 0) / "last.keras"))
    images, targets = (
        np.concatenate([batch[name] for batch in found])
        for name in ("input", "teacher_0_logits")
    )
    logits = student(images, training=False)
    live, cached = (
        losses.soft_loss(logits, taught_by, temperature=T).numpy().reshape(200, 20)
        for taught_by in (answers(online, images), tf.constant(targets, tf.float32))
    )
    errors = np.abs(cached.mean(axis=1) / live.mean(axis=1) - 1)
    assert 0 < errors.max() < 1e-3


# Few classes.


@pytest.fixture(scope="module")
def largest(world):
    """A run whose caches hold three classes, at two temperatures."""
    settings = ("distill.top_k=3", "distill.tail_temperatures=[2.0]")
    return cached_session(world, world / "largest", *settings)


@pytest.fixture(scope="module")
def place(largest) -> str:
    return f"distill.soft_targets_dir='{caches.root(largest.config, largest.path)}'"


@pytest.mark.parametrize(
    ("temperature", "streamed"),
    [(2.0, False), pytest.param(T, True, marks=pytest.mark.slow)],
)
def test_the_largest_logits_teach_what_numpy_says(
    world, place, tmp_path, temperature, streamed
):
    sets = [CACHED, place, "distill.top_k=3", f"distill.temperature={temperature}"]
    opened = session(
        world, tmp_path, *sets, *(cached_runs.STREAMED if streamed else ())
    )
    training = taught(opened)
    (batch,) = batches(opened, training, 1, first_step=99)
    tensors = {name: tf.constant(values) for name, values in batch.items()}
    _, sums = training.objective.run(tensors, tf.constant(0), tf.constant(1.0))
    metrics = dict(zip(training.objective.metrics, sums.numpy() / 20, strict=True))

    teacher = answers(opened, batch["input"]).astype(np.float64)
    classes = np.argsort(-teacher, axis=1)[:, :3]
    np.testing.assert_array_equal(batch["teacher_0_classes"], classes)
    with_dropout = logits_of(training, tensors)
    expected = soft_loss(
        bucket_probs(softmax(with_dropout, temperature), classes),
        bucket_probs(softmax(teacher, temperature), classes),
        temperature,
    )
    assert metrics["soft_loss"] == pytest.approx(expected.mean(), rel=1e-5)
    agreement = with_dropout.argmax(axis=1) == teacher.argmax(axis=1)
    assert metrics["agreement"] == pytest.approx(agreement.mean())


def logits_of(training, batch) -> np.ndarray:
    """The student's, as its step 0 has them."""
    key = prng.key(training.seed, tf.constant(0), batch["batch_position"])
    with models.dropout_keys(key):
        logits = training.model(batch["input"], training=True)
    return logits.numpy().astype(np.float64)


def test_another_temperature_is_refused(world, place, tmp_path):
    sets = (CACHED, place, "distill.top_k=3", "distill.temperature=3.0")
    facts = ("temperature 3", "2, 4", "distill.tail_temperatures")
    with refused(SoftTargetsError, *facts):
        caches.open_caches(session(world, tmp_path, *sets).networks)


def test_as_many_as_there_are_classes_are_refused_before_a_teacher_trains(
    world, tmp_path, capfd
):
    sets = [f"--set={s}" for s in (CACHED, f"distill.top_k={NUM_CLASSES}")]
    command = whole_run.command("run", world / "one.toml", tmp_path, *sets)
    assert main.main(command) == exit_codes.UNUSABLE
    assert_states(capfd.readouterr().err, "distill.top_k", "10 classes", "got 10")
    assert not (tmp_path / "teacher").exists()


# One cache, several runs.


@pytest.mark.slow
def test_temperature_and_alpha_are_free_with_all_logits(world, tmp_path):
    first = cached_session(world, tmp_path / "first")
    place = f"distill.soft_targets_dir='{caches.root(first.config, first.path)}'"
    others = ("distill.temperature=2.5", "distill.alpha=0.4")
    cached = session(world, tmp_path / "cached", CACHED, place, *others)
    assert_same_trainings(
        trained(cached), trained(session(world, tmp_path / "online", *others))
    )
    assert not (tmp_path / "cached" / "soft_targets").exists()


# Several teachers.


@pytest.mark.slow
def test_an_ensemble_teaches_what_its_members_do_live(world, tmp_path):
    sets = (SHIFTED, *cached_runs.STREAMED)
    online = session(world, tmp_path / "online", *sets, name="members")
    sets = ("distill.views=2", *sets)
    cached = cached_session(world, tmp_path / "cached", *sets, name="members")
    for i in (0, 1):
        folder = tmp_path / "cached" / "soft_targets" / f"member-{i}" / "train"
        assert (folder / "manifest.json").is_file()
    assert_same_trainings(trained(cached), trained(online))


@pytest.mark.slow
def test_members_whose_caches_differ_in_size_answer_to_the_same_images(world, tmp_path):
    sets = (SHIFTED, "distill.views=2")
    opened = cached_session(world, tmp_path, *sets, name="members")
    grow(tmp_path / "soft_targets" / "member-0" / "train")
    for batch in batches(opened, taught(opened), 2, first_step=99):
        for i, teacher in enumerate(opened.networks.teachers):
            np.testing.assert_array_equal(
                batch[f"teacher_{i}_logits"], teacher(batch["input"], training=False)
            )


def grow(folder: pathlib.Path) -> None:
    """As if images had come for this teacher, and the builder had then been killed."""
    manifest = seal.parse((folder / "manifest.json").read_bytes())
    manifest["growth"].append({"num_ids": 5002, "fingerprint": "later"})
    manifest["shards"].append({"first": 5000, "num_ids": 2, "count": 0})
    (folder / "manifest.json").write_text(json.dumps(seal.add_checksum(manifest)))
    for view in (0, 1):
        (folder / f"view-{view:04d}" / "shard-00003.tfrecord").write_bytes(b"")


# Images without labels.


UNLABELED = (
    "data.unlabeled.dataset='dots'",
    "data.unlabeled.split='test'",
    "data.train_split='train[1000:1900]'",
    "student.train.steps=100",
)


@pytest.mark.slow
def test_images_without_labels_have_the_answers_to_their_views(world, tmp_path):
    settings = (*UNLABELED, SHIFTED, "distill.views=2")
    opened = cached_session(world, tmp_path, *settings)
    found = batches(opened, taught(opened), 10, first_step=45)
    assert sum((batch["label"] < 0).sum() for batch in found) > 10
    for batch in found:
        np.testing.assert_array_equal(
            batch["teacher_0_logits"], answers(opened, batch["input"])
        )


@pytest.mark.slow
def test_images_without_labels_are_taught_as_live(world, tmp_path):
    live = "distill.soft_targets='online'"
    settings = (SHIFTED, "distill.views=2")
    online = session(world, tmp_path / "online", live, *UNLABELED, *settings)
    cached = cached_session(world, tmp_path / "cached", *UNLABELED, *settings)
    assert len(online.datasets.transfer) == 1000
    assert_same_trainings(trained(cached), trained(online))


# Views.


def test_an_epoch_shows_its_number_modulo_the_number_of_views():
    epochs = tf.range(7, dtype=tf.int64)
    assert data.Views(seed=0, count=3).at_epochs(epochs).numpy().tolist() == [
        *(0, 1, 2, 0, 1, 2, 0)
    ]
    assert data.Views(seed=0, count=1).at_epochs(epochs).numpy().tolist() == [0] * 7
    assert data.Views(seed=0, count=None).at_epochs(epochs).numpy().tolist() == [
        *range(7)
    ]


def test_several_views_of_images_as_they_are_are_refused(world):
    with refused(ConfigError, "distill.views", 1, 2, "student.train.augment"):
        load(str(world / "one.toml"), [CACHED, "distill.views=2"])
    load(str(world / "one.toml"), [CACHED, "distill.views=2", SHIFTED])
