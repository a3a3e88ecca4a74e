"""The finetune stage: the distilled student goes on with the labels alone."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from tests.helpers import whole_run
from tests.helpers.messages import assert_a_line_states, assert_states
from trainer import main, models, stages
from trainer.config import MlpOptions, reader
from trainer.storage.workdir import kept_files
from trainer.train.events import read_metrics

SECTION = """
[finetune]
global_batch_size = 24
steps = 20
learning_rate = 1e-4
"""
# Small enough for a test, and quick to be done with.
SHORT = (
    "--set=seeds=[0]",
    "--set=student.train.steps=10",
    "--set=runtime.eval_every_steps=5",
    "--set=runtime.save_every_steps=5",
)
STAGES = ("teacher", "student", "baseline", "finetune", "evaluate")


def build(name: str, options: object, *, seed: int) -> keras.Model:
    return models.build(
        name,
        options,
        inputs=models.Inputs(shape=(28, 28, 1)),
        num_classes=10,
        seed=seed,
        precision="float32",
        setting=name,
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory, tfds_dir):
    """A run with a finetune, whose teacher comes as it is."""
    folder = tmp_path_factory.mktemp("finetune")
    path = whole_run.write_config(folder, tfds_dir)
    build("mlp", MlpOptions(hidden_sizes=(8,)), seed=1).save(folder / "teacher.keras")
    text = path.read_text()
    section = text[text.index("[teacher]") : text.index("[student]")]
    teacher = (
        f'[teacher]\nmodel = "mlp"\noptions = {{hidden_sizes = [8]}}\n'
        f'weights = "{folder}/teacher.keras"\nmin_accuracy = 0.0\n\n'
    )
    path.write_text(text.replace(section, teacher) + SECTION)
    return path


@pytest.fixture(scope="module")
def finished(config):
    """The workdir of a run whose stages were done one by one."""
    workdir = config.parent / "workdir"
    for stage in STAGES:
        assert main.main(whole_run.command(stage, config, workdir, *SHORT)) == 0
    return workdir


def assert_ends(capsys, words: list[str], *facts: object) -> None:
    """A command that cannot be done ends with 2 and a line that states the facts."""
    assert main.main(words) == 2
    assert_states(capsys.readouterr().err.splitlines()[-1], *facts)


def test_a_run_has_a_finetune_where_the_config_has_the_section(config):
    settings = reader.load(str(config), ["finetune.schedule='cosine'"])
    assert settings.finetune.steps == 20
    assert list(settings.trainings) == ["student.train", "finetune"]
    assert stages.select_stages(settings) == (*STAGES, "report")
    without = config.parent / "without.toml"
    without.write_text(config.read_text().replace(SECTION, ""))
    settings = reader.load(str(without))
    assert settings.finetune is None
    assert stages.select_stages(settings) == (
        *("teacher", "student", "baseline", "evaluate", "report"),
    )


def test_epochs_on_the_command_line_unset_the_steps_of_the_file(config):
    finetune = reader.load(str(config), ["finetune.epochs=2"]).finetune
    assert (finetune.epochs, finetune.steps) == (2, 0)


@pytest.mark.parametrize(
    ("setting", "facts"),
    [
        ("finetune.steps=0", ["finetune", "one of", "epochs", "steps"]),
        ("finetune.learning_rate=0.0", ["finetune.learning_rate", "1e-30", "0.0"]),
        ("finetune.alpha=0.5", ["finetune.alpha", "distill.alpha"]),
        ("finetune.accumulate=5", ["finetune.global_batch_size", 5, 24, 25]),
    ],
)
def test_the_section_is_checked_as_other_trainings_are(
    config, tmp_path, capsys, setting, facts
):
    words = whole_run.command("config", config, tmp_path, f"--set={setting}")
    assert_ends(capsys, words, *facts)


def test_a_run_finds_a_mistake_of_the_section_before_it_trains(
    config, tmp_path, capsys
):
    words = whole_run.command(
        "run",
        config,
        tmp_path / "run",
        "--set=finetune.epochs=1",
        "--set=finetune.schedule_options.warmup_steps=99",
    )
    warmup = "finetune.schedule_options.warmup_steps"
    assert_ends(capsys, words, warmup, 42, 99)
    assert not (tmp_path / "run" / "teacher").exists()


def test_without_a_student_or_a_section_there_is_nothing_to_go_on_from(
    config, tmp_path, capsys
):
    workdir = tmp_path / "run"
    words = whole_run.command("finetune", config, workdir)
    absent = workdir / "student/seed-0/model.keras"
    assert_ends(capsys, words, absent, "python -m trainer student")
    without = tmp_path / "without.toml"
    without.write_text(config.read_text().replace(SECTION, ""))
    words = whole_run.command("finetune", without, workdir)
    assert_ends(capsys, words, "[finetune]", "none")


def test_it_leaves_what_every_training_leaves(finished):
    folder = finished / "finetune" / "seed-0"
    # What a restart of the pod counts as progress, among the rest.
    assert {
        f"finetune/seed-0/{name}"
        for name in ("checkpoints/step-00000020.npz", "last.keras", "model.keras")
    } <= set(kept_files(epath.Path(finished)))
    lines = read_metrics(folder / "metrics.jsonl")
    assert [line["step"] for line in lines] == [5, 10, 15, 20]
    for line in lines:
        assert {"train/loss", "train/accuracy", "eval/accuracy"} <= set(line)
        assert "eval/agreement" in line
        assert not {"train/soft_loss", "train/agreement"} & set(line)
        assert line["train/learning_rate"] == pytest.approx(1e-4)


def test_results_show_it_between_student_and_baseline(finished, config, capsys):
    results = json.loads((finished / "results.json").read_text())
    assert list(results["models"]) == ["teacher", "student", "finetune", "baseline"]
    entry = results["models"]["finetune"]
    assert entry["parameters"] == results["models"]["student"]["parameters"]
    assert {"agreement", "kl", "errors"} <= set(entry["mean"])
    assert entry["seeds"][0]["last"]["step"] == 20
    # The gain is distillation's alone.
    student, baseline = (
        results["models"][name]["seeds"][0]["best"]["errors"]
        for name in ("student", "baseline")
    )
    assert results["gain"]["errors"]["per_seed"] == [baseline - student]
    assert main.main(whole_run.command("evaluate", config, finished, *SHORT)) == 0
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:6]]
    assert rows == ["teacher", "student", "finetune", "baseline"]


def test_done_again_it_goes_on_from_its_checkpoint_or_leaves_all_as_it_is(
    finished, config, tmp_path
):
    workdir = tmp_path / "copy"
    shutil.copytree(finished, workdir)
    folder = workdir / "finetune" / "seed-0"
    words = whole_run.command("finetune", config, workdir, *SHORT)
    before = (folder / "model.keras").stat().st_mtime_ns
    assert main.main(words) == 0
    assert (folder / "model.keras").stat().st_mtime_ns == before
    for name in ("model.keras", "last.keras", "checkpoints/step-00000020.npz"):
        (folder / name).unlink()
    # Had it begun anew, it would begin here.
    build("mlp", MlpOptions(hidden_sizes=(16,), dropout=0.2), seed=9).save(
        workdir / "student" / "seed-0" / "model.keras"
    )
    assert main.main(words) == 0
    for name in ("model.keras", "last.keras"):
        pairs = zip(
            whole_run.weights(folder / name),
            whole_run.weights(finished / "finetune" / "seed-0" / name),
            strict=True,
        )
        for actual, expected in pairs:
            np.testing.assert_array_equal(actual, expected)


@pytest.mark.slow
def test_it_follows_the_gradient_of_the_labels_from_the_student_on(config, tmp_path):
    """Two steps on all examples of the students, against Keras alone."""
    workdir = tmp_path / "run"
    source = whole_run.session(
        reader.load(str(config)), workdir, tf.distribute.get_strategy()
    ).datasets.source
    examples = source.read("train[:48]")
    (rows,) = np.nonzero(examples.labels != 3)
    images, labels = examples.read(rows), examples.labels[rows]
    settings = (
        "--set=seeds=[0]",
        "--set=data.train_split='train[:48]'",
        "--set=data.exclude_labels=[3]",
        "--set=student.options={hidden_sizes=[16]}",
        f"--set=finetune.global_batch_size={len(rows)}",
        "--set=finetune.steps=2",
        "--set=finetune.optimizer='sgd'",
        "--set=finetune.optimizer_options={momentum=0.0}",
        "--set=finetune.learning_rate=0.5",
        "--set=student.train.global_batch_size=8",
        *("--set=runtime.steps_per_loop=1", "--set=runtime.log_every_steps=1"),
    )
    assert main.main(whole_run.command("teacher", config, workdir, *settings)) == 0
    # Not what the config's seed would begin with.
    model = build("mlp", MlpOptions(hidden_sizes=(16,)), seed=9)
    folder = workdir / "student" / "seed-0"
    folder.mkdir(parents=True)
    model.save(folder / "model.keras")
    assert main.main(whole_run.command("finetune", config, workdir, *settings)) == 0

    expected = []
    for _ in range(2):
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(
                    labels, logits, from_logits=True
                )
            )
        expected.append(float(loss))
        variables = model.trainable_variables
        for variable, slope in zip(
            variables, tape.gradient(loss, variables), strict=True
        ):
            variable.assign_sub(0.5 * slope)
    folder = workdir / "finetune" / "seed-0"
    losses = [line["train/loss"] for line in read_metrics(folder / "metrics.jsonl")]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    ours = whole_run.weights(folder / "last.keras")
    for actual, wanted in zip(ours, model.weights, strict=True):
        np.testing.assert_allclose(actual, wanted.numpy(), atol=1e-6)


@pytest.mark.slow
def test_a_whole_run_ends_with_its_curves_and_rows_in_the_report(config, tmp_path):
    workdir = tmp_path / "run"
    code, out, err = whole_run.do("run", config, workdir, *SHORT, draws=True)
    assert code == 0, err
    rows = [line.split()[0] for line in out.splitlines()[2:6]]
    assert rows == ["teacher", "student", "finetune", "baseline"]
    assert_a_line_states(err, "finetune seed 0", "step 20/20")
    assert err.index("baseline seed 0") < err.index("finetune seed 0")
    page = (workdir / "report" / "index.html").read_text()
    assert_states(page, "trained further", "Finetune counts")
    # As if nothing were to be done.
    code, again, err = whole_run.do("run", config, workdir, *SHORT, draws=True)
    assert (code, again) == (0, out), err
