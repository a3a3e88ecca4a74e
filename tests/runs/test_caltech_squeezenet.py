"""The cluster's config, all of its stages and its page, on images drawn by code."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import drawn_images, whole_run
from tests.helpers.messages import assert_a_line_states
from tests.helpers.repository import REPOSITORY
from trainer import exit_codes, main, models
from trainer.config import ApplicationOptions
from trainer.train.events import read_metrics

CONFIG = REPOSITORY / "configs" / "caltech_squeezenet.toml"
SIDE = 71  # the smallest that Xception takes
SPLITS = {"test": 2, "validation": 1, "train": 3}  # images a class


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The page's folders, split by the page's script from ten images a class."""
    folder = tmp_path_factory.mktemp("caltech")
    drawn_images.write(folder / "data" / "256_ObjectCategories", 80, size=48)
    (folder / "data" / "256_ObjectCategories" / "red_disc" / "notes").write_text("")
    page = CONFIG.with_suffix(".md").read_text()
    (script,) = re.findall(r"^python3 - .*?^end$", page, flags=re.S | re.M)
    numbers = " ".join(map(str, SPLITS.values()))
    script = script.replace(" 20 10 100 ", f" {numbers} ")
    subprocess.run(["bash", "-ec", script], cwd=folder, check=True)
    return folder / "data"


def test_the_page_s_script_gives_each_image_one_place(root):
    classes = sorted(drawn_images.CLASSES)
    found = []
    for split, count in SPLITS.items():
        top = root / "caltech256" / split
        assert sorted(path.name for path in top.iterdir()) == classes
        for name in classes:
            files = sorted(path.name for path in (top / name).iterdir())
            assert len(files) == count
            found += [f"{name}-{file}" for file in files]
    rest = [path.name for path in (root / "caltech256_unlabeled").iterdir()]
    assert len(rest) == 8 * (10 - sum(SPLITS.values()))
    drawn = (root / "256_ObjectCategories").glob("*/*.*")
    assert sorted(found + rest) == sorted(f"{p.parent.name}-{p.name}" for p in drawn)


def write_weights(path) -> None:
    """Xception as a file that stands for ImageNet's."""
    models.build(
        "Xception",
        ApplicationOptions(),
        inputs=models.Inputs(shape=(SIDE, SIDE, 3)),
        num_classes=len(drawn_images.CLASSES),
        seed=5,
        precision="float32",
        setting="teacher",
    ).save_weights(path)


@pytest.fixture(scope="module")
def overrides(root):
    """What makes the config small; nothing of what it is about."""
    write_weights(root / "xception.weights.h5")
    settings = {
        "data.dataset": f"'folder:{root}/caltech256'",
        "data.unlabeled.dataset": f"'folder:{root}/caltech256_unlabeled'",
        "data.image_size": SIDE,
        "teacher.weights": f"'{root}/xception.weights.h5'",
        "distill.views": 2,
        "seeds": "[0]",
        "runtime.min_gpus": 0,
        "runtime.teacher_batch_size": 16,
        "runtime.eval_batch_size": 16,
    }
    for section in ("teacher.head", "teacher.train", "student.train"):
        settings[f"{section}.global_batch_size"] = 8
        settings[f"{section}.steps"] = 2
        if section != "teacher.head":
            settings[f"{section}.schedule_options.warmup_steps"] = 1
    for cadence in ("steps_per_loop", "log_every_steps"):
        settings[f"runtime.{cadence}"] = 2
    return [f"--set={name}={value}" for name, value in settings.items()]


def records(folder) -> int:
    """How many records the files of a cache hold."""
    files = sorted(map(str, folder.glob("view-*/*.tfrecord")))
    return sum(1 for _ in tf.data.TFRecordDataset(files))


# 85 s of processor time, and minutes beside other processes.
@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_all_stages_on_drawn_images(root, overrides, tmp_path, capfd):
    workdir = tmp_path / "run"
    assert main.main(whole_run.command("run", CONFIG, workdir, *overrides)) == 0
    assert_a_line_states(capfd.readouterr().err, 32, "71 x 71 x 3")
    head, whole, student = (
        read_metrics(workdir / folder / "metrics.jsonl")
        for folder in ("teacher_head", "teacher", "student/seed-0")
    )
    assert [line["step"] for line in (*head, *whole, *student)] == [2, 2, 2]
    caches = workdir / "soft_targets"
    # One record for each view of each image, of which 24 have a label and 32 none.
    assert records(caches / "train") == 2 * 24
    assert records(caches / "unlabeled") == 2 * 32

    found = json.loads((workdir / "results.json").read_text())["models"]
    assert list(found) == ["teacher", "student", "baseline"]
    for model in found.values():
        metrics = model["mean"]
        assert metrics["examples"] == 16
        assert metrics["accuracy"] <= metrics["top_5_accuracy"] <= 1
        assert np.isfinite(metrics["nll"])
    assert (workdir / "report" / "index.html").exists()

    # Without the answers there is no student, so it is from them that it learns.
    shutil.rmtree(workdir / "student")
    shard = next((caches / "unlabeled").glob("view-*/*.tfrecord"))
    shard.unlink()
    words = whole_run.command("student", CONFIG, workdir, *overrides)
    assert main.main(words) == exit_codes.UNUSABLE
    assert f"{shard.parent.name}/{shard.name}" in capfd.readouterr().err
