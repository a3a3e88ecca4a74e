"""A whole run from the command line: its files, its outcome, and starting it again."""

import errno
import json
import os
import pathlib
import shutil
import time

import numpy as np
import pytest
from etils import epath

from tests.helpers import whole_run
from tests.helpers.devices import numpy_of, strategy_of
from tests.helpers.messages import assert_states, refused
from trainer import main, models, stages
from trainer.cluster import termination
from trainer.config import CnnOptions, ConfigError, reader
from trainer.runs import workflow
from trainer.train.events import read_metrics


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tfds_dir):
    """A finished run: its config file, workdir and printed table."""
    folder = tmp_path_factory.mktemp("run")
    config = whole_run.write_config(folder, tfds_dir)
    code, out, err = whole_run.do("run", config, folder / "workdir", draws=True)
    assert code == 0, err
    return config, folder / "workdir", out


@pytest.fixture
def copy(finished, tmp_path):
    """The finished run's config, and a copy of its workdir to damage."""
    config, workdir, _ = finished
    shutil.copytree(workdir, tmp_path / "workdir")
    return config, tmp_path / "workdir"


def test_a_run_leaves_the_files_of_its_contract(finished):
    _, workdir, _ = finished
    for name in ("config.json", "results.json", "report/index.html"):
        assert (workdir / name).is_file(), name
    assert list((workdir / "report").glob("*.png"))
    for name in whole_run.TRAININGS:
        assert (workdir / name / "model.keras").is_file()
        assert (workdir / name / "metrics.jsonl").is_file()
        assert list((workdir / name / "checkpoints").glob("step-*.npz"))


def test_the_table_compares_teacher_student_and_baseline(finished):
    *_, out = finished
    rows = [line.split()[0] for line in out.splitlines()[2:5]]
    assert rows == ["teacher", "student", "baseline"]
    for word in (
        "parameters",
        "test errors",
        "NLL",
        "ECE",
        "agreement",
        "+-",
        "verdict",
    ):
        assert word in out


def test_results_hold_every_model_seed_and_metric(finished):
    _, workdir, _ = finished
    models = json.loads((workdir / "results.json").read_text())["models"]
    assert list(models) == ["teacher", "student", "baseline"]
    # 784 inputs, 16 hidden units, 10 classes.
    assert models["student"]["parameters"] == 784 * 16 + 16 + 16 * 10 + 10
    for role, entry in models.items():
        test = entry["test"]
        assert test["examples"] == 500
        assert test["errors"] == round(500 * (1 - test["accuracy"]))
        assert np.trace(test["confusion_matrix"]) == 500 - test["errors"]
        assert {"nll", "brier", "ece", "top_5_accuracy", "per_class_accuracy"} <= set(
            test
        )
        assert ("agreement" in test) == (role != "teacher")
        assert [seed["seed"] for seed in entry["seeds"]] == (
            [0] if role == "teacher" else [0, 1]
        )
        assert all(seed["last"]["step"] == 60 for seed in entry["seeds"])
    errors = [seed["best"]["errors"] for seed in models["student"]["seeds"]]
    assert models["student"]["mean"]["errors"] == pytest.approx(np.mean(errors))
    assert models["student"]["std"]["errors"] == pytest.approx(np.std(errors, ddof=1))


def test_the_gain_is_the_mean_paired_difference_with_its_standard_error(finished):
    _, workdir, _ = finished
    results = json.loads((workdir / "results.json").read_text())
    best = {
        role: [seed["best"]["errors"] for seed in results["models"][role]["seeds"]]
        for role in ("student", "baseline")
    }
    gains = np.subtract(best["baseline"], best["student"])
    gain = results["gain"]["errors"]
    assert gain["per_seed"] == gains.tolist()
    assert gain["mean"] == pytest.approx(gains.mean())
    assert gain["standard_error"] == pytest.approx(gains.std(ddof=1) / np.sqrt(2))


def test_metrics_have_each_logged_step_once_with_the_contract_s_names(finished):
    _, workdir, _ = finished
    for name in whole_run.TRAININGS:
        lines = read_metrics(workdir / name / "metrics.jsonl")
        assert [line["step"] for line in lines] == list(range(5, 61, 5))
        always = {"train/loss", "train/accuracy", "train/learning_rate"}
        assert always | {"perf/examples_per_sec"} <= set(lines[0])
        assert ("train/soft_loss" in lines[0]) == name.startswith("student")
        assert [n["step"] for n in lines if "eval/accuracy" in n] == [20, 40, 60]
        assert ("eval/agreement" in lines[3]) == name.startswith("student")


def test_the_logged_learning_rate_is_the_schedule_s(finished):
    _, workdir, _ = finished
    lines = read_metrics(workdir / "teacher" / "metrics.jsonl")
    logged = [line["train/learning_rate"] for line in lines]
    applied = [
        1e-3 * (1 + np.cos(np.pi * (step - 1) / 60)) / 2 for step in range(5, 61, 5)
    ]
    np.testing.assert_allclose(logged, applied, rtol=1e-4)


def test_only_students_lack_the_excluded_labels_and_pairs_start_alike(
    copy, monkeypatch
):
    config, workdir = copy
    seen = {}

    def record(session, training) -> None:
        labels = set(training.examples.labels.tolist())
        weights = [numpy_of(variable) for variable in training.model.variables]
        seen[training.title] = (labels, weights)

    monkeypatch.setattr("trainer.session.training.train", record)
    settings = reader.load(str(config), ["data.exclude_labels=[3]"])
    for path in workdir.rglob("model.keras"):
        if "teacher" not in path.parts:
            path.unlink()
    session = whole_run.session(settings, workdir, strategy_of(1))
    for stage in ("student", "baseline"):
        stages.STAGES[stage](session)
    (workdir / "teacher" / "model.keras").unlink()
    stages.STAGES["teacher"](session)
    assert seen["teacher seed 0"][0] == set(range(10))
    for seed in (0, 1):
        (labels, taught), (same, alone) = (
            seen[f"{role} seed {seed}"] for role in ("student", "baseline")
        )
        assert labels == same == set(range(10)) - {3}
        for ours, theirs in zip(taught, alone, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(
        seen["student seed 0"][1][0], seen["student seed 1"][1][0]
    )


def test_the_selected_model_is_the_first_best_on_validation(finished):
    _, workdir, _ = finished
    models = json.loads((workdir / "results.json").read_text())["models"]
    lines = read_metrics(workdir / "student" / "seed-1" / "metrics.jsonl")
    evaluated = {n["step"]: n["eval/accuracy"] for n in lines if "eval/accuracy" in n}
    best = max(evaluated, key=lambda step: (evaluated[step], -step))
    assert models["student"]["seeds"][1]["best"]["step"] == best


def test_stages_of_a_finished_run_give_the_chief_alone_its_table(
    copy, finished, monkeypatch
):
    config, path = reader.load(str(copy[0])), epath.Path(copy[1])
    *table, _, verdict = finished[2].splitlines()
    second = {
        "cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]},
        "task": {"type": "worker", "index": 1},
    }
    with termination.sigterm_blocked():
        told = workflow.run_stages(config, path)
        page = f"report: {path / 'report' / 'index.html'}"
        assert told.splitlines() == [*table, page, verdict]
        # Neither waits for the first worker, which may have ended.
        for names in (workflow.WHOLE_RUN, ("report",)):
            monkeypatch.setenv("TF_CONFIG", json.dumps(second))
            assert workflow.run_stages(config, path, names) == ""
        (path / "study.json").touch()
        with refused(ConfigError, "--workdir", path, "study"):
            workflow.run_stages(config, path)


def test_a_finished_run_started_again_prints_the_same_table_at_once(finished):
    config, workdir, out = finished
    before = (workdir / "results.json").stat().st_mtime_ns
    started = time.monotonic()
    code, again, err = whole_run.finish(whole_run.start("run", config, workdir))
    assert (code, again) == (0, out), err
    assert time.monotonic() - started < 3  # less than loading TensorFlow takes
    assert "I0000" not in err
    assert (workdir / "results.json").stat().st_mtime_ns == before


def outcome(capsys, words: list[str]) -> tuple[int, str]:
    """Exit code and last line of a command run in this process."""
    code = main.main(words)
    return code, capsys.readouterr().err.splitlines()[-1]


def test_another_config_is_refused_by_name(copy, capsys):
    config, workdir = copy
    code, message = outcome(
        capsys,
        whole_run.command("run", config, workdir, "--set=distill.temperature=9.0"),
    )
    assert code == 2
    assert_states(message, "distill.temperature", 4.0, 9.0, "--workdir")


def test_a_workdir_in_which_nothing_was_trained_takes_another_config(
    tmp_path, tfds_dir, capsys
):
    config = whole_run.write_config(tmp_path, tfds_dir)
    workdir = tmp_path / "workdir"
    words = whole_run.command(
        "teacher", config, workdir, "--set=data.test_split='tset'"
    )
    assert main.main(words) == 2
    code, message = outcome(capsys, whole_run.command("student", config, workdir))
    assert code == 2
    assert_states(message, workdir / "teacher/model.keras")


def test_other_devices_cadence_and_data_folder_are_the_same_run(copy, tmp_path):
    config, workdir = copy
    words = whole_run.command(
        "evaluate",
        config,
        workdir,
        "--set=runtime.xla='on'",
        "--set=runtime.save_every_steps=40",
        f'--set=data.data_dir="{tmp_path}"',
    )
    assert main.main(words) == 0


def test_a_stage_whose_predecessor_is_missing_names_it(tmp_path, tfds_dir, capsys):
    config = whole_run.write_config(tmp_path, tfds_dir)
    code, message = outcome(
        capsys, whole_run.command("student", config, tmp_path / "workdir")
    )
    assert code == 2
    absent = tmp_path / "workdir/teacher/model.keras"
    assert_states(message, absent, "python -m trainer teacher")


@pytest.mark.parametrize(
    ("setting", "facts"),
    [
        ("data.dataset='absent_set'", ["data.dataset", "'absent_set'"]),
        ("data.test_split='tset'", ["data.test_split", "'tset'", "'mnist_mini'"]),
        ("data.test_split='test[:0]'", ["data.test_split", "'test[:0]'", "empty"]),
        ("data.exclude_labels=[11]", ["data.exclude_labels", 11]),
        ("student.model='nowhere:build'", ["student.model", "'nowhere:build'"]),
        (
            "teacher.train.schedule_options.warmup_steps=60",
            ["teacher.train.schedule_options.warmup_steps", 60],
        ),
        ("runtime.strategy='mirrored'", ["runtime.strategy", "'mirrored'", "one"]),
    ],
)
def test_unusable_settings_end_with_one_sentence_and_2(
    copy, capsys, tmp_path, setting, facts
):
    config, finished_workdir = copy
    workdir = tmp_path / "new"
    # The teacher is at hand, so that each stage can be reached.
    shutil.copytree(finished_workdir / "teacher", workdir / "teacher")
    stage = "teacher" if setting.startswith("teacher") else "student"
    if stage == "teacher":
        shutil.rmtree(workdir / "teacher")
    code, line = outcome(
        capsys, whole_run.command(stage, config, workdir, f"--set={setting}")
    )
    assert code == 2
    assert_states(line, *facts)


@pytest.mark.parametrize(
    ("settings", "facts"),
    [
        (
            ["student.model='nowhere:f'", "student.options={}"],
            ["student.model", "'nowhere:f'"],
        ),
        (
            ["student.model='conv_mlp'", "student.options={}", "data.image_size=2"],
            ["student.model", "'conv_mlp'", "(2, 2, 1)", "data.image_size"],
        ),
        (["student.weights='absent.keras'"], ["student.weights", "'absent.keras'"]),
        (
            ["data.exclude_labels=[0,1,2,3,4,5,6,7,8,9]"],
            ["data.exclude_labels", "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"],
        ),
        (
            [
                "student.train.epochs=1",
                "student.train.schedule_options.warmup_steps=99",
            ],
            ["student.train.schedule_options.warmup_steps", 42, 99],
        ),
        (
            [
                "distill={alpha = 1, mixup = 1}",
                "student.train.global_batch_size=25",
            ],
            ["student.train.global_batch_size", 2, 1, 25],
        ),
    ],
)
def test_a_run_finds_a_student_s_mistake_before_it_trains_the_teacher(
    tmp_path, tfds_dir, capsys, settings, facts
):
    config = whole_run.write_config(tmp_path, tfds_dir)
    flags = [f"--set={setting}" for setting in settings]
    workdir = tmp_path / "workdir"
    code, line = outcome(capsys, whole_run.command("run", config, workdir, *flags))
    assert code == 2
    assert_states(line, *facts)
    assert not (workdir / "teacher").exists()


def test_a_training_killed_between_its_last_files_ends_the_same(copy):
    config, workdir = copy
    folder = workdir / "student" / "seed-1"
    expected = {n: whole_run.weights(folder / n) for n in ("last.keras", "model.keras")}
    for gone in (["model.keras"], ["model.keras", "last.keras"]):
        for name in gone:
            (folder / name).unlink()
        assert main.main(whole_run.command("student", config, workdir)) == 0
        for name, weights in expected.items():
            for actual, wanted in zip(
                whole_run.weights(folder / name), weights, strict=True
            ):
                np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("results.json", b"{"),
        pytest.param("predictions.npz", None, marks=pytest.mark.slow),
        pytest.param("results.json", None, marks=pytest.mark.slow),
        pytest.param("predictions.npz", b"{", marks=pytest.mark.slow),
    ],
)
def test_lost_or_damaged_results_are_made_anew_as_the_message_says(
    copy, capsys, name, content
):
    config, workdir = copy
    before = json.loads((workdir / "results.json").read_text())
    (workdir / name).unlink()
    if content is not None:
        (workdir / name).write_bytes(content)
    code, message = outcome(capsys, whole_run.command("report", config, workdir))
    assert code == 2
    assert_states(message, workdir / name, "delete", "python -m trainer evaluate")
    (workdir / name).unlink(missing_ok=True)
    assert main.main(whole_run.command("evaluate", config, workdir)) == 0
    assert json.loads((workdir / "results.json").read_text()) == before


def test_weights_of_a_teacher_with_other_classes_are_refused(
    tmp_path, tfds_dir, capsys
):
    path = tmp_path / "other.keras"
    models.build(
        "cnn",
        CnnOptions(filters=(8, 16)),
        inputs=models.Inputs(shape=(28, 28, 1)),
        num_classes=7,
        seed=0,
        precision="float32",
        setting="teacher",
    ).save(path)
    config = whole_run.write_config(tmp_path, tfds_dir)
    words = whole_run.command(
        "teacher", config, tmp_path / "w", f'--set=teacher.weights="{path}"'
    )
    code, message = outcome(capsys, words)
    assert code == 2
    assert_states(message, "teacher.weights", "'cnn'", 10)


@pytest.mark.slow
def test_a_training_that_diverges_later_ends_with_3_and_keeps_what_was_saved(
    copy, capsys
):
    config, workdir = copy
    folder = workdir / "teacher"
    for name in ("model.keras", "last.keras", "checkpoints/step-00000060.npz"):
        (folder / name).unlink()
    path = folder / "checkpoints" / "step-00000040.npz"
    with np.load(path) as file:
        arrays = dict(file)
    arrays["model/0000"][:] = np.nan
    np.savez(path, **arrays)
    kept = sorted((folder / "checkpoints").iterdir())
    code, message = outcome(capsys, whole_run.command("teacher", config, workdir))
    assert code == 3
    assert_states(message, 41, 45, "loss", "teacher.train.learning_rate")
    assert sorted((folder / "checkpoints").iterdir()) == kept
    steps = [line["step"] for line in read_metrics(folder / "metrics.jsonl")]
    assert steps == list(range(5, 41, 5))


@pytest.mark.parametrize(
    "more",
    [
        pytest.param((), id="seen by its loss"),
        pytest.param(
            (
                *('teacher.model="mlp"', "teacher.options={hidden_sizes=[1]}"),
                *("runtime.steps_per_loop=1", "runtime.log_every_steps=1"),
                "runtime.eval_every_steps=1",  # whose logits are infinite
            ),
            marks=pytest.mark.slow,
            id="seen by an evaluation",
        ),
    ],
)
def test_a_training_that_diverges_at_once_ends_with_3_and_saves_nothing(
    tmp_path, tfds_dir, capsys, more
):
    config = whole_run.write_config(tmp_path, tfds_dir)
    workdir = tmp_path / "workdir"
    # Weights of 1e28 overflow in the second step.
    words = whole_run.command(
        "teacher",
        config,
        workdir,
        "--set=teacher.train.learning_rate=1e30",
        "--set=teacher.train.schedule='constant'",
        "--set=teacher.train.schedule_options.warmup_steps=59",
        "--set=runtime.save_every_steps=5",
        *(f"--set={setting}" for setting in more),
    )
    code, message = outcome(capsys, words)
    assert code == 3
    assert_states(message, "teacher.train.learning_rate")
    assert ("eval/nll" in message) == bool(more)
    assert read_metrics(workdir / "teacher" / "metrics.jsonl") == []
    assert not (workdir / "teacher" / "checkpoints").exists()


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(copy, capsys):
    config, workdir = copy
    (workdir / "teacher" / "model.keras").unlink()
    folder = workdir / "teacher" / "checkpoints"
    *older, newest = sorted(folder.glob("step-*.npz"))
    newest.write_bytes(newest.read_bytes()[:1000])
    assert main.main(whole_run.command("teacher", config, workdir)) == 0
    told = capsys.readouterr().err
    assert_states(told, newest, f"set-aside-{newest.name}")
    (workdir / "teacher" / "model.keras").unlink()
    for path in (*older, newest):
        path.write_bytes(path.read_bytes()[:1000])
    code, message = outcome(capsys, whole_run.command("teacher", config, workdir))
    assert code == 2
    assert_states(message, newest, "damaged", f"delete {newest.name}")


def test_a_checkpoint_of_another_training_is_named(copy, capsys):
    config, workdir = copy
    folder = workdir / "student" / "seed-0"
    (folder / "model.keras").unlink()
    shutil.rmtree(folder / "checkpoints")
    shutil.copytree(
        workdir / "baseline" / "seed-0" / "checkpoints", folder / "checkpoints"
    )
    code, message = outcome(capsys, whole_run.command("student", config, workdir))
    assert code == 2
    newest = max((folder / "checkpoints").glob("step-*.npz"))
    assert_states(message, newest, "--workdir")


def test_a_workdir_that_is_a_file_is_named(tmp_path, tfds_dir, capsys):
    config = whole_run.write_config(tmp_path, tfds_dir)
    workdir = tmp_path / "occupied"
    workdir.write_text("")
    code, message = outcome(capsys, whole_run.command("run", config, workdir))
    assert code == 2
    assert_states(message, workdir / "training.lock")


def test_a_config_json_that_is_none_is_named(copy, capsys):
    config, workdir = copy
    (workdir / "config.json").write_text("{")
    code, message = outcome(capsys, whole_run.command("run", config, workdir))
    assert code == 2
    assert_states(message, workdir / "config.json", "--workdir")


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_2_and_keeps_what_was_saved(
    small_disk, tmp_path, tfds_dir, capsys
):
    config = whole_run.write_config(tmp_path, tfds_dir)
    # Nine states of 190 kB do not fit into a megabyte.
    words = whole_run.command(
        "teacher",
        config,
        small_disk / "workdir",
        "--set=runtime.save_every_steps=5",
        "--set=runtime.keep_checkpoints=100",
    )
    code, message = outcome(capsys, words)
    assert code == 2
    assert os.strerror(errno.ENOSPC) in message
    folder = small_disk / "workdir" / "teacher"
    kept = sorted((folder / "checkpoints").glob("step-*.npz"))
    assert kept
    # With room the same command goes on from there.
    steps = [line["step"] for line in read_metrics(folder / "metrics.jsonl")]
    assert steps == sorted(set(steps))
    for path in kept[:-1]:
        path.unlink()
    words[-1] = "--set=runtime.keep_checkpoints=1"
    assert main.main(words) == 0
    steps = [line["step"] for line in read_metrics(folder / "metrics.jsonl")]
    assert steps == list(range(5, 61, 5))


def test_a_damaged_record_file_is_named(tmp_path, tfds_dir, capsys, finished):
    del finished  # has prepared the set
    shutil.copytree(tfds_dir, tmp_path / "tfds")
    (record,) = (tmp_path / "tfds").glob("mnist_mini/*/*train*")
    content = bytearray(record.read_bytes())
    content[len(content) // 20] ^= 1
    record.write_bytes(content)
    config = whole_run.write_config(tmp_path, str(tmp_path / "tfds"))
    words = whole_run.command("teacher", config, tmp_path / "workdir")
    code, message = outcome(capsys, words)
    assert code == 2
    assert_states(message, record.parent, "damaged", "delete")


@pytest.mark.slow
def test_a_finished_workdir_can_be_moved(copy, tmp_path, capsys):
    config, workdir = copy
    moved = pathlib.Path(shutil.move(workdir, tmp_path / "moved"))
    shutil.rmtree(moved / "report")
    assert main.main(whole_run.command("report", config, moved)) == 0
    *_, page, verdict = capsys.readouterr().out.splitlines()
    assert page == f"report: {moved}/report/index.html"
    assert verdict.startswith("verdict: ")


@pytest.mark.slow
def test_two_devices_with_xla_end_with_the_results_of_one_without(finished, tmp_path):
    config, expected, _ = finished
    workdir = tmp_path / "workdir"
    settings = ("seeds=[0]", "runtime.logical_cpus=2", "runtime.xla='on'")
    flags = [f"--set={setting}" for setting in settings]
    code, _, err = whole_run.do("run", config, workdir, *flags)
    assert code == 0, err
    for name in ("teacher", "student/seed-0", "baseline/seed-0"):
        ours, theirs = (
            read_metrics(folder / name / "metrics.jsonl")
            for folder in (workdir, expected)
        )
        for metric in ("train/loss", "train/gradient_norm"):
            actual, wanted = (
                [line[metric] for line in lines] for lines in (ours, theirs)
            )
            np.testing.assert_allclose(actual, wanted, rtol=1e-4, err_msg=name)
        pairs = zip(
            whole_run.weights(workdir / name / "last.keras"),
            whole_run.weights(expected / name / "last.keras"),
            strict=True,
        )
        for actual, wanted in pairs:
            np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_bfloat16_trains_from_the_command_line(tmp_path, tfds_dir):
    config = whole_run.write_config(tmp_path, tfds_dir)
    bfloat16 = "--set=runtime.precision='mixed_bfloat16'"
    code, _, err = whole_run.do("teacher", config, tmp_path / "w", bfloat16)
    assert code == 0, err
    assert "mixed_bfloat16" in err
    losses = [
        n["train/loss"]
        for n in read_metrics(tmp_path / "w" / "teacher" / "metrics.jsonl")
    ]
    assert losses[-1] < losses[0]
