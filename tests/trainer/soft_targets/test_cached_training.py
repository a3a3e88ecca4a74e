"""Students that learn from a teacher's answers on disk, against the teacher itself."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import configs, whole_run
from tests.helpers.cached_runs import (
    CACHED,
    SHIFTED,
    STREAMED,
    answers,
    assert_same,
    assert_same_trainings,
    batches,
    cached_session,
    session,
    taught,
    trained,
)
from tests.helpers.graphs import operations
from trainer import data
from trainer.session import Session
from trainer.session.train_state import prepare
from trainer.stages.baseline import baseline_training
from trainer.stages.teacher import supervised
from trainer.train.step import Step


@pytest.fixture(scope="module")
def plain(world) -> str:
    """The setting of caches of the images as they are."""
    cached_session(world, world / "plain")
    return f"distill.soft_targets_dir='{world}/plain/soft_targets'"


@pytest.fixture(scope="module")
def shifted(world) -> str:
    """The setting of caches of two views of the images."""
    cached_session(world, world / "shifted", SHIFTED, "distill.views=2")
    return f"distill.soft_targets_dir='{world}/shifted/soft_targets'"


# Cached is online.


SHORT = (
    "student.train.steps=40",
    "runtime.steps_per_loop=4",
    "runtime.log_every_steps=4",
)
TERMS = (f"distill={configs.ALL_TERMS.format(group_size=4)}", *SHORT)


@pytest.mark.slow
def test_every_loss_of_each_seed_is_that_of_a_live_teacher(world, plain, tmp_path):
    sets = ("seeds=[0, 1]", *TERMS)
    online = session(world, tmp_path / "online", *sets)
    cached = session(world, tmp_path / "cached", *sets, CACHED, plain)
    assert_same_trainings(trained(cached), trained(online))
    ours, theirs = (
        whole_run.weights(opened.networks.folder("student", 1) / "last.keras")
        for opened in (cached, online)
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_two_epochs_of_two_views_are_those_of_a_live_teacher(world, shifted, tmp_path):
    online = trained(session(world, tmp_path / "online", SHIFTED))
    sets = (CACHED, shifted, SHIFTED, "distill.views=2")
    assert_same_trainings(trained(session(world, tmp_path / "cached", *sets)), online)


# More than two epochs: the last step reaches into the third one.
REMAINDER = "student.train.global_batch_size=24"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_views", "settings"),
    [
        # Without a class the last steps are of a third epoch.
        (3, (*STREAMED, "data.exclude_labels=[3]")),
        (
            2,
            (
                *("student.train.accumulate=2", "seeds=[7]"),
                "student.train.augment_options.max_pixels=1",
            ),
        ),
        (
            2,
            (
                "student.train.augment=['shift', 'rand_augment', 'color_jitter', "
                "'trivial_augment', 'random_erasing']",
                "student.train.augment_options.rand_augment.fill=9",
            ),
        ),
    ],
)
def test_other_runs_are_those_of_a_live_teacher(world, tmp_path, num_views, settings):
    sets = (SHIFTED, *settings)
    online = session(world, tmp_path / "online", *sets)
    views = f"distill.views={num_views}"
    cached = cached_session(world, tmp_path / "cached", views, *sets)
    assert_same_trainings(trained(cached), trained(online))


@pytest.mark.slow
def test_a_view_for_each_epoch_that_is_begun_makes_both_equal(world, shifted, tmp_path):
    """2,000 examples are no whole number of batches of 24."""
    sets = (SHIFTED, REMAINDER, "student.train.steps=0", "student.train.epochs=2")
    online, two, three = (
        trained(opened)
        for opened in (
            session(world, tmp_path / "online", *sets),
            session(world, tmp_path / "two", CACHED, shifted, "distill.views=2", *sets),
            cached_session(world, tmp_path / "three", "distill.views=3", *sets),
        )
    )
    assert online[1][-1]["step"] == 167
    assert_same_trainings(three, online)
    # All but the last batch, of which 16 images are of the third epoch.
    assert two[1][:-1] == online[1][:-1]
    assert two[1][-1] != online[1][-1]


@pytest.mark.slow
@pytest.mark.parametrize("settings", [(), STREAMED])
def test_two_replicas_learn_as_from_a_live_teacher(world, shifted, tmp_path, settings):
    sets = (SHIFTED, "runtime.logical_cpus=2", *settings)
    online = session(world, tmp_path / "online", *sets, num_replicas=2)
    sets = (CACHED, shifted, "distill.views=2", *sets)
    cached = session(world, tmp_path / "cached", *sets, num_replicas=2)
    assert_same_trainings(trained(cached), trained(online))


@pytest.mark.slow
@pytest.mark.parametrize("settings", [(), (*STREAMED, TERMS[0])])
def test_a_resumed_run_is_an_uninterrupted_one(world, shifted, tmp_path, settings):
    sets = (
        *(CACHED, shifted, SHIFTED, "distill.views=2", *settings),
        *("runtime.save_every_steps=20", "runtime.keep_checkpoints=10"),
    )
    whole = trained(session(world, tmp_path / "whole", *sets))
    folder = tmp_path / "resumed"
    shutil.copytree(tmp_path / "whole", folder)
    left = folder / "student" / "seed-0"
    (left / "model.keras").unlink()
    (left / "last.keras").unlink()
    for path in (left / "checkpoints").glob("step-*.npz"):
        # In the second epoch, and inside a window.
        if int(path.stem.removeprefix("step-")) > 120:
            path.unlink()
    assert_same_trainings(trained(session(world, folder, *sets)), whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first_step", "num_steps"),
    [(80, 20), pytest.param(0, 130, marks=pytest.mark.slow)],
)
def test_streamed_batches_bring_the_answers_to_what_they_show(
    world, shifted, tmp_path, first_step, num_steps
):
    """Over the end of an epoch, and from shards that begin at other ids than files."""
    sets = (CACHED, shifted, SHIFTED, "distill.views=2", "data.exclude_labels=[3]")
    streamed = session(world, tmp_path / "a", *sets, *STREAMED)
    training = taught(streamed)
    assert not training.auxiliary.is_in_memory
    found = batches(streamed, training, num_steps, first_step=first_step)
    # Of an epoch, of 89 or 90 steps, and of one more.
    assert len(streamed.datasets.transfer) / 20 < first_step + num_steps
    for batch in found:
        assert 3 not in batch["label"]
        np.testing.assert_array_equal(
            batch["teacher_0_logits"], answers(streamed, batch["input"])
        )


@pytest.mark.slow
def test_streamed_answers_are_those_in_memory(world, shifted, tmp_path):
    sets = (CACHED, shifted, SHIFTED, "distill.views=2")
    streamed = session(world, tmp_path / "a", *sets, *STREAMED)
    in_memory = taught(session(world, tmp_path / "b", *sets)).auxiliary
    assert in_memory.is_in_memory
    # Ten batches end the epoch of the first view.
    found = batches(streamed, taught(streamed), 20, first_step=90)
    for i, batch in enumerate(found):
        ids = tf.constant(batch["id"])
        gathered = in_memory.gather(ids, tf.fill([20], tf.constant(i // 10, tf.int64)))
        np.testing.assert_array_equal(
            batch["teacher_0_logits"], gathered["teacher_0_logits"]
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "streamed", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_all_seeds_and_their_baselines_see_the_views_of_the_cache(
    world, shifted, tmp_path, streamed
):
    sets = [CACHED, shifted, SHIFTED, "distill.views=2", "seeds=[0, 1]"]
    opened = session(world, tmp_path, *sets, *(STREAMED if streamed else ()))
    seen = []
    for seed in (0, 1):
        training = taught(opened, seed)
        # The whole epoch of the second view.
        of_student = batches(opened, training, 100, first_step=100)
        of_baseline = baseline_training(opened.networks, training.model, seed)
        assert_same(of_student[:5], batches(opened, of_baseline, 5, first_step=100))
        seen.append(
            {
                int(i): image
                for batch in of_student
                for i, image in zip(batch["id"], batch["input"], strict=True)
            }
        )
        np.testing.assert_array_equal(
            of_student[0]["teacher_0_logits"], answers(opened, of_student[0]["input"])
        )
    assert seen[0].keys() == seen[1].keys() == set(range(1000, 3000))
    for i, image in seen[0].items():
        np.testing.assert_array_equal(image, seen[1][i])
    # That seed 1 has views of its own online.
    training = dataclasses.replace(taught(opened, 1), auxiliary=None)
    own = dataclasses.replace(training, views=data.Views(seed=1, count=None))
    (batch,) = batches(opened, own, 1, first_step=100)
    images = [seen[0][int(i)] for i in batch["id"]]
    assert (batch["input"] != images).any()


@pytest.mark.slow
def test_students_of_all_seeds_learn_from_one_streamed_cache(world, shifted, tmp_path):
    sets = (CACHED, shifted, SHIFTED, "distill.views=2")
    opened = session(world, tmp_path, *sets, *STREAMED)
    training = taught(opened)
    for seed in (0, 1):
        (batch,) = batches(opened, dataclasses.replace(training, seed=seed), 1)
        np.testing.assert_array_equal(
            batch["teacher_0_logits"], answers(opened, batch["input"])
        )


@pytest.mark.slow
def test_pipelines_of_two_workers_bring_the_answers_of_one(world, shifted, tmp_path):
    sets = (CACHED, shifted, SHIFTED, "distill.views=2")
    opened = session(world, tmp_path, *sets, *STREAMED)
    training = taught(opened)
    first = batches(opened, training, 2, first_step=99)
    examples = dataclasses.replace(
        training.examples, auxiliary=training.auxiliary, views=training.views
    )
    halves = []
    for pipeline in (0, 1):
        share = data.InputShard(
            per_replica_batch_size=10,
            num_replicas=2,
            first_replica=pipeline,
            local_replicas=1,
        )
        elements = examples.training(share, seed=0, first_step=99, map_fn=dict)
        elements = elements.take(2).with_options(data.pipeline_options())
        halves.append(list(elements.as_numpy_iterator()))
    for whole, *parts in zip(first, *halves, strict=True):
        for name in ("id", "label", "batch_position", "teacher_0_logits"):
            joined = np.concatenate([part[name] for part in parts])
            np.testing.assert_array_equal(joined, whole[name])


# Of two networks one is compiled by XLA.


def step_of(opened: Session) -> Step:
    return prepare(opened.networks, taught(opened)).compiled


@pytest.mark.parametrize(
    ("xla", "compiled", "others"),
    [
        ("teacher", set(), {"MatMul", "ReluGrad"}),
        ("student", {"MatMul", "ReluGrad"}, set()),
    ],
)
def test_a_step_with_a_cache_is_the_student_s(
    world, plain, tmp_path, xla, compiled, others
):
    opened = session(world, tmp_path, CACHED, plain, f"runtime.xla={xla!r}")
    found = operations(step_of(opened))
    both = {"MatMul", "ReluGrad"}
    assert (found.compiled & both, found.others & both) == (compiled, others)


@pytest.mark.parametrize(
    ("xla", "compiled", "others"),
    [
        ("teacher", {"MatMul"}, {"MatMul", "ReluGrad"}),
        ("student", {"MatMul", "ReluGrad"}, {"MatMul"}),
    ],
)
def test_of_a_live_teacher_and_its_student_one_is_compiled(
    world, tmp_path, xla, compiled, others
):
    opened = session(world, tmp_path, f"runtime.xla={xla!r}")
    found = operations(step_of(opened))
    both = {"MatMul", "ReluGrad"}
    assert (found.compiled & both, found.others & both) == (compiled, others)


@pytest.mark.slow
@pytest.mark.parametrize("xla", ["teacher", "student"])
def test_a_cache_and_its_student_come_out_as_without_xla(world, plain, tmp_path, xla):
    sets = (f"runtime.xla={xla!r}", *SHORT)
    (expected, before), (found, after) = (
        trained(session(world, tmp_path / "off", CACHED, plain, *SHORT)),
        trained(cached_session(world, tmp_path / xla, *sets)),
    )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
    for ours, theirs in zip(after, before, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)


def test_of_a_student_alone_programs_of_several_steps_are_its_own(
    world, plain, tmp_path
):
    sets = ("runtime.xla='student'", "runtime.steps_per_execution=4", *SHORT)
    opened = session(world, tmp_path, CACHED, plain, *sets)
    networks = opened.networks
    # In a graph of steps one after another there is no loop of Python's.
    graph = tf.types.experimental.PolymorphicFunction
    assert not isinstance(step_of(opened).multi_step, graph)
    network, section = networks.build("teacher", 0), opened.config.student.train
    of_teacher = supervised(networks, "teacher", network, section, "")
    found = operations(prepare(networks, of_teacher).compiled)
    assert "ReluGrad" in found.others - found.compiled
