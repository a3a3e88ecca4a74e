"""Objects that look like datasets and are none, or not as they seem."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from tests.helpers.messages import refused
from trainer import data
from trainer.config import DataConfig

COUNT = 90
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 6, 5, 3), np.uint8)
LABELS = np.arange(COUNT) % 3


def opened(part, *, class_names=None, **parts):
    splits = {f"{name}_split": name for name in ("train", *parts)} if parts else {}
    return data.open_source(
        DataConfig(dataset="memory:", **splits),
        epath.Path("/nowhere"),
        may_write=False,
        given=data.GivenData(train=part, class_names=class_names, **parts),
    )


class Items:
    def __init__(self, length=COUNT, images=IMAGES, labels=LABELS):
        self.length, self.images, self.labels = length, images, labels

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        return self.images[i], self.labels[i]


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 9

    def __getitem__(self, i):
        rows = slice(10 * i, 10 * i + 10)
        return IMAGES[rows], LABELS[rows]


@pytest.mark.parametrize(
    ("part", "facts"),
    [
        (Batches(), ("Batches", "batches", "tf.data.Dataset")),
        (Items(length=-1), ("finite length", "__len__")),
        (Items(length=float("inf")), ("finite length", "'float'")),
        ((np.zeros((COUNT, 0, 5, 3), np.uint8), LABELS), ("[0, 5, 3]",)),
    ],
)
def test_what_only_looks_like_a_dataset_is_refused(part, facts):
    with refused(data.DataError, "data.dataset 'memory:'", *facts):
        opened(part)


def test_labels_that_number_something_else_need_the_classes_named():
    labels = 100 * LABELS
    with refused(data.DataError, "'memory:'", 3, 200, "class_names"):
        opened((IMAGES, labels))
    names = [f"class {i}" for i in range(201)]
    assert len(opened((IMAGES, labels), class_names=names).class_names) == 201
    assert len(opened((IMAGES, 2 * LABELS + 1)).class_names) == 6


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_class_that_train_has_no_example_of_needs_the_classes_named(part):
    parts = {"validation": (IMAGES, LABELS), "test": (IMAGES, LABELS)}
    parts[part] = (IMAGES, np.where(np.arange(COUNT) == 80, 3, LABELS))
    facts = (f"labels of {part}", "of train", "0 to 2", "got 3", "class_names")
    with refused(data.DataError, "'memory:'", *facts):
        opened((IMAGES, LABELS), **parts)
    names = ("a", "b", "c", "d")
    source = opened((IMAGES, LABELS), class_names=names, **parts)
    assert source.class_names == names
    assert opened((IMAGES, LABELS + 1), **parts).class_names == ("0", "1", "2", "3")


KINDS = {
    "arrays": lambda x, y: (x, y),
    "items": lambda x, y: Items(len(y), x, y),
    "tf.data": lambda x, y: tf.data.Dataset.from_tensor_slices((x, y)),
    "batches": lambda x, y: tf.data.Dataset.from_tensor_slices((x, y)).batch(32),
}


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [7, 130, 299])
def test_a_refused_example_has_its_number_in_the_users_data(
    tmp_path, kind, number, is_streamed
):
    images, labels = np.zeros((300, 4, 5, 1), np.float32), np.arange(300) % 3
    settings = DataConfig(
        dataset="memory:", memory_budget_bytes=1000 if is_streamed else 10**6
    )

    def read(images, labels):
        data.open_source(
            settings,
            epath.Path(tmp_path / "index"),
            may_write=True,
            given=data.GivenData(train=KINDS[kind](images, labels)),
        )

    broken = images.copy()
    broken[number, 2, 3] = np.nan
    with refused(data.DataError, f"example {number} at [2, 3, 0]", "nan"):
        read(broken, labels)
    wide = images.astype(np.int16)
    wide[number, 1, 4] = 256
    with refused(data.DataError, f"example {number} at [1, 4, 0]", 256):
        read(wide, labels)
    numbers = labels.copy()
    numbers[number] = 1000002
    with refused(data.DataError, f"example {number};", 1000002, "0 to 100000"):
        read(images, numbers)
