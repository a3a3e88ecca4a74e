"""The source of soft targets where the config leaves it open, and what is kept."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from tests.helpers import whole_run
from tests.helpers.cached_runs import NUM_IMAGES, assert_same_trainings, trained
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_states, refused
from tests.helpers.repository import REPOSITORY
from trainer import config, main, stages
from trainer.config import ConfigError
from trainer.session import Session, train_state
from trainer.soft_targets import DummyTargets
from trainer.stages.soft_targets import caches, formats
from trainer.stages.soft_targets.choice import choose, demand, recall, settle
from trainer.stages.student import distillation, online
from trainer.storage import workdir

BATCH = 20
# One step more than a cache of the whole split has predictions for.
PAYS = f"student.train.steps={NUM_IMAGES // BATCH + 1}"
ALL_MIXED = ("distill.mixup=0.5", "distill.alpha=1.0")
NOISY = (
    "teacher.model='tests.trainer.stages.test_soft_targets_choice:noisy'",
    "teacher.weights=''",
    "teacher.options={}",
    "teacher.train={global_batch_size=20, steps=2}",
)


def opened(world, folder, *settings: str, num_replicas: int = 1) -> Session:
    """A run that has claimed its workdir and done nothing yet."""
    chosen = config.load(str(world / "one.toml"), list(settings))
    workdir.claim(epath.Path(folder), chosen)
    return whole_run.session(chosen, folder, strategy_of(num_replicas))


def kept_choice(folder) -> str:
    return json.loads((folder / "config.json").read_text())["distill"]["soft_targets"]


class Noise(keras.layers.Layer):
    """Adds noise to its inputs, in training and else."""

    def call(self, inputs):
        return inputs + keras.random.normal(keras.ops.shape(inputs))


def noisy(shape, num_classes: int) -> keras.Model:
    """A teacher that predicts an image otherwise each time."""
    image = keras.Input(shape, dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, Noise()(keras.layers.Dense(num_classes)(x)))


def in_batch_norm(shape, num_classes: int) -> keras.Model:
    """A convolutional teacher with statistics to be folded."""
    image = keras.Input(shape, dtype="uint8")
    x = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    return keras.Model(
        image, keras.layers.Dense(num_classes)(keras.layers.Flatten()(x))
    )


@pytest.mark.parametrize(
    ("settings", "expected", "facts"),
    [
        ([PAYS], "cached", ["5,020", "5,000"]),
        ([], "online", ["4,000", "5,000"]),
        (["student.train.steps=250"], "online", ["5,000"]),
        (["student.train.steps=84", "seeds=[0, 1, 2]"], "cached", ["5,040", "5,000"]),
        ([PAYS, "data.augment='shift'"], "online", ["data.augment", "'shift'"]),
        (
            [PAYS, "student.train.augment='shift'"],
            "online",
            ["student.train.augment", "'shift'"],
        ),
        # The teacher's images are nothing to the students.
        ([PAYS, "data.augment='shift'", "student.train.augment='none'"], "cached", []),
        ([PAYS, *ALL_MIXED], "online", ["distill.mixup", 0.5]),
        (
            [PAYS, "data.transfer_split='train[:50]+test[:50]'"],
            "online",
            ["data.transfer_split", "'train[:50]+test[:50]'"],
        ),
        # An id and ten logits of 5,000 images take 240 kB.
        ([PAYS, "data.memory_budget_bytes=240000"], "cached", []),
        (
            [PAYS, "data.memory_budget_bytes=239999"],
            "online",
            ["data.memory_budget_bytes", "240.0 kB"],
        ),
        (
            ["student.train.global_batch_size=1", "student.train.steps=6000"],
            "online",
            ["student.train.global_batch_size", 1, "rounding"],
        ),
        (
            [PAYS, "student.train.accumulate=20"],
            "online",
            ["student.train.global_batch_size", 20, "rounding"],
        ),
        ([PAYS, "student.train.accumulate=10"], "cached", []),
        (
            [PAYS, "runtime.teacher_batch_size=1"],
            "online",
            ["runtime.teacher_batch_size", 1, "rounding"],
        ),
        (
            [PAYS, "data.unlabeled={dataset='dots', split='train[5:9]+test[5:9]'}"],
            "online",
            ["data.unlabeled.split", "'train[5:9]+test[5:9]'"],
        ),
        ([PAYS, *NOISY], "online", ["teacher", "otherwise each time"]),
        ([PAYS, "student.precision='mixed_bfloat16'"], "cached", ["to rounding"]),
        # Every loss can be served, also at temperatures that change.
        (
            [
                PAYS,
                "distill={terms=[{loss='dist', schedule='linear', "
                "final_temperature=1.0}], group_size=4}",
            ],
            "cached",
            [],
        ),
        (
            [
                PAYS,
                "distill={terms=[{loss='kl'}, {loss='hint', "
                "student_layer='embedding', teacher_layer='embedding'}]}",
            ],
            "online",
            ["distill.terms[1]", "'hint'", "distill.cache_embedding"],
        ),
    ],
)
def test_a_cache_is_chosen_where_it_is_a_live_teacher_and_pays(
    world, tmp_path, settings, expected, facts
):
    run = opened(world, tmp_path, *settings)
    choice = choose(run, [demand(run, len(run.config.seeds))], run.path)
    assert choice.soft_targets == expected
    assert_states(choice.text, f"soft targets: {expected}", *facts)
    assert kept_choice(tmp_path) == "auto"  # nothing is recorded


def test_a_replica_that_sees_one_example_asks_a_live_teacher(world, tmp_path):
    run = opened(
        world, tmp_path, "student.train.global_batch_size=2", "student.train.steps=3000"
    )
    assert choose(run, [demand(run, 1)], run.path).soft_targets == "cached"
    on_two = opened(
        world,
        tmp_path / "two",
        *("student.train.global_batch_size=2", "student.train.steps=3000"),
        num_replicas=2,
    )
    assert choose(on_two, [demand(on_two, 1)], on_two.path).soft_targets == "online"


def test_runs_that_share_a_cache_pay_for_it_together(world, tmp_path):
    """A cell that no cache can serve neither counts nor stands in the way."""
    half = "student.train.steps=126"
    cells = [
        demand(opened(world, tmp_path / str(i), half, *settings), 1)
        for i, settings in enumerate(
            [(), ("data.transfer_split='train[:9]'",), ("data.augment='shift'",)]
        )
    ]
    assert [cell.num_asked for cell in cells] == [2520, 2520, 0]
    run = opened(world, tmp_path / "study")
    for found, expected in ((cells, "cached"), (cells[:1], "online")):
        assert choose(run, found, run.path).soft_targets == expected
    choice = choose(run, cells[2:], run.path)
    assert_states(choice.text, "online", "data.augment", "'shift'")


def test_a_disk_without_room_has_no_cache(world, small_disk):
    run = opened(world, small_disk, PAYS)
    assert choose(run, [demand(run, 1)], run.path).soft_targets == "cached"
    (small_disk / "full").write_bytes(bytes(800_000))
    choice = choose(run, [demand(run, 1)], run.path)
    # 64 bytes of each record in a file.
    assert_states(choice.text, "soft targets: online", "320.0 kB", small_disk)


def test_the_choice_is_kept_once_something_has_trained(world, tmp_path, capsys):
    half = "student.train.steps=250"
    run = opened(world, tmp_path, half)
    stages.run(run, ("teacher",), whole=False)
    assert kept_choice(tmp_path) == "online"
    assert_states(capsys.readouterr().err, "soft targets: online", "5,000")
    # With another seed it would be another choice, which is not made again.
    more = opened(world, tmp_path, half, "seeds=[0, 1]")
    assert choose(more, [demand(more, 2)], more.path).soft_targets == "cached"
    assert kept_choice(tmp_path) == "online"
    settled = settle(more, lambda: [demand(more, 2)])
    assert settled.config.distill.soft_targets == "online"
    assert settled.datasets is more.datasets
    assert_states(capsys.readouterr().err, "soft targets: online", tmp_path)
    both = (half, "seeds=[0, 1]")
    opened(world, tmp_path, *both, "distill.soft_targets='online'")
    with refused(ConfigError, "distill.soft_targets", "'online'", "'cached'"):
        opened(world, tmp_path, *both, "distill.soft_targets='cached'")


def test_the_choice_is_made_again_while_nothing_has_trained(world, tmp_path):
    run = opened(world, tmp_path, PAYS)
    assert settle(run, lambda: [demand(run, 1)]).config.distill.is_cached
    assert kept_choice(tmp_path) == "cached"
    run = opened(world, tmp_path)
    assert kept_choice(tmp_path) == "auto"
    assert not settle(run, lambda: [demand(run, 1)]).config.distill.is_cached
    assert kept_choice(tmp_path) == "online"


def test_a_run_that_began_with_a_live_teacher_goes_on_with_it(world, tmp_path):
    run = opened(world, tmp_path, PAYS, "distill.soft_targets='online'")
    stages.run(run, ("teacher",), whole=False)
    later = opened(world, tmp_path, PAYS)
    assert (
        settle(later, lambda: [demand(later, 1)]).config.distill.soft_targets
        == "online"
    )
    assert kept_choice(tmp_path) == "online"


def test_no_cache_is_built_where_a_live_teacher_was_chosen(world, tmp_path):
    run = opened(world, tmp_path)
    with refused(ConfigError, "distill.soft_targets", "'cached'", "4,000", "5,000"):
        stages.run(run, ("soft-targets",), whole=False)
    paying = opened(world, tmp_path / "paying", PAYS)
    stages.run(paying, ("teacher", "soft-targets"), whole=False)
    assert caches.open_caches(paying.networks)


@pytest.mark.slow
def test_the_student_stage_builds_the_cache_that_was_chosen(world, tmp_path):
    for stage in ("teacher", "student"):
        stages.run(opened(world, tmp_path, PAYS), (stage,), whole=False)
    assert (tmp_path / "student" / "seed-0" / "model.keras").exists()
    assert (tmp_path / "soft_targets" / "train" / "manifest.json").exists()


@pytest.mark.slow
def test_a_teacher_that_is_used_as_it_is_needs_no_stage_before(world, tmp_path):
    stages.run(opened(world, tmp_path / "first"), ("teacher",), whole=False)
    file = tmp_path / "first" / "teacher" / "model.keras"
    given = [f"teacher.weights='{file}'", "teacher.min_accuracy=0.0"]
    run = opened(world, tmp_path / "run", PAYS, *given, config.Unset("teacher.train"))
    stages.run(run, ("student",), whole=False)
    assert (run.path / "student" / "seed-0" / "model.keras").exists()
    taken = whole_run.weights(tmp_path / "run" / "teacher" / "model.keras")
    for found, own in zip(taken, whole_run.weights(file), strict=True):
        np.testing.assert_array_equal(found, own)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("soft_targets_dir", "'shared'"),
        ("soft_targets_dtype", "'float16'"),
        ("top_k", 3),
        ("views", 2),
        ("cache_embedding", True),
    ],
)
def test_settings_of_a_cache_ask_for_one(world, setting, value):
    shown = str(value).lower() if isinstance(value, bool) else value
    given = [f"distill.{setting}={shown}", "student.train.augment='shift'"]
    facts = [f"distill.{setting}", value, "distill.soft_targets", "'cached'", "'auto'"]
    with refused(ConfigError, *facts):
        config.load(str(world / "one.toml"), given)
    config.load(str(world / "one.toml"), [*given, "distill.soft_targets='cached'"])


def test_config_shows_the_rule(world, capsys):
    flags = ["trainer", "config", f"--config={world}/one.toml"]
    assert main.main(flags) == 0
    printed, told = capsys.readouterr()
    assert json.loads(printed)["distill"]["soft_targets"] == "auto"
    assert_states(told, "distill.soft_targets", "'auto'", "data.memory_budget_bytes")
    assert main.main([*flags, "--set=data.augment='shift'"]) == 0
    assert_states(capsys.readouterr().err, "online", "data.augment", "'shift'")


# Cached is online.


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        ["data.transfer_split='train[1000:2009]'"],
        [
            "data.transfer_split='train[1000:1500]'",
            "data.unlabeled={dataset='dots', split='test'}",
        ],
    ],
    ids=["transfer_split", "unlabeled"],
)
def test_the_default_learns_as_from_a_live_teacher(world, tmp_path, settings):
    """A convolutional teacher, a student with dropout, batches across two epochs."""
    settings = [
        "teacher.model='tests.trainer.stages.test_soft_targets_choice:in_batch_norm'",
        *("teacher.weights=''", "teacher.options={}"),
        "teacher.train={global_batch_size=20, steps=40}",
        *("student.train.steps=120", "student.train.global_batch_size=24"),
        "seeds=[0, 1]",
        *settings,
    ]
    found = {}
    for source in ("auto", "online"):
        folder = tmp_path / source
        run = opened(world, folder, *settings, f"distill.soft_targets='{source}'")
        stages.run(run, ("teacher",), whole=False)
        names = ("student",)
        if source == "auto":
            run = recall(run)  # as the first start chose
            assert run.config.distill.is_cached
            names = ("soft-targets", "student")
        stages.run(run, names, whole=False)
        found[source] = (
            trained(run),
            [
                whole_run.weights(run.networks.folder("student", seed) / "last.keras")
                for seed in run.config.seeds
            ],
        )
    assert_same_trainings(found["auto"][0], found["online"][0])
    for ours, theirs in zip(found["auto"][1], found["online"][1], strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def operations(run: Session, spec: train_state.TrainSpec) -> set[str]:
    """The kinds of operations of one replica's part of a step."""
    batch = next(iter(train_state.batches(run.datasets, spec, 0)))
    step = tf.function(
        lambda batch: spec.objective.run(batch, tf.constant(0), tf.constant(1.0))
    )
    graph = step.get_concrete_function(batch).graph
    return {operation.type for operation in graph.get_operations()}


def test_students_of_the_demo_have_no_teacher_in_their_graph(tmp_path, tfds_dir):
    chosen = config.load(
        str(REPOSITORY / "configs" / "mnist_mini.toml"), [f"data.data_dir='{tfds_dir}'"]
    )
    run = whole_run.session(chosen, tmp_path, strategy_of(1))
    run = settle(run, lambda: [demand(run, len(chosen.seeds))])
    assert run.config.distill.is_cached
    networks, seed = run.networks, 0
    student = networks.build("student", seed)
    kept = DummyTargets(formats.record_formats(networks), is_in_memory=True)
    live = online(networks, [networks.build("teacher", seed)])
    cached = distillation(networks, student, kept.signals(), seed, auxiliary=kept)
    assert "Conv2D" not in operations(run, cached)
    assert "Conv2D" in operations(run, distillation(networks, student, live, seed))
