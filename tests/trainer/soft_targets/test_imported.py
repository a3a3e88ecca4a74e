"""Students of a teacher that is elsewhere, against those of the teacher itself."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import answers
from tests.helpers.cached_runs import (
    CACHED,
    SHIFTED,
    STREAMED,
    assert_same_trainings,
    batches,
    cached_session,
    session,
    taught,
    trained,
)
from tests.helpers.messages import assert_a_line_states, refused
from trainer import stages
from trainer.soft_targets import SoftTargetsError
from trainer.stages import soft_targets
from trainer.stages.soft_targets import caches
from trainer.stages.student import combine_signals

IDS = np.arange(1000, 3000)  # of which students learn
KEPT = ("distill.cache_embedding=true", "distill.cache_embedding_dtype='float16'")
VIEWS = (SHIFTED, "distill.views=2")
LAYERS = "student_layer='embedding', teacher_layer='embedding'"
TERMS = (
    "distill={hard_weight=0.5, group_size=5, terms=[{loss='kl', weight=0.5}, "
    f"{{loss='dist', temperature=2.0}}, {{loss='logit_mse', weight=0.1}}, "
    f"{{loss='hint', {LAYERS}}}, {{loss='rkd', weight=0.1, {LAYERS}}}]}}"
)
RUN = (
    *("data.train_split='train[2000:2200]'", "student.train.steps=20"),
    *("runtime.steps_per_loop=4", "runtime.log_every_steps=4"),
    *("runtime.eval_every_steps=20", "runtime.save_every_steps=20"),
)


@pytest.fixture(scope="module")
def cached(world):
    """A run whose teacher has answered on disk about two views, with its embedding."""
    return cached_session(world, world / "for_imports", *KEPT, *VIEWS)


@pytest.fixture(scope="module")
def files(world, cached):
    """These answers in files, of two kinds, and of classes in two orders."""
    folder = world / "answers"
    for view, ids in ((0, IDS), (1, IDS[::-1])):
        found = answers.of_cache(cached, view, ids)
        found["view"] = np.full(len(ids), view)
        if view:
            answers.write_parquet(folder / "train-second.parquet", **found)
        else:
            found["logits"] = found["logits"][:, ::-1]
            names = np.array(answers.REVERSED)
            answers.write_npz(folder / "train-first.npz", **found, class_names=names)
    return folder


@pytest.fixture(scope="module")
def plain(world, cached):
    """The answers about images as they are."""
    own = cached_session(world, world / "plain_for_imports")
    found = answers.of_cache(own, 0, IDS)
    answers.write_npz(world / "plain_answers" / "train.npz", **found)
    return world / "plain_answers"


def imported_session(world, folder, *settings):
    opened = session(world, folder, *settings, name="elsewhere")
    soft_targets.import_answers(opened)
    return opened


@pytest.mark.slow
def test_a_student_is_that_of_the_teacher_s_own_cache(world, cached, files, tmp_path):
    """By views, embeddings and losses between logits and between layers."""
    sets = (TERMS, *RUN, *KEPT, *VIEWS)
    ours = imported_session(world, tmp_path / "a", *sets, *answers.settings(files))
    place = f"distill.soft_targets_dir='{cached.path}/soft_targets'"
    theirs = session(world, tmp_path / "b", *sets, CACHED, place)
    assert_same_trainings(trained(ours), trained(theirs))


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [(), ("distill.top_k=3", "distill.tail_temperatures=[1.0, 20.0]")]
)
def test_batches_bring_the_answers_of_the_teacher(world, plain, tmp_path, settings):
    ours = imported_session(world, tmp_path / "a", *answers.settings(plain), *settings)
    theirs = cached_session(world, tmp_path / "b", *settings)
    pairs = zip(*(batches(x, taught(x), 5) for x in (ours, theirs)), strict=True)
    for found, expected in pairs:
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.slow
def test_answers_are_streamed_beside_records(world, plain, tmp_path):
    """They begin inside of a file, and another share begins inside of them."""
    sets = (*answers.settings(plain), *STREAMED, "data.exclude_labels=[3]")
    ours = imported_session(world, tmp_path / "a", *sets)
    training = taught(ours)
    assert not training.auxiliary.is_in_memory
    place = f"distill.soft_targets_dir='{ours.path}/soft_targets'"
    split = "data.train_split='train[1500:2700]'"
    share = session(world, tmp_path / "c", *sets, place, split, name="elsewhere")
    in_memory = answers.of_cache(
        cached_session(world, tmp_path / "b"), 0, np.arange(5000)
    )["logits"]
    for opened, spec in ((ours, training), (share, taught(share))):
        for batch in batches(opened, spec, 12, first_step=50):
            assert 3 not in batch["label"]
            expected = in_memory[batch["id"]]
            np.testing.assert_array_equal(batch["teacher_0_logits"], expected)


def test_streamed_records_need_the_answers_between_them(world, plain, tmp_path):
    """Those of classes that students are not shown are read all the same."""
    with np.load(plain / "train.npz") as file:
        arrays = dict(file)
    sets = ("data.exclude_labels=[3]", *answers.settings(tmp_path / "few"))
    opened = session(world, tmp_path / "run", *sets, name="elsewhere")
    shown = np.isin(arrays["id"], opened.datasets.transfer.ids)
    few = {name: arrays[name][shown] for name in ("id", "logits")}
    answers.write_npz(tmp_path / "few" / "train.npz", **few)
    soft_targets.import_answers(opened)  # in memory they are enough
    sets = (*sets, *STREAMED)
    with refused(SoftTargetsError, "'train'", "2,000", f"{(~shown).sum()} of them"):
        imported_session(world, tmp_path / "streamed", *sets)


@pytest.mark.parametrize(
    ("settings", "facts"),
    [
        ((SHIFTED, "distill.views=2"), ("view", "student.train.augment = 'none'")),
        (KEPT, ("embedding", "distill.cache_embedding = true")),
        (("distill.soft_targets_dtype='float16'",), ("float16", "1003", "'float32'")),
    ],
)
def test_what_a_run_needs_besides_is_asked_of_the_files(
    world, plain, tmp_path, settings, facts
):
    with np.load(plain / "train.npz") as file:
        arrays = dict(file)
    arrays["logits"][3, 4] = 1e5  # of id 1003, and beyond float16
    answers.write_npz(tmp_path / "large" / "train.npz", **arrays)
    sets = (*settings, *answers.settings(tmp_path / "large"))
    with refused(SoftTargetsError, "train.npz", *facts):
        imported_session(world, tmp_path / "run", *sets)


def test_a_view_that_lacks_answers_is_named(world, cached, tmp_path):
    for view, ids in ((0, IDS), (1, IDS[5:])):
        found = answers.of_cache(cached, view, ids)
        del found["embedding"]
        view_of = np.full(len(ids), view)
        answers.write_npz(tmp_path / "few" / f"train-{view}.npz", **found, view=view_of)
    sets = (*VIEWS, *answers.settings(tmp_path / "few"))
    with refused(SoftTargetsError, "in view 1", 5, 1000, 1001):
        imported_session(world, tmp_path / "run", *sets)


# A teacher of other classes: ImageNet's 1000, of which each class of the data is some.

WIDE = [f"n{i:04}" for i in range(1000)]
# Class c of the data is the teacher's c, c + 10, ... below 200, and those are 20.
MAP = {name: str(i % 10) for i, name in enumerate(WIDE[:200])}
AS_SETTING = (
    "distill.class_map={" + ", ".join(f"{k}='{v}'" for k, v in MAP.items()) + "}"
)


def wide_logits(ids):
    """Large where the data's class is, as its images are brightest there."""
    rng = np.random.default_rng(len(ids))
    return rng.normal(0, 4, (len(ids), 1000)).astype(np.float32)


def summed(logits, temperature):
    """Probabilities of 1000 classes at T, summed for each of 10, and normalised."""
    scaled = logits.astype(np.float64) / temperature
    every = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    sums = every[:, :200].reshape(len(logits), 20, 10).sum(axis=1)
    return sums / sums.sum(axis=1, keepdims=True)


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def mapped(world, tmp_path_factory):
    """A finished run whose teacher knows 1000 classes, and its answers by part."""
    folder = tmp_path_factory.mktemp("wide")
    sets = (*RUN, AS_SETTING, *answers.settings(folder / "answers"))
    opened = session(world, folder / "run", *sets, name="elsewhere")
    datasets = opened.datasets
    parts = {
        "train": datasets.transfer.ids,
        "validation": datasets.validation.ids,
        "test": datasets.read(opened.config.data.test_split).ids,
    }
    given = {part: wide_logits(ids) for part, ids in parts.items()}
    for part, ids in parts.items():
        arrays = {"id": ids, "logits": given[part], "class_names": np.array(WIDE)}
        answers.write_npz(folder / "answers" / f"{part}.npz", **arrays)
    stages.run(opened, whole=True)
    return opened, given


def test_the_signal_of_1000_classes_is_summed_at_each_temperature(mapped):
    opened, given = mapped
    cached = caches.open_caches(opened.networks)
    (batch,) = batches(opened, taught(opened), 1)
    signal = combine_signals(opened.networks, cached.signals())
    rows = np.searchsorted(opened.datasets.transfer.ids, batch["id"])
    predictions = signal({name: tf.constant(x) for name, x in batch.items()})
    for temperature in (1.0, 4.0, 30.0):
        found = softmax(predictions.at(temperature).logits.numpy() / temperature)
        expected = summed(given["train"][rows], temperature)
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_validation_and_test_are_those_of_the_summed_probabilities(mapped):
    opened, given = mapped
    for temperature in (1.0, 4.0):
        found = opened.networks.teacher_validation_logits_at(temperature)
        expected = summed(given["validation"], temperature)
        np.testing.assert_allclose(softmax(found / temperature), expected, rtol=1e-4)
    with np.load(opened.path / "predictions.npz") as file:
        probabilities = softmax(file["teacher_logits"].astype(np.float64))
        student, labels = file["student_logits"].argmax(axis=1), file["labels"]
    np.testing.assert_allclose(probabilities, summed(given["test"], 1.0), rtol=1e-4)
    results = json.loads((opened.path / "results.json").read_text())["models"]
    first = probabilities.argmax(axis=1)
    assert results["teacher"]["test"]["errors"] == (first != labels).sum()
    assert results["teacher"]["parameters"] is None
    assert results["student"]["test"]["agreement"] == (first == student).mean()


def test_what_is_joined_is_told(world, mapped, tmp_path):
    opened, _ = mapped
    told = []
    folder = opened.config.distill.soft_targets_dir
    sets = (*RUN, AS_SETTING, *answers.settings(folder))
    again = session(world, tmp_path, *sets, name="elsewhere")
    soft_targets.import_answers(again, tell=told.append)
    assert_a_line_states("\n".join(told), "distill.class_map", "1,000", 200, 10, 800)
