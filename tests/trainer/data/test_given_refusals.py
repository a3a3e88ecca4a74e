"""Objects that look like datasets and are none, or not as they seem."""

import keras
import numpy as np
import pytest
from etils import epath

from tests.helpers.messages import refused
from trainer import data
from trainer.config import DataConfig

COUNT = 90
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 6, 5, 3), np.uint8)
LABELS = np.arange(COUNT) % 3


def opened(part, *, class_names=None):
    return data.open_source(
        DataConfig(dataset="memory:"),
        epath.Path("/nowhere"),
        may_write=False,
        given=data.GivenData(train=part, class_names=class_names),
    )


class Items:
    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        return IMAGES[i], LABELS[i]


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
