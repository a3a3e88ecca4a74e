"""Images without labels: where they come from, what joins them, what they teach."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from tests.helpers.messages import assert_states, refused
from tests.helpers.oracle import cross_entropy, kl_divergence, log_softmax, softmax
from tests.helpers.students import (
    BATCH,
    NUM_CLASSES,
    SGD,
    Run,
    examples,
    linear,
)
from tests.helpers.tfds_sets import Tiny, info, prepare
from trainer import data
from trainer.config import DataConfig, SgdOptions, UnlabeledConfig
from trainer.data.decode import to_grey
from trainer.data.image_files import FileExamples

SIZE = 8
ENDINGS = ".jpg, .jpeg, .png, .webp"
NOWHERE = pathlib.Path("/nowhere")  # sets of TFDS have no lists to keep


class Sketches(Tiny, skip_registration=True):
    """Twelve images of one shade, from 200 on, with a number that is no class."""

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(5, 4, 3)),
            "height": tfds.features.Scalar(np.int64),
        }
        return info(self, features, disable_shuffling=True)

    def _generate_examples(self, count: int):
        for i in range(12):
            yield i, {"image": np.full((5, 4, 3), 200 + i, np.uint8), "height": i}


class Numbers(Sketches, skip_registration=True):
    """No images."""

    def _info(self) -> tfds.core.DatasetInfo:
        return info(self, {"height": tfds.features.Scalar(np.int64)})

    def _generate_examples(self, count: int):
        for i in range(12):
            yield i, {"height": i}


@pytest.fixture(scope="module")
def tfds_sets(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("sets")
    for builder in (Tiny, Sketches, Numbers):
        prepare(builder, folder)
    return str(folder)


def write(folder: pathlib.Path, shades: range, size: int = 9) -> None:
    """Images of one shade, named by it."""
    folder.mkdir(parents=True, exist_ok=True)
    for shade in shades:
        pixels = np.full((size, size, 3), shade, np.uint8)
        Image.fromarray(pixels).save(folder / f"{shade}.png")


@pytest.fixture
def root(tmp_path) -> pathlib.Path:
    """Two classes of ten images, and twelve images that have none."""
    write(tmp_path / "pets" / "cat", range(10))
    write(tmp_path / "pets" / "dog", range(10, 20))
    write(tmp_path / "wild", range(100, 112))
    return tmp_path


CARVED = {
    "train_split": "train[:60%]",
    "validation_split": "train[60%:80%]",
    "test_split": "train[80%:]",
}


def folders(root: pathlib.Path, unlabeled: str = "wild", **settings) -> DataConfig:
    split = settings.pop("split", "train")
    return DataConfig(
        dataset=f"folder:{root}/pets",
        unlabeled=UnlabeledConfig(dataset=f"folder:{root}/{unlabeled}", split=split),
        **({"image_size": SIZE} | CARVED | settings),
    )


def tiny(folder: str, unlabeled: str, split: str = "train", **settings) -> DataConfig:
    return DataConfig(
        dataset="tiny",
        data_dir=folder,
        unlabeled=UnlabeledConfig(dataset=unlabeled, split=split),
        **settings,
    )


def parts_of(config: DataConfig, lists: pathlib.Path) -> list[data.Examples]:
    labeled, unlabeled = data.open_sources(config, lists)
    return [labeled.read(config.train_split), unlabeled.read(config.unlabeled.split)]


def transfer(config: DataConfig, lists: pathlib.Path) -> data.Examples:
    return data.concatenate(*parts_of(config, lists))


# What joins.


def test_images_join_after_the_labelled_ones_without_labels(root):
    both = transfer(folders(root), root / "lists")
    assert isinstance(both, data.ArrayExamples)
    shades = both.inputs[:, 0, 0, 0].astype(int)
    assert (shades[:12] < 20).all()
    assert sorted(shades[12:]) == list(range(100, 112))
    np.testing.assert_array_equal(both.labels[:12], shades[:12] >= 10)
    assert both.labels[12:].tolist() == [-1] * 12
    assert both.labels.dtype == np.int32


def test_their_ids_are_their_own_and_stay_when_there_are_more_labelled_ones(root):
    few = transfer(folders(root), root / "few")
    write(root / "pets" / "cat", range(20, 30))
    more = transfer(folders(root), root / "more")
    assert len(more) > len(few)
    assert few.ids[12:].tolist() == list(range(2**31, 2**31 + 12))
    np.testing.assert_array_equal(few.ids[12:], more.ids[-12:])
    np.testing.assert_array_equal(few.inputs[12:], more.inputs[-12:])


def test_their_lists_are_kept_beside_those_of_the_labelled_ones(root):
    transfer(folders(root), root / "lists")
    assert len((root / "lists" / "train.jsonl").read_text().splitlines()) == 20
    lines = (root / "lists" / "unlabeled" / "train.jsonl").read_text().splitlines()
    assert {json.loads(line)["path"] for line in lines} == {
        f"{shade}.png" for shade in range(100, 112)
    }
    write(root / "wild", range(150, 151))
    kept = transfer(folders(root), root / "lists")
    assert 150 not in kept.inputs


@pytest.mark.parametrize(
    "classes", [pytest.param(("a",), marks=pytest.mark.slow), ("cat", "dog", "cow")]
)
def test_their_class_folders_are_only_folders(root, classes):
    for i, name in enumerate(classes):
        write(root / "sorted" / name, range(100 + i, 101 + i))
    both = transfer(folders(root, "sorted"), root / "lists")
    assert both.labels[12:].tolist() == [-1] * len(classes)


@pytest.mark.slow
def test_their_splits_hold_their_own_files(root):
    write(root / "more" / "train", range(100, 109))
    write(root / "more" / "test1", range(150, 155))
    write(root / "more" / "extra", range(160, 164))
    for split, shades in (
        ("train", [*range(100, 109)]),
        ("extra", [*range(160, 164)]),
        ("test1+extra", [*range(150, 155), *range(160, 164)]),
    ):
        both = transfer(folders(root, "more", split=split), root / split)
        assert sorted(both.inputs[12:, 0, 0, 0].tolist()) == shades
    config = folders(root, "more", split="val")
    facts = ("data.unlabeled.split", "'val'", "known: extra, test1, train")
    with refused(data.DataError, *facts):
        data.open_sources(config, root / "val")


def test_a_split_beside_other_folders_is_not_learned_from_unseen(root):
    write(root / "more" / "monday", range(100, 109))
    write(root / "more" / "test", range(150, 155))
    config = folders(root, "more")
    facts = ("data.unlabeled.split", "'train'", "known: monday, test")
    with refused(data.DataError, *facts):
        data.open_sources(config, root / "lists")


def test_a_source_of_them_describes_itself(root):
    _, unlabeled = data.open_sources(folders(root), root / "lists")
    facts = (f"folder:{root}/wild", 12, "without labels", "8 x 8 x 3", "0.0 MB")
    assert_states(unlabeled.description, *facts, "in memory")


@pytest.mark.parametrize("dataset", ["tiny", "sketches"])
def test_a_set_of_tfds_joins_with_or_without_labels_of_its_own(tfds_sets, dataset):
    config = tiny(
        tfds_sets,
        dataset,
        "train[:6]",
        train_split="train[10:20]",
        validation_split="train[20:]",
    )
    both = transfer(config, NOWHERE)
    assert both.labels[10:].tolist() == [-1] * 6
    assert both.ids[10:].tolist() == list(range(2**31, 2**31 + 6))
    if dataset == "sketches":
        assert both.inputs[10:, 0, 0, 0].tolist() == list(range(200, 206))


def test_a_folder_joins_a_set_of_grey_images(root, tfds_dir):
    config = DataConfig(
        dataset="mnist_mini",
        data_dir=tfds_dir,
        train_split="train[:50]",
        unlabeled=UnlabeledConfig(dataset=f"folder:{root}/wild"),
    )
    both = transfer(config, root / "lists")
    assert both.inputs.shape == (62, 28, 28, 1)
    assert sorted(both.inputs[50:, 0, 0, 0]) == list(range(100, 112))
    assert (both.inputs[50:] == both.inputs[50:, :1, :1]).all()


def test_grey_is_that_of_pil():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).convert("L"))
    np.testing.assert_array_equal(to_grey(tf.constant(pixels))[..., 0], expected)


# Memory.


NEEDED = (20 + 12) * SIZE * SIZE * 3


@pytest.mark.parametrize(
    ("missing", "kind"), [(0, data.ArrayExamples), (1, FileExamples)]
)
def test_the_budget_counts_both_sources(root, missing, kind):
    config = folders(root, memory_budget_bytes=NEEDED - missing)
    both = transfer(config, root / "lists")
    assert type(both) is kind
    in_memory = transfer(folders(root), root / "lists")
    rows = np.array([0, 11, 12, 23, 5])
    np.testing.assert_array_equal(both.read(rows), in_memory.read(rows))
    np.testing.assert_array_equal(both.labels, in_memory.labels)
    np.testing.assert_array_equal(both.ids, in_memory.ids)


@pytest.mark.slow
@pytest.mark.parametrize("missing", [0, 1])
def test_files_of_both_folders_are_in_memory_where_these_fit_encoded(root, missing):
    files = [path for name in ("pets", "wild") for path in (root / name).rglob("*.png")]
    needed = sum(path.stat().st_size for path in files)
    assert needed < NEEDED
    config = folders(root, memory_budget_bytes=needed - missing)
    both = transfer(config, root / "lists")
    pixels = transfer(folders(root), root / "lists")
    # Without cats, of which both have some.
    both, pixels = (each.select(each.labels != 0) for each in (both, pixels))
    rows = np.arange(len(pixels))[::-1]
    for path in files:
        path.unlink()
    if missing:
        with refused(data.DataError, "No such file", both.paths[len(rows) - 1]):
            both.read(rows)
        return
    np.testing.assert_array_equal(both.read(rows), pixels.read(rows))
    shard = data.InputShard(
        per_replica_batch_size=5, num_replicas=1, first_replica=0, local_replicas=1
    )
    ours, theirs = (
        list(
            each.training(shard, seed=3, first_step=2, map_fn=dict)
            .take(8)
            .as_numpy_iterator()
        )
        for each in (both, pixels)
    )
    for a, b in zip(ours, theirs, strict=True):
        for name in b:
            np.testing.assert_array_equal(a[name], b[name])


def test_what_does_not_fit_and_is_not_all_in_folders_is_refused(tfds_sets):
    needed = (36 + 12) * 5 * 4 * 3
    config = tiny(tfds_sets, "sketches", memory_budget_bytes=needed)
    assert len(transfer(config, NOWHERE)) == 27 + 12
    config = dataclasses.replace(config, memory_budget_bytes=needed - 1)
    facts = ("data.memory_budget_bytes", "'tiny'", "'sketches'", f"{needed} bytes")
    with refused(data.DataError, *facts, needed - 1):
        data.open_sources(config, NOWHERE)


# Bad input.


@pytest.mark.parametrize(
    ("name", "fact"),
    [("nowhere", "'folder:'"), ("empty", ENDINGS), ("text", ENDINGS)],
)
def test_a_folder_without_images_is_refused(root, name, fact):
    (root / "empty").mkdir()
    (root / "text").mkdir()
    (root / "text" / "notes.txt").write_text("no image")
    with refused(data.DataError, "data.unlabeled.dataset", root / name, fact):
        data.open_sources(folders(root, name), root / "lists")


def test_a_damaged_image_is_refused_or_set_aside(root):
    (root / "wild" / "100.png").write_text("no image")
    facts = (f"{root}/wild/100.png", "JPEG", "PNG", "WebP", "data.skip_corrupt = true")
    with refused(data.DataError, *facts):
        data.open_sources(folders(root), root / "lists")
    both = transfer(folders(root, skip_corrupt=True), root / "lists")
    assert len(both) == 12 + 11


@pytest.mark.parametrize(("split", "more"), [("tset", ()), ("train[:0]", ("empty",))])
def test_an_unknown_or_empty_split_is_refused_by_its_setting(
    root, tfds_sets, split, more
):
    for config, dataset in (
        (folders(root, split=split), f"'folder:{root}/wild'"),
        (tiny(tfds_sets, "sketches", split), "'sketches'"),
    ):
        facts = ("data.unlabeled.split", repr(split), dataset, *more)
        with refused(data.DataError, *facts, "known: train"):
            data.open_sources(config, root / "lists")


def test_an_unknown_set_or_one_without_images_is_refused(tfds_sets):
    for name, *facts in (
        ("absent", "TensorFlow Datasets", "data.data_dir"),
        ("numbers", "8-bit", "features height"),
    ):
        with refused(data.DataError, "data.unlabeled.dataset", repr(name), *facts):
            data.open_sources(tiny(tfds_sets, name), NOWHERE)


def test_another_shape_is_refused(root, tfds_dir, tfds_sets):
    # 5 x 4, of which a folder has none.
    config = tiny(tfds_sets, f"folder:{root}/wild")
    setting = f"data.unlabeled.dataset 'folder:{root}/wild'"
    with refused(data.DataError, setting, "5 x 4 x 3", "squares", 3):
        data.open_sources(config, root / "lists")
    config = folders(root, data_dir=tfds_dir)
    config = dataclasses.replace(
        config, unlabeled=UnlabeledConfig(dataset="mnist_mini")
    )
    facts = ("data.unlabeled.dataset 'mnist_mini'", "data.dataset")
    with refused(data.DataError, *facts, "8 x 8 x 3", "8 x 8 x 1"):
        data.open_sources(config, root / "lists")


@pytest.mark.parametrize(
    ("split", "setting", "count"),
    [
        ("train[10:20]", "data.train_split", 10),
        ("train[25:28]", "data.train_split", 2),
        ("train[28:]", "data.validation_split", 2),
        ("test[:4]", "data.test_split", 4),
        ("all", "data.train_split", 27),
    ],
)
def test_an_image_of_another_split_of_the_set_is_refused(
    tfds_sets, split, setting, count
):
    config = tiny(tfds_sets, "tiny", split)
    facts = (f"data.unlabeled.split {split!r}", setting, f"got {count}")
    with refused(data.DataError, *facts):
        data.open_sources(config, NOWHERE)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("pets", 12),
        pytest.param("./pets/dog", 4, marks=pytest.mark.slow),
        ("linked", 4),
    ],
)
def test_an_image_of_the_labelled_folder_is_refused_however_it_is_reached(
    root, name, count
):
    (root / "linked").symlink_to(root / "pets" / "dog")
    splits = ("data.unlabeled.split 'train'", "data.train_split 'train[:60%]'")
    with refused(data.DataError, *splits, count):
        data.open_sources(folders(root, name), root / "lists")


def test_parts_of_one_folder_that_share_nothing_join(root):
    config = folders(
        root,
        "pets",
        split="train[:25%]",
        train_split="train[25%:50%]",
        validation_split="train[50%:75%]",
        test_split="train[75%:]",
    )
    both = transfer(config, root / "lists")
    assert both.labels.tolist().count(-1) == 5
    assert len(set(both.inputs[:, 0, 0, 0])) == 10


def test_examples_of_two_kinds_do_not_join(root):
    in_memory = transfer(folders(root), root / "lists")
    in_files = transfer(folders(root, memory_budget_bytes=0), root / "lists")
    with refused(TypeError, "ArrayExamples", "FileExamples"):
        data.concatenate(in_memory, in_files)


# What they teach.


def half_labeled(num: int = BATCH) -> data.ArrayExamples:
    """Every other example has no label."""
    whole = examples(num)
    labels = np.where(np.arange(num) % 2, whole.labels, -1).astype(np.int32)
    return dataclasses.replace(whole, labels=labels)


def without_labels(num: int = 50) -> data.ArrayExamples:
    whole = examples(num)
    return dataclasses.replace(whole, labels=np.full_like(whole.labels, -1))


PLAIN = dataclasses.replace(
    SGD,
    learning_rate=0.5,
    optimizer_options=SgdOptions(momentum=0.0),
    label_smoothing=0.1,
)


@pytest.mark.parametrize(
    ("num_replicas", "accumulate"),
    [pytest.param(1, 1, marks=pytest.mark.slow), (2, 1), (1, 3)],
)
def test_one_step_is_the_textbook_s_with_the_hard_loss_of_the_labelled_alone(
    num_replicas, accumulate
):
    batch = half_labeled()  # one epoch is one batch, in some order
    alpha, temperature = 0.25, 2.0
    run = Run(
        train=dataclasses.replace(PLAIN, accumulate=accumulate),
        num_replicas=num_replicas,
        build=linear,
        images=batch,
        alpha=alpha,
        temperature=temperature,
    )
    teacher_logits = run.teacher(batch.inputs, training=False).numpy()
    taught = softmax(teacher_logits, temperature)
    kernel, bias = (w.astype(np.float64) for w in run.weights())
    inputs = batch.inputs.reshape(BATCH, -1) / 255.0
    logits = inputs @ kernel + bias
    tempered = softmax(logits, temperature)

    is_labeled = batch.labels >= 0
    one_hot = np.eye(NUM_CLASSES)[np.maximum(batch.labels, 0)]
    wanted = 0.9 * one_hot + 0.1 / NUM_CLASSES
    soft = temperature**2 * kl_divergence(teacher_logits, logits, temperature)
    hard = is_labeled * -(wanted * log_softmax(logits)).sum(axis=1)
    slope = alpha * temperature * (tempered - taught)
    slope += (1 - alpha) * is_labeled[:, np.newaxis] * (softmax(logits) - wanted)

    metrics = run.compiled.run(1)
    hits = logits.argmax(axis=1) == batch.labels
    assert metrics["soft_loss"] == pytest.approx(soft.mean(), rel=1e-5)
    assert metrics["hard_loss"] == pytest.approx(hard.sum() / 6, rel=1e-5)
    assert metrics["accuracy"] == pytest.approx(hits.sum() / 6)
    loss = alpha * soft + (1 - alpha) * hard
    assert metrics["loss"] == pytest.approx(loss.mean(), rel=1e-5)
    new_kernel, new_bias = run.weights()
    slope *= 0.5 / BATCH
    np.testing.assert_allclose(new_kernel, kernel - inputs.T @ slope, atol=1e-6)
    np.testing.assert_allclose(new_bias, bias - slope.sum(axis=0), atol=1e-6)


def test_a_mean_of_several_steps_is_over_their_labelled_examples():
    whole = examples(4 * BATCH)  # one epoch in four steps
    labels = np.where(np.arange(4 * BATCH) < 7, whole.labels, -1).astype(np.int32)
    some = dataclasses.replace(whole, labels=labels)
    still = dataclasses.replace(PLAIN, learning_rate=1e-12, label_smoothing=0.0)
    run, singly = (Run(train=still, build=linear, images=some) for _ in range(2))
    kernel, bias = run.weights()
    logits = some.inputs[:7].reshape(7, -1) / 255 @ kernel + bias
    hard = cross_entropy(logits, labels[:7])
    metrics = run.compiled.run(4)
    assert metrics["hard_loss"] == pytest.approx(hard.mean(), rel=1e-5)
    hits = logits.argmax(axis=1) == labels[:7]
    assert metrics["accuracy"] == pytest.approx(hits.mean())
    # The steps hold different numbers of them.
    of_steps = [singly.compiled.run(1).get("hard_loss", 0.0) for _ in range(4)]
    assert np.mean(of_steps) != pytest.approx(hard.mean(), rel=1e-3)


@pytest.mark.slow
def test_with_alpha_1_labels_make_no_difference():
    train = dataclasses.replace(SGD, label_smoothing=0.1)
    labeled = Run(train=train, alpha=1.0)
    unlabeled = Run(train=train, alpha=1.0, images=without_labels())
    expected, found = labeled.compiled.run(5), unlabeled.compiled.run(5)
    assert found == {
        name: value
        for name, value in expected.items()
        if name not in ("hard_loss", "accuracy")
    }
    assert np.isfinite(found["loss"])
    for actual, wanted in zip(unlabeled.weights(), labeled.weights(), strict=True):
        np.testing.assert_array_equal(actual, wanted)
