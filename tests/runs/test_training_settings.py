"""Settings of a training from the command line: what they leave in the workdir."""

import numpy as np
import pytest

from tests.helpers import whole_run
from tests.helpers.messages import assert_a_line_states
from trainer import main, models
from trainer.config import CnnOptions
from trainer.storage.workdir import METRICS
from trainer.train.events import read_metrics

ONE_SEED = "--set=seeds=[0]"
SHORT_TEACHER = (
    "--set=teacher.train.steps=20",
    "--set=teacher.train.learning_rate=1e-5",
    "--set=teacher.train.schedule='constant'",
)


def baseline(tmp_path, tfds_dir, *settings: str):
    """The folder of a baseline trained with `settings`, and its command line."""
    config = whole_run.write_config(tmp_path, tfds_dir)
    words = whole_run.command("baseline", config, tmp_path / "run", ONE_SEED, *settings)
    assert main.main(words) == 0
    return tmp_path / "run" / "baseline" / "seed-0", words


def arrays(folder, step: int, group: str) -> list[np.ndarray]:
    """One group of variables in a checkpoint."""
    with np.load(folder / "checkpoints" / f"step-{step:08d}.npz") as file:
        return [file[name] for name in file if name.startswith(f"{group}/")]


@pytest.mark.slow
def test_averages_are_exported_and_a_resumed_float16_training_ends_alike(
    tmp_path, tfds_dir
):
    folder, words = baseline(
        tmp_path,
        tfds_dir,
        "--set=student.train.ema=0.9",
        "--set=student.train.clip_norm=1.0",
        "--set=runtime.precision='mixed_float16'",
        "--set=runtime.keep_checkpoints=5",
    )
    last = whole_run.weights(folder / "last.keras")
    averages = arrays(folder, 60, "averages")
    for exported, average in zip(last, averages, strict=True):
        np.testing.assert_array_equal(exported, average)
    own = arrays(folder, 60, "model")
    assert any((a != b).any() for a, b in zip(own, averages, strict=True))
    scale, good_steps = arrays(folder, 60, "loss_scale")
    lines = read_metrics(folder / "metrics.jsonl")
    skipped = sum(5 * line["train/overflow"] for line in lines)
    assert good_steps == 60 - skipped
    assert scale == lines[-1]["train/loss_scale"]

    for name in ("model.keras", "last.keras", "checkpoints/step-00000060.npz"):
        (folder / name).unlink()
    (folder / "checkpoints" / "step-00000040.npz").unlink()
    assert main.main(words) == 0
    for resumed, weight in zip(
        whole_run.weights(folder / "last.keras"), last, strict=True
    ):
        np.testing.assert_array_equal(resumed, weight)
    names = {"train/loss_scale", "train/overflow", "eval/accuracy"}
    for line, before in zip(read_metrics(folder / "metrics.jsonl"), lines, strict=True):
        for name in names & before.keys():
            assert line[name] == before[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("float32", "mixed_float16"),
        pytest.param("mixed_float16", "float32", marks=pytest.mark.slow),
    ],
)
def test_a_run_may_go_on_in_another_precision(tmp_path, tfds_dir, before, after):
    folder, words = baseline(tmp_path, tfds_dir, f"--set=runtime.precision='{before}'")
    for name in ("model.keras", "last.keras", "checkpoints/step-00000060.npz"):
        (folder / name).unlink()
    assert main.main([*words, f"--set=runtime.precision='{after}'"]) == 0
    has_scale = ["train/loss_scale" in line for line in read_metrics(folder / METRICS)]
    assert has_scale == [before == "mixed_float16"] * 8 + [after == "mixed_float16"] * 4


@pytest.mark.slow
def test_a_validation_without_progress_ends_the_training(tmp_path, tfds_dir, capsys):
    folder, words = baseline(
        tmp_path,
        tfds_dir,
        "--set=student.train.learning_rate=1e-12",
        "--set=student.train.patience_steps=15",
    )
    # Evaluated at 20, no better at 40, which is 20 steps after the best.
    lines = read_metrics(folder / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(5, 41, 5))
    assert (folder / "checkpoints" / "step-00000040.npz").exists()
    expected = whole_run.weights(folder / "model.keras")

    (folder / "model.keras").unlink()
    assert main.main(words) == 0
    assert len(read_metrics(folder / "metrics.jsonl")) == 8
    for actual, weight in zip(
        whole_run.weights(folder / "model.keras"), expected, strict=True
    ):
        np.testing.assert_array_equal(actual, weight)


@pytest.mark.parametrize(
    ("setting", "facts"),
    [
        ("student.train.accumulate=7", ["student.train.accumulate", 7, 24, 28]),
        ("runtime.min_gpus=1", ["runtime.min_gpus", 1, 0]),
        # 400 GB for the second layer alone.
        pytest.param(
            "student.options.hidden_sizes=[100000,1000000]",
            ["memory", "global_batch_size", "accumulate"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_the_devices_cannot_do_ends_with_2(
    tmp_path, tfds_dir, capsys, setting, facts
):
    config = whole_run.write_config(tmp_path, tfds_dir)
    words = whole_run.command("baseline", config, tmp_path / "run", f"--set={setting}")
    assert main.main(words) == 2
    assert_a_line_states(capsys.readouterr().err, *facts)


@pytest.mark.slow
def test_the_teacher_s_head_is_trained_alone_before_all_of_it(tmp_path, tfds_dir):
    config = whole_run.write_config(tmp_path, tfds_dir)
    text = config.read_text() + (
        "\n[teacher.head]\nglobal_batch_size = 24\nsteps = 20\nlearning_rate = 0.01\n"
    )
    config.write_text(text)
    words = whole_run.command("teacher", config, tmp_path / "run", *SHORT_TEACHER)
    assert main.main(words) == 0
    first = models.build(
        "cnn",
        CnnOptions(filters=(8, 16)),
        inputs=models.Inputs(shape=(28, 28, 1)),
        num_classes=10,
        seed=0,
        precision="float32",
        setting="teacher",
    ).get_weights()
    head = whole_run.weights(tmp_path / "run" / "teacher_head" / "model.keras")
    for weight, before in zip(head[:-2], first[:-2], strict=True):
        np.testing.assert_array_equal(weight, before)
    assert (head[-2] != first[-2]).any()

    # The second phase starts where the first ended, and moves every weight a little.
    whole = whole_run.weights(tmp_path / "run" / "teacher" / "last.keras")
    for weight, before in zip(whole, head, strict=True):
        assert (weight != before).any()
        assert np.abs(weight - before).max() < 20 * 1e-5 * 10

    # Lost in the middle of the second phase, the first is not trained again.
    (tmp_path / "run" / "teacher" / "model.keras").unlink()
    (tmp_path / "run" / "teacher_head" / "metrics.jsonl").unlink()
    assert main.main(words) == 0
    assert not (tmp_path / "run" / "teacher_head" / "metrics.jsonl").exists()
