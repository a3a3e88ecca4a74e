"""Datasets by name: which examples a split holds, and what is refused."""

import pathlib
import re
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tests.helpers.messages import assert_states, refusal, refused
from tests.helpers.tfds_sets import NUM_TINY_FILES, Tiny, info, open_source, prepare
from trainer import data
from trainer.config import DataConfig
from trainer.data import mnist_mini
from trainer.data.records import RecordExamples


def random_image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (12, 6, 3), dtype=np.uint8)


class Sizes(Tiny, skip_registration=True):
    """Images of different sizes, of one colour each, in their order."""

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(num_classes=3),
        }
        return info(self, features, disable_shuffling=True)

    def _generate_examples(self, count: int) -> Iterator:
        for i in range(count):
            image = np.full((3 + i, 20 - i % 7, 3), (i, 100, 255), np.uint8)
            yield i, {"image": image, "label": i % 3}


class Random(Sizes, skip_registration=True):
    """Random images in their order."""

    def _generate_examples(self, count: int) -> Iterator:
        for i in range(count):
            yield i, {"image": random_image(i), "label": i % 3}


class Text(Tiny, skip_registration=True):
    """A text and a class."""

    def _info(self) -> tfds.core.DatasetInfo:
        label = tfds.features.ClassLabel(num_classes=3)
        return info(self, {"text": tfds.features.Text(), "label": label})

    def _generate_examples(self, count: int) -> Iterator:
        for i in range(count):
            yield i, {"text": "a", "label": i % 3}


class Heights(Tiny, skip_registration=True):
    """An image and a number, which is no class."""

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(5, 4, 3)),
            "height": tfds.features.Scalar(np.int64),
        }
        return info(self, features, supervised_keys=("image", "height"))

    def _generate_examples(self, count: int) -> Iterator:
        for i in range(count):
            yield i, {"image": np.zeros((5, 4, 3), np.uint8), "height": i}


class Deep(Tiny, skip_registration=True):
    """Images of 16 bits in classes."""

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(5, 4, 1), dtype=np.uint16),
            "label": tfds.features.ClassLabel(num_classes=3),
        }
        return info(self, features)

    def _generate_examples(self, count: int) -> Iterator:
        for i in range(count):
            yield i, {"image": np.full((5, 4, 1), 300, np.uint16), "label": i % 3}


@pytest.fixture(scope="module")
def tiny_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    prepare(Tiny, folder, NUM_TINY_FILES)
    return folder


@pytest.fixture
def own_tiny_dir(tiny_dir, tmp_path):
    """A copy of the prepared set, to be damaged."""
    return pathlib.Path(shutil.copytree(tiny_dir, tmp_path / "copy"))


def tiny(folder: pathlib.Path, **settings: object) -> DataConfig:
    return DataConfig(dataset="tiny", data_dir=str(folder), **settings)


def read(config: DataConfig) -> data.Examples:
    return open_source(config).read(config.train_split)


def files_of(folder: pathlib.Path, split: str = "train") -> list[pathlib.Path]:
    return sorted(folder.glob(f"tiny/1.0.0/tiny-{split}.tfrecord-*"))


# The bundled set, whose files hold its arrays in their order.


@pytest.fixture(scope="module")
def arrays():
    with np.load(mnist_mini.ARRAYS) as file:
        return dict(file)


@pytest.fixture(scope="module")
def source(tfds_dir):
    return open_source(mini(tfds_dir))


def mini(folder: str, **settings: object) -> DataConfig:
    return DataConfig(dataset="mnist_mini", data_dir=folder, **settings)


@pytest.mark.parametrize(
    ("split", "train", "test"),
    [
        ("train", range(10_000), range(0)),
        ("train[10:20]", range(10, 20), range(0)),
        ("train[-3:]", range(9997, 10_000), range(0)),
        ("train[90%:]+test", range(9000, 10_000), range(2000)),
        ("test[:1%]", range(0), range(20)),
    ],
)
def test_a_split_holds_its_stretches_in_order(source, arrays, split, train, test):
    examples = source.read(split)
    images = [arrays["train_images"][list(train)], arrays["test_images"][list(test)]]
    labels = [arrays["train_labels"][list(train)], arrays["test_labels"][list(test)]]
    np.testing.assert_array_equal(examples.inputs, np.concatenate(images))
    np.testing.assert_array_equal(examples.labels, np.concatenate(labels))


@pytest.mark.parametrize(
    ("split", "ids"),
    [
        ("train", [*range(10_000)]),
        ("train[10:20]", [*range(10, 20)]),
        ("train[90%:]+test", [*range(9000, 10_000), *range(2000)]),
    ],
)
def test_ids_are_places_in_the_whole_split(source, split, ids):
    assert source.read(split).ids.tolist() == ids


def test_examples_have_the_types_of_the_pipeline(source):
    examples = source.read("train[:5]")
    arrays = (examples.inputs, examples.labels, examples.ids)
    assert [a.dtype for a in arrays] == [np.uint8, np.int32, np.int64]


def test_a_source_knows_the_shape_of_its_images(source):
    assert source.input_shape == (28, 28, 1)


def test_a_source_knows_the_names_of_its_classes(source):
    assert source.class_names == tuple("0123456789")


def test_a_source_describes_itself(source):
    sizes = ("9000 + 1000 + 2000", "10 classes", "28 x 28 x 1", "9.4 MB")
    assert_states(source.description, "mnist_mini", *sizes, "in memory")


# Order and ids where a set has several files, shuffled when they were written.


def records(folder: pathlib.Path) -> list[int]:
    """The number that fills each image, in the order of the files, without TFDS."""
    numbers = []
    for file in files_of(folder):
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            feature = tf.train.Example.FromString(record).features.feature
            image = tf.io.decode_png(feature["image"].bytes_list.value[0])
            numbers.append(int(image[0, 0, 0]))
    return numbers


def test_the_set_of_several_files_is_shuffled_on_disk(tiny_dir):
    assert len(files_of(tiny_dir)) == NUM_TINY_FILES
    assert records(tiny_dir) != sorted(records(tiny_dir))


@pytest.mark.parametrize(
    ("split", "first", "last"),
    [("train", 0, 30), ("train[7:23]", 7, 23), ("train[50%:]", 15, 30)],
)
def test_ids_count_the_records_of_all_files_in_order(tiny_dir, split, first, last):
    examples = read(
        tiny(
            tiny_dir,
            train_split=split,
            validation_split="test[:3]",
            test_split="test[3:]",
        )
    )
    assert examples.ids.tolist() == list(range(first, last))
    assert examples.inputs[:, 0, 0, 0].tolist() == records(tiny_dir)[first:last]
    assert (examples.labels == examples.inputs[:, 0, 0, 0] % 3).all()


# Names and splits.


@pytest.mark.parametrize(
    "name",
    [
        *("mnist_min", "no_such_set", "mnist-mini!", "mnist_mini:", "a b"),
        # Names of sets that are there.
        *("mnist_mini:9.9.9", "mnist_mini/big", "tiny:9.9.9"),
    ],
)
def test_an_unknown_or_malformed_name_version_or_config_is_refused(tiny_dir, name):
    config = DataConfig(dataset=name, data_dir=str(tiny_dir))
    with refused(data.DataError, "data.dataset", "data.data_dir", tiny_dir, repr(name)):
        open_source(config)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("mnsit", "'mnist'"), ("cifar-10", "'cifar10'"), ("mnits:3.0.1", "'mnist'")),
        ("photos", "'folder:photos'"),
        ("tables", "'csv:tables'"),
    ],
)
def test_what_a_name_may_be_meant_to_be_is_told(tmp_path, monkeypatch, name, meant):
    monkeypatch.chdir(tmp_path)
    for file in ("photos/cat/a.jpg", "tables/train.csv"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    with refused(data.DataError, "data.dataset", repr(name), meant):
        open_source(DataConfig(dataset=name, data_dir=str(tmp_path)))


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with refused(data.DataError, "data.data_dir", f"{tmp_path}/file/downloads"):
        open_source(mini(str(tmp_path / "file")))


SETTINGS = ("train_split", "validation_split", "test_split")


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    "split", ["trian", "train[", "train[:10%", "train[a:]", "train[:31]", "train+"]
)
def test_an_unknown_or_malformed_split_is_refused(tiny_dir, setting, split):
    config = tiny(tiny_dir, **{setting: split})
    known = "known: train (30), test (6)"
    with refused(data.DataError, f"data.{setting}", "'tiny'", repr(split), known):
        open_source(config)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("split", ["train[5:5]", "train[9:4]", "test[:0%]"])
def test_an_empty_split_is_refused(tiny_dir, setting, split):
    config = tiny(tiny_dir, **{setting: split})
    with refused(data.DataError, f"data.{setting}", repr(split), "empty", "'tiny'"):
        open_source(config)


@pytest.mark.parametrize(
    ("train", "validation", "test", "first", "second", "count"),
    [
        ("train[:20]", "train[16:]", "test", "validation", "train", 4),
        ("train[:20]", "test", "test[2:]", "test", "validation", 4),
        ("train+test[:1]", "test[1:3]", "test[:1]", "test", "train", 1),
        ("train[:10]+train[20:]", "train[9:21]", "test", "validation", "train", 2),
        ("all", "test", "train[:1]", "validation", "train", 6),
    ],
)
def test_overlapping_splits_are_refused_by_name_and_count(
    tiny_dir, train, validation, test, first, second, count
):
    config = tiny(
        tiny_dir, train_split=train, validation_split=validation, test_split=test
    )
    splits = {"train": train, "validation": validation, "test": test}
    facts = (f"data.{name}_split {splits[name]!r}" for name in (first, second))
    with refused(data.DataError, *facts, f"got {count}"):
        open_source(config)


def test_splits_that_touch_are_accepted(tiny_dir):
    config = tiny(tiny_dir, train_split="train[:20]", validation_split="train[20:]")
    assert open_source(config).class_names == ("a", "b", "c")


def test_a_split_that_holds_an_example_twice_is_refused(tiny_dir):
    config = tiny(tiny_dir, train_split="train[:9]+train[5:9]")
    got = "'train[:9]+train[5:9]'"
    with refused(data.DataError, "data.train_split", "once", got, 4):
        open_source(config)


# Features.


@pytest.mark.parametrize(
    ("builder_class", "feature"),
    [(Text, "text"), (Heights, "height"), (Deep, "image")],
)
def test_a_set_without_small_images_and_classes_is_refused(
    tmp_path, builder_class, feature
):
    name = prepare(builder_class, tmp_path)
    config = DataConfig(dataset=name, data_dir=str(tmp_path))
    with refused(data.DataError, f"data.dataset {name!r}", "8-bit", "label", feature):
        open_source(config)


@pytest.mark.parametrize("label", [3, -1, 12])
def test_a_label_outside_the_classes_is_refused(own_tiny_dir, label):
    file = files_of(own_tiny_dir)[1]
    examples = [
        tf.train.Example.FromString(record)
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    ]
    for example in examples[2:4]:
        example.features.feature["label"].int64_list.value[0] = label
    with tf.io.TFRecordWriter(str(file)) as writer:
        for example in examples:
            writer.write(example.SerializeToString())
    splits = {"train_split": "train[:29]", "validation_split": "train[29:]"}
    facts = ("'tiny'", "0 to 2", label, "'train[:29]'", "(2 ")
    with refused(data.DataError, *facts):
        read(tiny(own_tiny_dir, **splits))


# Sizes.


def test_images_of_different_sizes_need_image_size(tmp_path):
    config = DataConfig(dataset=prepare(Sizes, tmp_path), data_dir=str(tmp_path))
    with refused(data.DataError, "data.image_size = 96", "'sizes'", (None, None, 3)):
        open_source(config)


def test_images_of_one_colour_keep_it_at_any_size(tmp_path):
    name = prepare(Sizes, tmp_path)
    examples = read(DataConfig(dataset=name, data_dir=str(tmp_path), image_size=9))
    assert examples.inputs.shape == (27, 9, 9, 3)
    for i, image in enumerate(examples.inputs):
        assert np.unique(image.reshape(-1, 3), axis=0).tolist() == [[i, 100, 255]]


def triangles(size: int, new_size: int) -> np.ndarray:
    """Weights [new, old] of linear interpolation, widened where the image shrinks."""
    scale = max(size / new_size, 1)
    centres = (np.arange(new_size) + 0.5) * size / new_size
    distances = np.abs(centres[:, np.newaxis] - (np.arange(size) + 0.5))
    weights = np.maximum(1 - distances / scale, 0)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("image_size", [4, 8, 17])
def test_resizing_averages_over_what_a_pixel_covers(tmp_path, image_size):
    name = prepare(Random, tmp_path)
    examples = read(
        DataConfig(dataset=name, data_dir=str(tmp_path), image_size=image_size)
    )
    rows, columns = triangles(12, image_size), triangles(6, image_size)
    expected = np.stack(
        [np.einsum("ij,jkc,lk->ilc", rows, random_image(i), columns) for i in range(27)]
    )
    # Rounded to whole numbers; float32 may take a tie the other way.
    assert np.abs(examples.inputs - expected).max() < 0.5 + 1e-4


# Memory and classes.


@pytest.mark.parametrize(("image_size", "needed"), [(0, 36 * 60), (2, 36 * 12)])
def test_a_memory_budget_of_all_decoded_splits_is_enough(tiny_dir, image_size, needed):
    kinds = [
        type(
            read(tiny(tiny_dir, image_size=image_size, memory_budget_bytes=needed - i))
        )
        for i in (0, 1)
    ]
    assert kinds == [data.ArrayExamples, RecordExamples]


def test_excluded_labels_outside_the_classes_are_refused(tiny_dir):
    config = tiny(tiny_dir, exclude_labels=(1, 3, 7))
    with refused(data.DataError, "data.exclude_labels", "'tiny'", "0 to 2", [3, 7]):
        open_source(config)


def test_excluded_labels_leave_the_other_examples_with_their_ids(tiny_dir):
    examples = read(
        tiny(
            tiny_dir,
            train_split="train",
            validation_split="test[:3]",
            test_split="test[3:]",
        )
    )
    left = data.without_labels(examples, (0, 2))
    ids = [i for i, number in enumerate(records(tiny_dir)) if number % 3 == 1]
    assert left.ids.tolist() == ids
    assert left.labels.tolist() == [1] * 10
    np.testing.assert_array_equal(left.inputs, examples.inputs[ids])


def test_excluding_every_label_is_refused(tiny_dir):
    examples = read(tiny(tiny_dir))
    with refused(data.DataError, "data.exclude_labels", "all", [0, 1, 2]):
        data.without_labels(examples, (0, 1, 2))


# Damage.


def flip_a_bit(file: pathlib.Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncate(file: pathlib.Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def drop_the_last_record(file: pathlib.Path) -> None:
    *kept, _ = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in kept:
            writer.write(record)


def repeat_the_records(file: pathlib.Path) -> None:
    file.write_bytes(file.read_bytes() * 2)


def break_an_image(file: pathlib.Path) -> None:
    """Inside a record whose checksums are right."""
    content = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in content:
            writer.write(record.replace(b"IHDR", b"IHDX"))


DAMAGES = [
    flip_a_bit,
    truncate,
    drop_the_last_record,
    repeat_the_records,
    break_an_image,
    pathlib.Path.unlink,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_with_the_way_out(own_tiny_dir, damage):
    source = open_source(tiny(own_tiny_dir))
    damage(files_of(own_tiny_dir)[-1])
    message = refusal(lambda: source.read("train[3:]"), data.DataError)
    folder = f"{own_tiny_dir}/tiny/1.0.0"
    assert_states(message, "'train[3:]'", "'tiny'", folder, "damaged", "delete")
    # Free of names of the graph.
    assert re.findall(r"\n|function_node|\[Op:|Iterator::", message) == []


@pytest.mark.parametrize("damage", [truncate, pathlib.Path.unlink])
def test_a_damaged_description_is_refused_with_the_way_out(own_tiny_dir, damage):
    damage(own_tiny_dir / "tiny/1.0.0/dataset_info.json")
    with refused(data.DataError, "data.dataset", "'tiny'", own_tiny_dir):
        open_source(tiny(own_tiny_dir))


def test_a_missing_description_is_told_from_an_unknown_split(tfds_dir, tmp_path):
    folder = pathlib.Path(tfds_dir) / "mnist_mini"
    open_source(mini(tfds_dir))  # prepares it
    shutil.copytree(folder, tmp_path / "mnist_mini")
    (tmp_path / "mnist_mini/1.0.0/dataset_info.json").unlink()
    folder = f"{tmp_path}/mnist_mini/1.0.0"
    with refused(data.DataError, folder, "dataset_info.json", "delete"):
        open_source(mini(str(tmp_path)))
