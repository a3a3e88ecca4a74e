"""Whole runs with losses between layers: what is left of adapters, and what is not."""

import json
import shutil

import keras
import numpy as np
import pytest

from tests.helpers import cached_runs, groups, whole_run
from tests.helpers.kills import kill_between_two_saves
from tests.helpers.messages import assert_a_line_states
from trainer import main
from trainer.train.events import read_metrics

pytestmark = pytest.mark.slow

SETTINGS = (
    "--set=seeds=[0]",
    "--set=teacher.train.steps=20",
    "--set=student.train.steps=500",
    "--set=student.train.ema=0.9",
    "--set=runtime.save_every_steps=100",
    "--set=runtime.eval_every_steps=500",
    """--set=distill={group_size=8, hard_weight=0.5, terms=[
        {loss='hint', student_layer='hidden_1', teacher_layer='convolution_2',
         options={batch_norm=true}},
        {loss='vid', student_layer='hidden_1', teacher_layer='convolution_2'},
        {loss='rkd', weight=0.1, student_layer='embedding', teacher_layer='embedding'},
        {loss='kl'},
    ]}""".replace("\n", " "),
)
# 28 x 28 pixels to 16 units to 10 classes, with biases.
NUM_PARAMETERS = 28 * 28 * 16 + 16 + 16 * 10 + 10
# 16 units to 16 channels, twice, with biases; a normalisation; a variance.
NUM_OF_ADAPTERS = 2 * (16 * 16 + 16) + 4 * 16 + 16


@pytest.fixture(scope="module")
def config(tmp_path_factory, tfds_dir):
    return whole_run.write_config(tmp_path_factory.mktemp("features"), tfds_dir)


@pytest.fixture(scope="module")
def finished_and_told(config):
    """The workdir of a run that nobody interrupted, and what it told."""
    workdir = config.parent / "workdir"
    code, _, err = whole_run.do("run", config, workdir, *SETTINGS)
    assert code == 0, err
    return workdir, err


@pytest.fixture(scope="module")
def finished(finished_and_told):
    return finished_and_told[0]


def saved(folder, step: int) -> dict[str, np.ndarray]:
    with np.load(folder / "checkpoints" / f"step-{step:08d}.npz") as arrays:
        return {name: arrays[name] for name in arrays.files if name != "header"}


def test_a_killed_training_goes_on_with_its_adapters_bit_for_bit(
    config, finished, tmp_path
):
    workdir = tmp_path / "workdir"
    shutil.copytree(finished / "teacher", workdir / "teacher")
    shutil.copy(finished / "config.json", workdir)
    process = whole_run.start("student", config, workdir, *SETTINGS)
    folder = workdir / "student" / "seed-0"
    step = kill_between_two_saves(process, folder)
    last = max((folder / "checkpoints").glob("step-*.npz"))
    assert int(last.stem.removeprefix("step-")) < step
    assert main.main(whole_run.command("student", config, workdir, *SETTINGS)) == 0

    expected = finished / "student" / "seed-0"
    ours, theirs = (saved(place, 500) for place in (folder, expected))
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)
    for file in ("last.keras", "model.keras"):
        for actual, wanted in zip(
            *(whole_run.weights(place / file) for place in (folder, expected)),
            strict=True,
        ):
            np.testing.assert_array_equal(actual, wanted, err_msg=file)
    lines = [read_metrics(place / "metrics.jsonl") for place in (folder, expected)]
    ours, theirs = (
        [{k: v for k, v in line.items() if "perf/" not in k} for line in each]
        for each in lines
    )
    assert ours == theirs


def test_checkpoints_alone_have_adapters_which_are_trained(finished):
    folder = finished / "student" / "seed-0"
    first, last = (
        {
            name: value
            for name, value in saved(folder, step).items()
            if name.startswith("adapters/")
        }
        for step in (400, 500)
    )
    assert sum(value.size for value in last.values()) == NUM_OF_ADAPTERS
    for name, value in last.items():
        assert np.abs(value - first[name]).max() > 0, name
    of_the_model = [x for name, x in saved(folder, 500).items() if "model/" in name]
    assert sum(x.size for x in of_the_model) == NUM_PARAMETERS
    baseline = saved(finished / "baseline" / "seed-0", 500)
    assert not [name for name in baseline if name.startswith("adapters/")]
    for file in ("last.keras", "model.keras"):
        weights = whole_run.weights(folder / file)
        assert [w.shape for w in weights] == [(784, 16), (16,), (16, 10), (10,)]


def test_a_run_tells_of_adapters_and_counts_the_student_alone(finished_and_told):
    finished, err = finished_and_told
    assert_a_line_states(err, "adapters", NUM_OF_ADAPTERS, "student")
    models = json.loads((finished / "results.json").read_text())["models"]
    assert models["student"]["parameters"] == NUM_PARAMETERS
    assert models["baseline"]["parameters"] == NUM_PARAMETERS
    lines = read_metrics(finished / "student" / "seed-0" / "metrics.jsonl")
    for name in ("hint", "vid", "rkd"):
        values = [line[f"train/{name}"] for line in lines]
        assert np.isfinite(values).all()
        assert np.mean(values[-20:]) < np.mean(values[:5]), name


def test_an_export_and_a_version_have_no_adapter(config, finished, tmp_path):
    for name, more in (
        ("export", ()),
        (
            "registry",
            (
                "register",
                f"--set=registry.root='{tmp_path}/registry'",
            ),
        ),
    ):
        code, _, err = whole_run.do(name, config, finished, *more, *SETTINGS)
        assert code == 0, err
    folders = [
        file.parent
        for place in (finished / "export", tmp_path / "registry")
        for file in place.rglob("saved_model.pb")
    ]
    assert len(folders) >= 2
    for folder in folders:
        layer = keras.layers.TFSMLayer(folder, call_endpoint="serving_default")
        sizes = [np.prod(weight.shape) for weight in layer.weights]
        assert sum(sizes) == NUM_PARAMETERS, folder
    (file,) = (tmp_path / "registry").rglob("model.keras")
    assert sum(w.size for w in whole_run.weights(file)) == NUM_PARAMETERS


# Small weights: what Adam keeps of gradients is compared to 1e-5.
SHARED = (
    *SETTINGS[:2],
    "--set=student.train.steps=20",
    "--set=student.train.global_batch_size=48",
    """--set=distill={group_size=8, hard_weight=0.1, terms=[
        {loss='kl', weight=0.1},
        {loss='hint', weight=0.02, student_layer=['hidden_1', 'embedding'],
         teacher_layer=['convolution_2', 'embedding']},
        {loss='vid', weight=0.05, student_layer='hidden_1',
         teacher_layer='convolution_2'},
        {loss='contrastive', weight=0.02, student_layer='embedding',
         teacher_layer='flatten'},
        {loss='rkd', weight=0.001, student_layer='embedding',
         teacher_layer='embedding'},
        {loss='srrl', weight=0.005, student_layer='embedding',
         teacher_layer='embedding'},
    ]}""".replace("\n", " "),
)


def test_two_workers_train_adapters_like_one_process(config, finished, tmp_path):
    alone, together = (tmp_path / name / "workdir" for name in ("alone", "together"))
    for workdir in (alone, together):
        shutil.copytree(finished / "teacher", workdir / "teacher")
    assert main.main(whole_run.command("student", config, alone, *SHARED)) == 0
    groups.finish(tmp_path, 2, "student", config, together, *SHARED)
    ours, theirs = (saved(x / "student" / "seed-0", 20) for x in (together, alone))
    assert ours.keys() == theirs.keys()
    # Five linear maps, and a variance.
    assert sum(name.startswith("adapters/") for name in ours) == 2 * 5 + 1
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=1e-5, err_msg=name)


HINT = "loss='hint', student_layer='embedding', teacher_layer='hidden_1'"
SHORT = ("student.train.steps=20", "student.train.global_batch_size=8")


def test_a_term_against_a_member_is_one_against_that_teacher_alone(world, tmp_path):
    def learned(folder, hint: str, *more: str, name: str):
        terms = f"distill={{terms=[{{{HINT}{hint}}}]}}"
        run = cached_runs.session(
            world, tmp_path / folder, terms, *SHORT, *more, name=name
        )
        weights, _ = cached_runs.trained(run)
        return weights

    other = f"teacher.weights='{world}/other.keras'"
    second = learned("second", ", teacher='members[1]'", name="members")
    alone = learned("alone", "", other, name="one")
    first = learned("first", ", teacher='members[0]'", name="members")
    for ours, theirs in zip(second, alone, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert any((a != b).any() for a, b in zip(first, second, strict=True))
