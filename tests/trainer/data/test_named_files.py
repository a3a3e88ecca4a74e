"""Lists of images, prepared folders and record files by any name."""

import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from PIL import Image

from tests.helpers.configs import OF_DATASET
from tests.helpers.messages import refused
from trainer import data
from trainer.config import ConfigError, DataConfig, load
from trainer.config.datasets import TfrecordOptions
from trainer.config.identity import identity, resolve
from trainer.data.examples import InputShard
from trainer.data.unlabeled import open_sources

COUNT = 60
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 6, 5, 3), np.uint8)
LABELS = np.arange(COUNT) // 20


def opened(config, workdir):
    (source,) = open_sources(config, epath.Path(workdir) / "files")
    data.hold_contents(source, epath.Path(workdir) / "files", may_write=True)
    return source


def all_of(source, split="train"):
    examples = source.read(split)
    return examples.read(np.arange(len(examples))), examples.labels, examples.ids


# Lists.


def listed(folder: pathlib.Path, *, header="path,label", rows=None) -> DataConfig:
    for i, image in enumerate(IMAGES):
        path = folder / "images" / f"{i}.bin"  # told by content
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, format="png")
    if rows is None:
        rows = [f"images/{i}.bin,{'abc'[k]}" for i, k in enumerate(LABELS)]
    (folder / "list.csv").write_text("\n".join([header, *rows, ""]))
    return DataConfig(dataset=f"list:{folder}/list.csv", image_size=5)


@pytest.mark.slow
def test_a_list_is_the_folder_of_its_images(tmp_path):
    source = opened(listed(tmp_path), tmp_path / "workdir")
    assert source.class_names == ("a", "b", "c")
    for i, image in enumerate(IMAGES):
        path = tmp_path / "folder" / "abc"[LABELS[i]] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    folder = DataConfig(dataset=f"folder:{tmp_path}/folder", image_size=5)
    of_folder = opened(folder, tmp_path / "other")
    assert source.data.splits == of_folder.data.splits
    for found in (source, of_folder):
        parts = [all_of(found, split) for split in found.data.splits.values()]
        assert [len(labels) for _, labels, _ in parts] == [48, 6, 6]
    ours, theirs = (
        sorted(
            (image.tobytes(), label)
            for split in found.data.splits.values()
            for image, label in zip(*all_of(found, split)[:2], strict=True)
        )
        for found in (source, of_folder)
    )
    assert ours == theirs


def test_a_list_may_name_splits_and_move(tmp_path):
    rows = [f"images/{i}.bin,{'ab'[i % 2]},{'xy'[i % 3 > 1]}" for i in range(COUNT)]
    config = listed(tmp_path / "here", header="path,kind,split", rows=rows)
    splits = {"train_split": "x[:50%]", "validation_split": "x[50%:]"}
    config = DataConfig(
        dataset=config.dataset,
        image_size=5,
        label_column="kind",
        test_split="y",
        **splits,
    )
    source = opened(config, tmp_path / "workdir")
    assert [len(all_of(source, s)[1]) for s in source.data.splits.values()] == [20] * 3
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = DataConfig(**{**vars(config), "dataset": f"list:{tmp_path}/there/list.csv"})
    again = opened(moved, tmp_path / "workdir")
    np.testing.assert_array_equal(all_of(again, "y")[0], all_of(again, "y")[0])
    (tmp_path / "there" / "list.csv").write_text(
        "\n".join(["path,kind,split", *rows[:-1], "images/59.bin,a,y", ""])
    )
    with refused(data.DataError, "'images/59.bin'", "'b'", "'a'", "--workdir"):
        opened(moved, tmp_path / "workdir")


@pytest.mark.parametrize(
    ("header", "rows", "facts"),
    [
        ("file,label", ["images/0.bin,a"], ("path and label", "['file', 'label']")),
        ("path,label", ["images/0.bin"], ("line 2", "['images/0.bin']")),
        ("path,label", ["images/0.bin,"], ("line 2", "['images/0.bin', '']")),
        ("path,label", ["images/0.bin,a"] * 2, ("line 3", "'images/0.bin'")),
        ("path,label", [], ("none",)),
        (
            "path,label",
            [f"images/{i if i < 9 else 90}.bin,a" for i in range(10)],
            ("images/90.bin",),
        ),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path, header, rows, facts):
    with refused(data.DataError, *facts):
        opened(listed(tmp_path, header=header, rows=rows), tmp_path / "workdir")


def test_a_list_that_is_not_there_is_told(tmp_path):
    config = DataConfig(dataset=f"list:{tmp_path}/none.csv", image_size=5)
    with refused(data.DataError, "'list:'", f"'{tmp_path}/none.csv'"):
        opened(config, tmp_path)


# Prepared folders.


def test_a_prepared_folder_may_have_any_name(tmp_path, tfds_dir):
    splits = {"train_split": "train[:50]", "validation_split": "train[50:60]"}
    by_name = DataConfig(
        dataset="mnist_mini", data_dir=tfds_dir, test_split="test[:9]", **splits
    )
    expected = opened(by_name, tmp_path / "a").read("train[:50]")
    [folder] = pathlib.Path(tfds_dir).glob("mnist_mini/*")
    shutil.copytree(folder, tmp_path / "digits")

    def config(name):
        path = f"tfds:{tmp_path}/{name}"
        return DataConfig(dataset=path, test_split="test[:9]", **splits)

    source = opened(config("digits"), tmp_path / "b")
    found = source.read("train[:50]")
    for array in ("inputs", "labels", "ids"):
        np.testing.assert_array_equal(getattr(found, array), getattr(expected, array))
    assert source.class_names == tuple("0123456789")
    (tmp_path / "digits").rename(tmp_path / "moved")
    opened(config("moved"), tmp_path / "b")
    with refused(data.DataError, "'tfds:'", f"'{tmp_path}/none'"):
        opened(config("none"), tmp_path / "b")


# Record files.


def feature(value: object) -> tf.train.Feature:
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    if isinstance(value, int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    if np.asarray(value).dtype.kind == "f":
        return tf.train.Feature(float_list=tf.train.FloatList(value=value))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=value))


def write_records(path: pathlib.Path, inputs, labels=LABELS, key="image") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for x, y in zip(inputs, labels, strict=True):
            features = {key: feature(x), "label": feature(int(y))}
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


def records(pattern, *, budget=2**30, image_size=0, splits=None, **options):
    return DataConfig(
        dataset=f"tfrecord:{pattern}",
        options=TfrecordOptions(**options),
        memory_budget_bytes=budget,
        image_size=image_size,
        **(splits or {}),
    )


FLOATS = IMAGES.astype(np.float32) / 255
ENCODINGS = {
    "image": ([tf.io.encode_png(x).numpy() for x in IMAGES], {"shape": (6, 5, 3)}),
    "raw": ([x.tobytes() for x in IMAGES], {"encoding": "raw", "shape": (6, 5, 3)}),
    "values": (
        [x.reshape(-1) for x in IMAGES.astype(int)],
        {"encoding": "values", "shape": (6, 5, 3)},
    ),
    "float": (
        [x.tobytes() for x in FLOATS],
        {"encoding": "raw", "shape": (6, 5, 3), "dtype": "float32"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_records_are_the_examples_in_them(tmp_path, encoding):
    stored, options = ENCODINGS[encoding]
    for i in range(3):
        rows = slice(20 * i, 20 * i + 20)
        write_records(tmp_path / f"part-{i}.tfrecord", stored[rows], LABELS[rows])
    shard = InputShard(
        per_replica_batch_size=8, num_replicas=1, first_replica=0, local_replicas=1
    )
    expected = FLOATS if encoding == "float" else IMAGES
    for budget in (2**30, 0):
        config = records(f"{tmp_path}/part-*.tfrecord", budget=budget, **options)
        source = opened(config, tmp_path / f"workdir-{budget}")
        inputs, labels, _ = all_of(source)
        np.testing.assert_array_equal(inputs, expected)
        np.testing.assert_array_equal(labels, LABELS)
        assert (source.class_names, inputs.dtype) == (("0", "1", "2"), expected.dtype)
        # A stretch of files that are sorted by class is a fair sample.
        assert set(all_of(source, "train[90%:]")[1]) == {0, 1, 2}
        examples = source.read("train[:80%]")
        whole, resumed = (
            list(examples.training(shard, seed=1, first_step=step, map_fn=dict).take(9))
            for step in (0, 2)
        )
        for batch, again in zip(whole[2:], resumed, strict=False):
            np.testing.assert_array_equal(batch["input"], expected[batch["id"]])
            np.testing.assert_array_equal(batch["label"], LABELS[batch["id"]])
            for name, values in batch.items():
                np.testing.assert_array_equal(again[name], values)
    ends = (expected.min(), expected.max()) if encoding == "float" else None
    assert source.value_range == ends


def test_a_pattern_names_splits_and_images_are_resized(tmp_path):
    stored, _ = ENCODINGS["image"]
    for split, rows in (("train", slice(40)), ("test", slice(40, None))):
        write_records(tmp_path / f"{split}-0.rec", stored[rows], LABELS[rows] % 2)
    splits = {"train_split": "train[:50%]", "validation_split": "train[50%:]"}
    config = records(f"{tmp_path}/{{split}}-*.rec", image_size=4, splits=splits)
    source = opened(config, tmp_path / "workdir")
    assert (config.test_split, source.input_shape) == ("test", (4, 4, 3))
    pixels = tf.image.resize(IMAGES[40:], (4, 4), antialias=True)
    np.testing.assert_array_equal(all_of(source, "test")[0], np.round(pixels))


def test_rows_of_records_are_standardised(tmp_path):
    rows = np.random.default_rng(1).normal(size=(COUNT, 4)).astype(np.float32)
    write_records(tmp_path / "a.tfrecord", list(rows), key="x")
    options = {"encoding": "values", "dtype": "float32", "shape": (4,)}
    config = records(f"{tmp_path}/a.tfrecord", image_key="x", **options)
    source = opened(config, tmp_path / "workdir")
    np.testing.assert_array_equal(all_of(source)[0], rows)
    mean, variance = source.mean_and_variance
    training = rows[all_of(source, "train[:80%]")[2]]
    np.testing.assert_allclose(mean, training.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(variance, training.var(axis=0), rtol=1e-5)
    with refused(data.DataError, "data.memory_budget_bytes", 960, 0):
        opened(
            records(f"{tmp_path}/a.tfrecord", image_key="x", budget=0, **options),
            tmp_path / "workdir",
        )


def test_a_begun_run_knows_its_records(tmp_path):
    stored, options = ENCODINGS["raw"]
    write_records(tmp_path / "a.tfrecord", stored)
    opened(records(f"{tmp_path}/*.tfrecord", **options), tmp_path / "workdir")
    (tmp_path / "there").mkdir()
    (tmp_path / "a.tfrecord").rename(tmp_path / "there" / "b.tfrecord")
    moved = records(f"{tmp_path}/there/*.tfrecord", **options)
    opened(moved, tmp_path / "workdir")
    write_records(tmp_path / "there" / "b.tfrecord", stored, LABELS[::-1])
    with refused(data.DataError, "train", "data.dataset", "--workdir"):
        opened(moved, tmp_path / "workdir")


@pytest.mark.parametrize(
    ("stored", "options", "facts"),
    [
        ("raw", {"image_key": "pixels"}, ("pixels",)),
        ("raw", {"label_key": "kind"}, ("kind",)),
        ("raw", {"shape": (6, 5, 4)}, ("120", "90")),
        ("raw", {"num_classes": 2}, ("0 to 1", 2, "data.options.num_classes")),
        ("image", {"shape": (5, 5, 3)}, ("data.image_size",)),
        ("float", {"encoding": "image"}, ("data.options",)),
    ],
)
def test_records_of_another_description_are_refused(tmp_path, stored, options, facts):
    values, described = ENCODINGS[stored]
    write_records(tmp_path / "a.tfrecord", values)
    config = records(f"{tmp_path}/a.tfrecord", **(described | options))
    with refused(data.DataError, *facts):
        opened(config, tmp_path / "workdir")


def test_values_of_records_are_finite(tmp_path):
    floats = FLOATS.copy()
    floats[30, 1, 1, 1] = np.nan
    write_records(tmp_path / "a.tfrecord", [x.tobytes() for x in floats])
    config = records(f"{tmp_path}/a.tfrecord", **ENCODINGS["float"][1])
    with refused(data.DataError, "finite", "nan"):
        opened(config, tmp_path / "workdir")


def test_a_pattern_that_matches_nothing_is_told(tmp_path):
    with refused(data.DataError, "'tfrecord:'", f"'{tmp_path}/*.rec'"):
        opened(records(f"{tmp_path}/*.rec", image_size=4), tmp_path / "workdir")


# Settings.


def config_of(tmp_path, dataset, more=""):
    text = OF_DATASET.format(dataset=dataset)
    more = f"{more}\n[teacher]\n"
    (tmp_path / "run.toml").write_text(text.replace("[teacher]\n", more, 1))
    return load(str(tmp_path / "run.toml"))


@pytest.mark.parametrize(
    ("dataset", "more", "facts"),
    [
        ("list:a.csv", "", ("data.image_size", "'list:a.csv'")),
        ("tfrecord:a", "", ("data.image_size", "'tfrecord:a'")),
        ("tfrecord:a", "options.shape = [4]", ("data.options.shape", "[4]")),
        ("tfrecord:a", "options.encoding = 'raw'", ("data.options.shape", "'raw'")),
        (
            "tfrecord:a",
            "image_size = 4\noptions = {encoding = 'raw', shape = [4]}",
            ("data.image_size", 0, 4),
        ),
        (
            "tfrecord:a",
            "options.imagekey = 'a'",
            ("data.options.imagekey", "image_key"),
        ),
        ("mnist", "options.a = 1", ("data.options.a", "'mnist'")),
        ("own.sets:load", "options.a = nan", ("data.options.a",)),
        (
            "own.sets:load",
            "[data.unlabeled]\ndataset = 'mnist'",
            ("[data.unlabeled]", "'own.sets:load'"),
        ),
        (
            "mnist",
            "[data.unlabeled]\ndataset = 'own.sets:load'",
            ("data.unlabeled.dataset", "'own.sets:load'"),
        ),
    ],
)
def test_settings_of_another_kind_are_refused(tmp_path, dataset, more, facts):
    with refused(ConfigError, *facts):
        config_of(tmp_path, dataset, more)


def test_what_is_known_by_its_contents_may_move_and_a_function_may_not(tmp_path):
    def identity_of(dataset, more=""):
        return identity(resolve(config_of(tmp_path, dataset, more)))

    sized = "image_size = 4"
    for kind in ("list", "tfrecord", "tfds"):
        ours, theirs = (identity_of(f"{kind}:{name}", sized) for name in "ab")
        assert ours == theirs
    assert identity_of("a.b:c")["data.dataset"] == "a.b:c"
    one = identity_of("a.b:c", "options = {count = 3}")
    assert one["data.options.count"] == 3


def test_a_version_of_a_set_is_no_function():
    for name in ("mnist", "mnist:3.0.1", "mnist:3.*.*", "huggingface:mnist"):
        assert DataConfig(dataset=name).kind == "name"
    assert DataConfig(dataset="own:load").kind == "function"
