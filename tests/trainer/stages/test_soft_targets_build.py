"""Building caches of soft targets: what is written, and what is refused."""

import errno
import os
import pathlib
import shutil
import subprocess

import keras
import numpy as np
import pytest
import tensorflow_datasets as tfds
from etils import epath

from tests.helpers import small_models, stores, whole_run
from tests.helpers.caches import (
    DENSE,
    SHIFTED,
    THREE_LARGEST,
    THREE_VIEWS,
    act,
    build,
    contents,
    records,
    told,
)
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_states
from tests.helpers.oracle import log_sum_exp
from trainer import main, soft_targets, stages
from trainer.config import MlpOptions, reader

NUM_IDS = 10_000  # of the whole split


@pytest.fixture(scope="module")
def images(built, tfds_dir):  # built: the set is prepared
    """The whole split, in the order of its files: uint8 [10000, 28, 28, 1]."""
    loaded = tfds.builder("mnist_mini", data_dir=tfds_dir).as_dataset(split="train")
    return np.stack([example["image"] for example in tfds.as_numpy(loaded)])


def predicted(path: pathlib.Path, images: np.ndarray) -> np.ndarray:
    """What Keras alone says of images: float32 [M, 10]."""
    return keras.models.load_model(path, compile=False).predict(images, verbose=0)


@pytest.fixture(scope="module")
def logits(built, images):
    return predicted(built / "teacher" / "model.keras", images)


# What is written.


def test_the_last_line_tells_how_many_predictions_are_there(config, built, capsys):
    assert act("build", config, built) == 0  # which adds none
    line = capsys.readouterr().err.splitlines()[-1]
    assert_states(line, built / "soft_targets" / "train", "complete", "10,000", "train")


@pytest.mark.slow
def test_predictions_of_each_view_are_counted(config, three_views, capsys):
    assert act("build", config, three_views, *THREE_VIEWS) == 0
    line = capsys.readouterr().err.splitlines()[-1]
    assert_states(line, "complete", "30,000", "3 views")


def test_every_record_is_the_id_and_the_logits_of_its_example(built, logits):
    folder = built / "soft_targets" / "train"
    found = records(folder, 0, DENSE)
    np.testing.assert_array_equal(found["id"], np.arange(NUM_IDS))
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-5, atol=1e-4)
    sizes = [path.stat().st_size for path in sorted(folder.rglob("*.tfrecord"))]
    # Ids by 2048, each record with 16 bytes around it.
    assert sizes == [2048 * (8 + 40 + 16)] * 4 + [1808 * (8 + 40 + 16)]


@pytest.mark.slow
def test_float16_is_the_nearest_to_float32(config, built, tmp_path):
    half = "--set=distill.soft_targets_dtype='float16'"
    assert build(config, tmp_path, half) == 0
    kind = np.dtype([("id", "<i8"), ("logits", "<f2", 10)])
    found = records(tmp_path / "soft_targets" / "train", 0, kind)
    whole = records(built / "soft_targets" / "train", 0, DENSE)
    np.testing.assert_array_equal(found["id"], whole["id"])
    np.testing.assert_array_equal(found["logits"], whole["logits"].astype(np.float16))


def test_the_top_k_are_the_largest_with_what_the_others_have_together(top_3, logits):
    found = records(top_3 / "soft_targets" / "train", 0, THREE_LARGEST)
    np.testing.assert_array_equal(found["id"], np.arange(NUM_IDS))
    order = np.argsort(-logits, axis=1)
    np.testing.assert_array_equal(found["classes"], order[:, :3])
    ranked = np.take_along_axis(logits, order, axis=1).astype(np.float64)
    np.testing.assert_allclose(found["logits"], ranked[:, :3], rtol=1e-5, atol=1e-4)
    # In ascending order, with distill.temperature among them.
    for place, temperature in enumerate((1.0, 4.0, 10.0)):
        tail = log_sum_exp(ranked[:, 3:], temperature)[:, 0]
        np.testing.assert_allclose(found["tails"][:, place], tail, rtol=1e-5, atol=1e-3)


@pytest.mark.slow
def test_two_replicas_build_what_one_builds(config, three_views, tmp_path):
    settings = reader.load(str(config), [x.removeprefix("--set=") for x in THREE_VIEWS])
    session = whole_run.session(settings, tmp_path, strategy_of(2))
    for stage in ("teacher", "soft-targets"):
        stages.STAGES[stage](session)
    expected = contents(three_views / "soft_targets")
    assert len(expected) == 3 * 5 + 2  # with the manifest and the lock
    assert contents(tmp_path / "soft_targets") == expected


@pytest.mark.slow
def test_xla_changes_no_more_than_roundings(config, built, tmp_path):
    assert build(config, tmp_path, "--set=runtime.xla='on'") == 0
    found, expected = (
        records(workdir / "soft_targets" / "train", 0, DENSE)
        for workdir in (tmp_path, built)
    )
    np.testing.assert_array_equal(found["id"], expected["id"])
    np.testing.assert_allclose(
        found["logits"], expected["logits"], rtol=1e-5, atol=1e-4
    )


@pytest.mark.slow
def test_more_views_leave_those_before_untouched(config, three_views, tmp_path):
    shared = tmp_path / "shared"
    there = f"--set=distill.soft_targets_dir='{shared}'"
    assert build(config, tmp_path / "first", there, SHIFTED) == 0
    before = {path: path.stat().st_mtime_ns for path in shared.rglob("*.tfrecord")}
    assert len(before) == 5
    assert build(config, tmp_path / "second", there, *THREE_VIEWS) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert contents(shared) == contents(three_views / "soft_targets")
    # One of fewer views finds all it needs.
    assert act("verify", config, tmp_path / "first", there, SHIFTED) == 0


@pytest.mark.slow
def test_examples_that_are_streamed_have_the_same_answers(config, built, tmp_path):
    # Half a megabyte less than the images of the run.
    streamed = "--set=data.memory_budget_bytes=1000000"
    assert build(config, tmp_path, streamed) == 0
    found = contents(tmp_path / "soft_targets")
    assert b'"read_parts": 1' in found.pop("files/streamed.json")
    assert found == contents(built / "soft_targets")


@pytest.mark.slow
def test_rows_of_a_table_have_answers_by_their_lines(config, tmp_path):
    rows = np.random.default_rng(0).normal(size=(3000, 4)).astype(np.float32)
    labels = np.arange(3000) % 10
    lines = [
        ",".join(map(str, [*row, label]))
        for row, label in zip(rows, labels, strict=True)
    ]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,c,d,label", *lines]))
    path = tmp_path / "table.toml"
    weights = f'weights = "{config.parent}/teacher.keras"\nmin_accuracy = 0.0\n'
    train = "[teacher.train]\nglobal_batch_size = 20\nsteps = 3\n"
    text = config.read_text().replace("mnist_mini", f"csv:{tmp_path}/table.csv")
    text = text.replace(weights, train).replace('"train[9500:]"', '"train[1000:2000]"')
    path.write_text(text.replace('"test[:500]"', '"train[2000:]"'))
    assert build(path, tmp_path / "workdir") == 0
    found = records(tmp_path / "workdir" / "soft_targets" / "train", 0, DENSE)
    np.testing.assert_array_equal(found["id"], np.arange(3000))
    expected = predicted(tmp_path / "workdir" / "teacher" / "model.keras", rows)
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-5, atol=1e-5)
    assert act("verify", path, tmp_path / "workdir") == 0
    assert main.main(whole_run.command("student", path, tmp_path / "workdir")) == 0


@pytest.mark.slow
def test_a_finished_cache_is_shared_where_nobody_can_write(
    config, built, small_disk, tmp_path
):
    shutil.copytree(built / "soft_targets", small_disk / "cache")
    there = f"--set=distill.soft_targets_dir='{small_disk}/cache'"
    with soft_targets.alone(epath.Path(small_disk / "cache" / "train")):
        assert build(config, tmp_path, there) == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert act("build", config, tmp_path, there) == 0
    assert main.main(whole_run.command("student", config, tmp_path, there)) == 0


@pytest.mark.slow
def test_images_without_labels_have_a_cache_of_their_own(config, images, tmp_path):
    path = tmp_path / "unlabeled.toml"
    section = '[data.unlabeled]\ndataset = "mnist_mini"\nsplit = "train[2000:3000]"\n'
    path.write_text(config.read_text().replace("[teacher]", section + "\n[teacher]"))
    assert build(path, tmp_path / "workdir") == 0
    root = tmp_path / "workdir" / "soft_targets"
    assert sorted(folder.name for folder in root.iterdir()) == ["train", "unlabeled"]
    found = records(root / "unlabeled", 0, DENSE)
    # Their whole split, by its own ids.
    np.testing.assert_array_equal(found["id"], np.arange(NUM_IDS))
    expected = predicted(tmp_path / "workdir" / "teacher" / "model.keras", images)
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-5, atol=1e-4)
    assert act("verify", path, tmp_path / "workdir") == 0


def write_ensemble(config: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """The run with a second network for a teacher, of other weights."""
    other = small_models.build(
        "mlp",
        MlpOptions(hidden_sizes=(12,)),
        image_shape=small_models.MNIST_SHAPE,
        seed=7,
    )
    other.save(folder / "other.keras")
    text = config.read_text()
    start, end = text.index("[teacher]"), text.index("[student]")
    members = [
        f'[[teacher.members]]\nmodel = "mlp"\noptions.hidden_sizes = [{size}]\n'
        f'weights = "{path}"\nmin_accuracy = 0.0\n'
        for size, path in (
            (16, config.parent / "teacher.keras"),
            (12, folder / "other.keras"),
        )
    ]
    path = folder / "ensemble.toml"
    path.write_text(text[:start] + "\n".join(members) + "\n" + text[end:])
    return path


@pytest.mark.slow
def test_each_member_of_an_ensemble_has_a_cache(config, built, images, tmp_path):
    path = write_ensemble(config, tmp_path)
    workdir = tmp_path / "workdir"
    assert build(path, workdir) == 0
    root = workdir / "soft_targets"
    first, second = (
        records(root / f"member-{i}" / "train", 0, DENSE) for i in range(2)
    )
    np.testing.assert_array_equal(
        first, records(built / "soft_targets" / "train", 0, DENSE)
    )
    expected = predicted(workdir / "teacher" / "member-1" / "model.keras", images)
    np.testing.assert_allclose(second["logits"], expected, rtol=1e-5, atol=1e-4)


@pytest.mark.slow
def test_a_store_holds_what_a_disk_does(config, built, store):
    assert build(config, store) == 0
    expected = contents(built / "soft_targets")
    del expected["train/building"]  # no store keeps two writers apart
    assert stores.listing(f"{store}/soft_targets") == sorted(expected)
    for name, held in expected.items():
        assert stores.contents(f"{store}/soft_targets/{name}") == held
    assert act("verify", config, store) == 0
    assert act("info", config, store) == 0
    path = store / "soft_targets" / "train" / "view-0000" / "shard-00003.tfrecord"
    path.unlink()
    assert act("build", config, store) == 0
    assert (
        stores.contents(str(path)) == expected["train/view-0000/shard-00003.tfrecord"]
    )
    assert main.main(whole_run.command("student", config, store)) == 0


# What a teacher cannot answer.


def broken_teacher(
    folder: pathlib.Path, images: np.ndarray, hidden: float, logits: list[float]
) -> tuple[str, int]:
    """Two hidden units see one pixel that few images have: the setting, the first id.

    `logits` is how much each of the two adds to the first one.
    """
    model = keras.models.load_model(folder / "teacher.keras", compile=False)
    first_lit = (images.reshape(NUM_IDS, -1) > 0).argmax(axis=0)
    pixel = int(np.flatnonzero((first_lit > 2048) & (first_lit < 8192))[0])
    kernel, bias, out, out_bias = model.get_weights()
    kernel[:, :2], bias[:2], out[:2] = 0, 0, 0
    kernel[pixel, :2] = hidden
    out[:2, 0] = logits
    model.set_weights([kernel, bias, out, out_bias])
    model.save(folder / "broken.keras")
    return f"--set=teacher.weights='{folder}/broken.keras'", int(first_lit[pixel])


def assert_only_whole_shards(workdir: pathlib.Path, broken_id: int) -> None:
    folder = workdir / "soft_targets" / "train" / "view-0000"
    found = {path.name: path.stat().st_size for path in folder.iterdir()}
    whole = [f"shard-{i:05d}.tfrecord" for i in range(broken_id // 2048)]
    assert set(found) == set(whole)
    each = set(found.values())
    assert each <= {2048 * (8 + 10 * size + 16) for size in (2, 4)}
    assert len(each) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "signs",
    [pytest.param([3e38, 3e38], marks=pytest.mark.slow), [3e38, -3e38]],
    ids=["inf", "nan"],
)
def test_an_answer_that_is_no_number_is_told_by_the_example_s_id(
    config, images, tmp_path, capsys, signs
):
    weights, broken_id = broken_teacher(config.parent, images, 3e38, signs)
    assert build(config, tmp_path, weights) == 2
    assert_states(told(capsys), "NaN", f"id {broken_id}", "'train'")
    assert_only_whole_shards(tmp_path, broken_id)


@pytest.mark.slow
def test_an_answer_beyond_float16_is_refused_with_the_way_out(
    config, images, tmp_path, capsys
):
    weights, broken_id = broken_teacher(config.parent, images, 1e3, [1e4, 1e4])
    half = "--set=distill.soft_targets_dtype='float16'"
    assert build(config, tmp_path / "half", weights, half) == 2
    message = told(capsys)
    hint = "distill.soft_targets_dtype = 'float32'"
    assert_states(message, "float16", f"id {broken_id}", hint)
    assert_only_whole_shards(tmp_path / "half", broken_id)
    assert build(config, tmp_path / "whole", weights) == 0


@pytest.mark.slow
def test_a_full_disk_leaves_whole_shards_alone_and_with_room_it_goes_on(
    config, built, small_disk, tmp_path, capsys
):
    # Of 640 kB there is room for half.
    (small_disk / "other").write_bytes(bytes(700_000))
    there = f"--set=distill.soft_targets_dir='{small_disk}/cache'"
    assert build(config, tmp_path / "workdir", there) == 2
    assert os.strerror(errno.ENOSPC) in told(capsys)
    expected = contents(built / "soft_targets")
    found = contents(small_disk / "cache")
    assert 3 < len(found) < len(expected)
    # It tells of no checksum before all are written.
    manifests = [x.pop("train/manifest.json") for x in (found, expected)]
    assert manifests[0] != manifests[1]
    assert found.items() <= expected.items()
    (small_disk / "other").unlink()
    assert act("build", config, tmp_path / "workdir", there) == 0
    assert contents(small_disk / "cache") == contents(built / "soft_targets")
