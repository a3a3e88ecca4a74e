"""Datasets of a Python program: what stands in the config for them."""

import numpy as np
import pytest

import trainer
from tests.helpers.messages import refused
from trainer.api import datasets
from trainer.config import ConfigError

PAIR = (np.zeros((10, 4), np.float32), np.arange(10) % 2)


@pytest.mark.parametrize(
    ("parts", "splits"),
    [
        ((None, None), ("train[:80%]", "train[80%:90%]", "train[90%:]")),
        ((PAIR, None), ("train[:90%]", "validation", "train[90%:]")),
        ((None, PAIR), ("train[:90%]", "train[90%:]", "test")),
        ((PAIR, PAIR), ("train", "validation", "test")),
    ],
)
def test_parts_that_are_not_given_are_carved_and_told(parts, splits, capsys):
    found = datasets.describe(PAIR, *parts, None)
    section = datasets.place({"image_size": 8}, found)
    names = ("train_split", "validation_split", "test_split")
    assert section == {
        "dataset": "memory:",
        "image_size": 8,
        **dict(zip(names, splits, strict=True)),
    }
    assert found.given.train is PAIR
    told = capsys.readouterr().err
    carved = [split for split in splits if "[" in split]
    assert all(split in told for split in carved)
    assert bool(told) == bool(carved)


def test_splits_of_the_config_win():
    found = datasets.describe(PAIR, None, None, None)
    section = datasets.place({"train_split": "train[:50%]"}, found)
    assert section["train_split"] == "train[:50%]"
    assert section["test_split"] == "train[90%:]"


def test_a_name_and_a_whole_dataset_stand_alone():
    assert datasets.describe("csv:rows.csv", None, None, None).section == {
        "dataset": "csv:rows.csv"
    }
    whole = trainer.GivenData(train=PAIR, test=PAIR, columns=("x", "y"))
    found = datasets.describe(whole, None, None, None)
    assert found.given is whole
    assert found.section["test_split"] == "test"
    of_dict = datasets.describe({"train": PAIR, "test": PAIR}, None, None, None)
    assert of_dict.given == trainer.GivenData(train=PAIR, test=PAIR)
    of_items = datasets.describe({"train": PAIR}, None, None, ("x", "y"))
    assert of_items.given == trainer.GivenData(train=PAIR, columns=("x", "y"))


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (("csv:rows.csv", PAIR, None, None), ("validation", "csv:rows.csv")),
        ((trainer.GivenData(train=PAIR), None, PAIR, None), ("test", "whole dataset")),
        (({"train": PAIR}, PAIR, None, None), ("validation", "whole dataset")),
        (
            ({"train": PAIR, "extra": PAIR}, None, None, None),
            ("'extra'", "class_names"),
        ),
    ],
)
def test_parts_beside_a_whole_dataset_are_refused(arguments, facts):
    with refused(ConfigError, *facts):
        datasets.describe(*arguments)


def test_a_dataset_of_the_config_beside_one_that_is_given_is_refused():
    found = datasets.describe(PAIR, None, None, None)
    with refused(ConfigError, "data.dataset", "'mnist_mini'"):
        datasets.place({"dataset": "mnist_mini"}, found)
