"""What plan, info and verify tell of caches of soft targets."""

import dataclasses
import json
import pathlib
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from tests.helpers.caches import DENSE, THREE_LARGEST, THREE_VIEWS, TOP_3, act, told
from tests.helpers.messages import assert_a_line_states, assert_states
from trainer import soft_targets


@pytest.fixture
def copy(built, tmp_path):
    """A copy of the finished build to damage."""
    shutil.copytree(built, tmp_path / "workdir")
    return tmp_path / "workdir"


def test_a_plan_tells_the_bytes_that_are_written_then_and_writes_none(
    config, built, tmp_path, capsys
):
    assert act("plan", config, tmp_path) == 0
    plan = capsys.readouterr().out
    assert not (tmp_path / "soft_targets").exists()
    paths = (built / "soft_targets").rglob("*.tfrecord")
    assert sum(path.stat().st_size for path in paths) == 640_000
    assert_a_line_states(
        plan, "'train'", "10,000 examples", "1 view", "all 10 logits", "float32"
    )
    assert_a_line_states(plan, "64 bytes", "640.0 kB", "5 files")
    assert_a_line_states(plan, "640.0 kB", "in memory")
    assert_a_line_states(plan, "10,000 of 10,000 predictions")
    # 20 steps of 24 images.
    assert_a_line_states(plan, "1 x 20 steps", 480)


@pytest.mark.slow
def test_a_plan_counts_what_is_there(config, copy, capsys):
    assert act("plan", config, copy) == 0
    assert_states(capsys.readouterr().out, "0 of 10,000 predictions")
    shard(copy, 4).unlink()
    assert act("plan", config, copy) == 0
    assert_states(capsys.readouterr().out, "1,808 of 10,000 predictions")


@pytest.mark.slow
def test_a_plan_counts_views_and_what_is_kept(config, tmp_path, capsys):
    assert act("plan", config, tmp_path, *TOP_3, *THREE_VIEWS) == 0
    plan = capsys.readouterr().out
    assert_a_line_states(
        plan, "10,000 examples", "3 views", "3 largest of 10 logits", "float32"
    )
    each = 8 + 3 * (4 + 4 + 4) + 16
    assert_a_line_states(
        plan, f"{each} bytes", f"{each * 30_000 / 1e6:.1f} MB", "15 files"
    )
    assert_a_line_states(plan, "30,000 of 30,000 predictions")


def test_a_plan_refuses_what_building_would(config, copy, capsys):
    for path in (copy / "teacher").glob("*.keras"):
        path.unlink()
    assert act("plan", config, copy, "--set=distill.top_k=3") == 2
    assert_states(told(capsys), "top_k", "0 there", "3 here")


def test_info_tells_whose_answers_are_there(built, config, capsys):
    assert act("info", config, built) == 0
    manifest = json.loads((built / "soft_targets/train/manifest.json").read_text())
    expected = (
        (built / "soft_targets/train", "complete"),
        ("teacher mlp", manifest["teacher"]["weights"]),
        ("split train", "10,000 ids", "10,000 examples", "10 classes"),
        ("1 view", "none"),
        ("all logits", "float32", "640.0 kB", "5 files"),
    )
    lines = capsys.readouterr().out.splitlines()
    for line, facts in zip(lines, expected, strict=True):
        assert_states(line, *facts)


@pytest.mark.slow
def test_info_tells_views_and_tails(three_views, top_3, config, capsys):
    assert act("info", config, three_views, *THREE_VIEWS) == 0
    assert_a_line_states(capsys.readouterr().out, "3 views", "shift", "seed 0")
    assert act("info", config, top_3, *TOP_3) == 0
    assert_a_line_states(
        capsys.readouterr().out, "top 3 logits", "T = 1, 4, 10", "float32", "600.0 kB"
    )


def test_info_counts_what_is_missing(config, copy, capsys):
    shard(copy, 2).unlink()
    assert act("info", config, copy) == 0
    cache = copy / "soft_targets" / "train"
    assert_a_line_states(capsys.readouterr().out, cache, 1, "missing")
    shutil.rmtree(copy / "soft_targets")
    assert act("info", config, copy) == 2
    build = "python -m trainer soft-targets build"
    assert_states(told(capsys), cache.parent, "none", build)


def test_an_action_that_there_is_not_is_refused_with_the_known_ones(
    config, tmp_path, capsys
):
    assert act("rebuild", config, tmp_path) == 2
    message = told(capsys)
    actions = ("rebuild", "plan", "build", "verify", "extend", "info")
    assert_states(message, *(f"soft-targets {action}" for action in actions))
    assert not list(tmp_path.iterdir())


def test_to_extend_needs_a_folder(config, built, capsys):
    assert act("extend", config, built) == 2
    assert_states(told(capsys), "data.dataset", "'folder:PATH'", "'mnist_mini'")


# What verify finds.


def shard(workdir: pathlib.Path, number: int) -> pathlib.Path:
    folder = workdir / "soft_targets" / "train" / "view-0000"
    return folder / f"shard-{number:05d}.tfrecord"


def rewrite(path: pathlib.Path, kind: np.dtype, change) -> None:
    """Writes records with checksums that hold, as the manifest's do."""
    raw = [r.numpy() for r in tf.data.TFRecordDataset(str(path))]
    found = np.frombuffer(b"".join(raw), kind).copy()
    change(found)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in found:
            writer.write(record.tobytes())
    folder = epath.Path(path.parents[1])
    manifest = soft_targets.read(folder)
    shards = tuple(dataclasses.replace(x, sha256=()) for x in manifest.shards)
    soft_targets.write(folder, dataclasses.replace(manifest, shards=shards))
    soft_targets.keep(folder)


@pytest.mark.slow
def test_a_built_cache_is_what_its_teacher_answers(built, three_views, config, capsys):
    assert act("verify", config, built) == 0
    shown = capsys.readouterr().out
    assert_states(shown, "10,000 records", "of 640", "100.00 %")
    assert act("verify", config, three_views, *THREE_VIEWS) == 0
    assert_states(capsys.readouterr().out, "30,000 records")


def test_a_flipped_bit_fails_the_check_by_the_shard_s_name(config, copy, capsys):
    path = shard(copy, 4)
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 1
    path.write_bytes(held)
    assert act("verify", config, copy) == 5
    assert str(path) in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_a_shard_that_was_removed_is_made_again_alone(config, copy):
    path = shard(copy, 4)
    path.unlink()
    others = {p: p.stat().st_mtime_ns for p in path.parent.iterdir()}
    assert act("build", config, copy) == 0
    assert {p: p.stat().st_mtime_ns for p in others} == others
    assert act("verify", config, copy) == 0


@pytest.mark.slow
def test_other_logits_under_checksums_that_hold_fail_the_check(config, copy, capsys):
    def shift(found: np.ndarray) -> None:
        found["logits"][3, 5] += 1.0

    rewrite(shard(copy, 1), DENSE, shift)
    assert act("verify", config, copy) == 5
    found = capsys.readouterr()
    assert re.search(r"logit\D* 1 ", found.out)
    assert_states(found.err, copy / "soft_targets/train")


@pytest.mark.slow
def test_other_classes_of_the_same_logits_fail_the_check(
    config, top_3, tmp_path, capsys
):
    shutil.copytree(top_3, tmp_path / "workdir")
    assert act("verify", config, tmp_path / "workdir", *TOP_3) == 0
    assert_states(capsys.readouterr().out, "100.00 %")

    def reverse(found: np.ndarray) -> None:
        found["classes"] = found["classes"][:, ::-1]

    rewrite(shard(tmp_path / "workdir", 0), THREE_LARGEST, reverse)
    assert act("verify", config, tmp_path / "workdir", *TOP_3) == 5
    # 128 examples of one of five shards.
    assert_states(capsys.readouterr().out, "80.00 %")
