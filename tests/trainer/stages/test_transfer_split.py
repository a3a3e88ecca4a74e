"""Students that learn from other examples than their teacher."""

import numpy as np
import pytest

from tests.helpers import whole_run
from tests.helpers.cached_runs import (
    CACHED,
    STREAMED,
    assert_same,
    batches,
    cached_session,
    session,
    taught,
)
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_a_line_states, refused
from trainer import config, data, soft_targets, stages
from trainer.config import ConfigError, differences, resolve
from trainer.session import Session
from trainer.stages.baseline import baseline_training
from trainer.stages.check import check
from trainer.stages.soft_targets import caches
from trainer.stages.soft_targets import plan as print_plan
from trainer.stages.student import distillation, online
from trainer.stages.teacher import supervised

EPOCHS = ("student.train.steps=0", "student.train.epochs=10")
OTHER = "data.transfer_split='test[:60]'"  # its teacher learned from "train"


def test_students_see_the_transfer_split_and_the_teacher_all(tmp_path, tfds_dir):
    path = whole_run.write_config(tmp_path, tfds_dir)
    small = ["data.transfer_split='train[:3%]'", "data.exclude_labels=[3]", *EPOCHS]
    settings = config.load(str(path), small)
    run = whole_run.session(settings, tmp_path / "workdir", strategy_of(1))
    model = run.networks.build("student", 0)
    teacher = supervised(run.networks, "teacher", model, settings.teacher.train, "")
    student = distillation(run.networks, model, online(run.networks, [model]), 0)
    baseline = baseline_training(run.networks, model, 0)

    assert teacher.examples.ids.tolist() == list(range(1000))
    labels = run.datasets.source.read("train[:300]").labels
    others = np.flatnonzero(labels != 3).tolist()
    assert 200 < len(others) < 300
    for training in (student, baseline):
        assert training.examples.ids.tolist() == others
        assert training.num_steps == -(-10 * len(others) // 24)
    epoch = -(-len(others) // 24)
    shown = batches(run, student, epoch)
    assert {int(i) for batch in shown for i in batch["id"]} == set(others)


def opened(world, folder, *settings: str) -> Session:
    """A run that has done nothing yet."""
    chosen = config.load(str(world / "one.toml"), list(settings))
    return whole_run.session(chosen, folder, strategy_of(1))


def test_without_one_students_see_what_the_teacher_sees(world, tmp_path):
    run = opened(world, tmp_path)
    assert run.datasets.transfer is run.datasets.training


@pytest.mark.parametrize(
    ("split", "setting"),
    [
        ("train[4000:4100]", "data.validation_split"),
        ("train[4100:4200]", "data.test_split"),
    ],
)
def test_one_split_in_two_roles_is_refused(world, split, setting):
    with refused(ConfigError, setting, "data.transfer_split", repr(split)):
        config.load(str(world / "one.toml"), [f"data.transfer_split='{split}'"])


@pytest.mark.parametrize(
    ("split", "facts"),
    [
        ("train[3990:4003]", ["data.validation_split", "'train[4000:4100]'", 3]),
        ("train[4199:]", ["data.test_split", "'train[4100:4200]'", 1]),
        ("tran", ["'dots'"]),
        ("train[9:9]", ["empty"]),
        ("train[:9]+train[8:]", ["once"]),
    ],
)
def test_examples_that_select_or_test_are_refused(world, tmp_path, split, facts):
    run = opened(world, tmp_path, f"data.transfer_split='{split}'")
    with refused(data.DataError, "data.transfer_split", f"'{split}'", *facts):
        stages.run(run, ("teacher",), whole=False)


@pytest.mark.slow
def test_it_may_hold_what_the_teacher_learned_from_or_nothing_of_it(world, tmp_path):
    for split in ("train[1000:3000]", "train[2900:3100]", "test"):
        run = opened(world, tmp_path, f"data.transfer_split='{split}'")
        assert len(run.datasets.training) == 2000
        np.testing.assert_array_equal(
            run.datasets.transfer.ids, run.datasets.source.read(split).ids
        )


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), STREAMED])
def test_a_cache_holds_the_whole_split_of_the_students(world, tmp_path, more):
    online = session(world, tmp_path / "online", OTHER, *more)
    cached = cached_session(world, tmp_path / "cached", OTHER, *more)
    (transfer,) = caches.transfer_sets(cached.config, cached.datasets)
    manifest = soft_targets.read(caches.folder(cached.config, cached.path, 0, transfer))
    assert manifest.dataset["split"] == "test"
    assert manifest.num_examples == 100
    ours = batches(cached, taught(cached), 7)
    assert_same(batches(online, taught(online), 7), ours)
    # The answers are those to the images that they come with.
    for batch in ours:
        logits = cached.networks.teachers[0](batch["input"], training=False).numpy()
        np.testing.assert_array_equal(batch["teacher_0_logits"], logits)


@pytest.mark.slow
def test_students_of_a_cache_are_those_of_a_live_teacher(world, tmp_path):
    sets = ("data.transfer_split='train[1500:1560]'", *EPOCHS)
    weights = []
    for run in (
        session(world, tmp_path / "online", *sets),
        cached_session(world, tmp_path / "cached", *sets),
    ):
        stages.STAGES["student"](run)
        weights.append(
            whole_run.weights(run.networks.folder("student", 0) / "model.keras")
        )
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_cache_of_two_whole_splits_is_refused_by_the_students_setting(
    world, tmp_path
):
    run = opened(world, tmp_path, CACHED, "data.transfer_split='train[:9]+test'")
    with refused(ConfigError, "data.transfer_split", "'train[:9]+test'"):
        check(run)


def test_the_plan_counts_what_students_see(world, tmp_path, capsys):
    print_plan(opened(world, tmp_path, CACHED, OTHER, *EPOCHS))
    told = capsys.readouterr().out
    assert_a_line_states(told, "'test'", "100 examples", "1 view")
    # 10 epochs of 60 examples in batches of 20.
    assert_a_line_states(told, "1 x 30 steps", 600)


def test_it_makes_another_run_where_it_is_set(world):
    before, same, other = (
        resolve(config.load(str(world / "one.toml"), overrides))
        for overrides in ([], ["data.transfer_split=''"], [OTHER])
    )
    # So wrote the config of a run that is older than the setting.
    del before["data"]["transfer_split"]
    assert differences(before, same) == []
    assert differences(before, other) == ["data.transfer_split: '' -> 'test[:60]'"]
