"""The bundled dataset: what its file holds, how TFDS prepares it, where it is from."""

import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from trainer.data import mnist_mini
from trainer.data.mnist_mini import draw

PER_CLASS = {"train": 1000, "test": 200}
SPLITS = tuple(PER_CLASS)


@pytest.fixture(scope="module")
def arrays():
    with np.load(mnist_mini.ARRAYS) as file:
        return dict(file)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("tfds")
    builder = tfds.builder("mnist_mini", data_dir=data_dir)
    builder.download_and_prepare()
    return builder


@pytest.fixture(scope="module")
def mnist_dir():
    """The TFDS directory of a prepared MNIST, which most machines do not have."""
    root = os.environ.get("TFDS_DATA_DIR", "")
    if not root or not (pathlib.Path(root) / "mnist" / "3.0.1").is_dir():
        pytest.skip("TFDS_DATA_DIR names no directory with a prepared mnist 3.0.1")
    return root


def records_in_file_order(data_dir, split):
    """Images and labels as the record files hold them, read without TFDS."""
    files = sorted(
        map(str, pathlib.Path(data_dir).glob(f"mnist/3.0.1/mnist-{split}.tfrecord*"))
    )
    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }
    records = tf.data.TFRecordDataset(files).batch(100_000).get_single_element()
    examples = tf.io.parse_example(records, features)
    return examples["image"].numpy(), examples["label"].numpy()


def test_file_is_at_most_3_megabytes():
    assert mnist_mini.ARRAYS.stat().st_size <= 3_000_000


@pytest.mark.parametrize("split", SPLITS)
def test_every_class_has_the_same_number_of_images(arrays, split):
    assert np.bincount(arrays[f"{split}_labels"]).tolist() == [PER_CLASS[split]] * 10


@pytest.mark.parametrize("split", SPLITS)
def test_shapes_and_types(arrays, split):
    count = 10 * PER_CLASS[split]
    for name, shape, dtype in (
        ("images", (count, 28, 28, 1), np.uint8),
        ("labels", (count,), np.uint8),
        ("source_ids", (count,), np.int32),
    ):
        array = arrays[f"{split}_{name}"]
        assert (array.shape, array.dtype) == (shape, dtype), name


@pytest.mark.parametrize(
    ("split", "source_size"), [("train", 60_000), ("test", 10_000)]
)
def test_source_ids_are_places_in_mnist_and_increase(arrays, split, source_size):
    ids = arrays[f"{split}_source_ids"]
    assert (np.diff(ids) > 0).all()
    assert ids[0] >= 0
    assert ids[-1] < source_size


@pytest.mark.parametrize("split", SPLITS)
def test_tfds_holds_the_arrays_in_their_order(arrays, prepared, split):
    dataset = prepared.as_dataset(split=split, batch_size=-1, shuffle_files=False)
    np.testing.assert_array_equal(dataset["image"], arrays[f"{split}_images"])
    np.testing.assert_array_equal(dataset["label"], arrays[f"{split}_labels"])


def test_prepared_dataset_describes_itself(prepared):
    assert str(prepared.version) == "1.0.0"
    assert prepared.info.supervised_keys == ("image", "label")
    assert prepared.info.features["image"].shape == (28, 28, 1)
    assert prepared.info.features["label"].names == list("0123456789")
    assert {
        name: split.num_examples for name, split in prepared.info.splits.items()
    } == {
        "train": 10_000,
        "test": 2_000,
    }


@pytest.mark.parametrize("split", SPLITS)
def test_the_rule_draws_these_examples_from_mnist(arrays, mnist_dir, split):
    images, labels = records_in_file_order(mnist_dir, split)
    k = PER_CLASS[split]
    ids = []
    for digit in range(10):
        places = [place for place, label in enumerate(labels) if label == digit]
        ids += [places[j * len(places) // k] for j in range(k)]
    ids.sort()
    decoded = np.stack([tf.io.decode_png(image) for image in images[ids]])
    np.testing.assert_array_equal(arrays[f"{split}_source_ids"], ids)
    np.testing.assert_array_equal(arrays[f"{split}_labels"], labels[ids])
    np.testing.assert_array_equal(arrays[f"{split}_images"], decoded)


def test_drawing_again_writes_the_same_bytes(mnist_dir, tmp_path):
    path = tmp_path / "again.npz"
    draw.draw(mnist_dir, path)
    assert path.read_bytes() == mnist_mini.ARRAYS.read_bytes()
