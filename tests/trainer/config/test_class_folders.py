"""Names of folders that are splits, or of nobody, and never classes."""

import pytest

from trainer.config import class_folders


@pytest.mark.parametrize(
    "names",
    [
        ["train", "test"],
        ["training", "testing", "validation"],
        ["train_images", "test_images"],
        ["training_set", "test_set", "val_set"],
        ["Train Images", "Test Images"],
        ["images_train", "images_test"],
        ["trainA", "testA", "trainB", "testB"],
        ["train2017", "val2017"],
        ["training_data", "evaluation"],
        ["train", "holdout"],
        ["unlabeled_data", "train_data"],
    ],
)
def test_names_of_splits(names):
    assert class_folders.like_splits(names) == sorted(names)


@pytest.mark.parametrize("name", ["trainer", "tests", "evening", "set", "a", "B"])
def test_names_of_classes(name):
    assert class_folders.like_splits([name]) == []
    assert class_folders.is_visible(name)


@pytest.mark.parametrize(
    "name", ["@eaDir", ".git", "__MACOSX", "~snapshot", "FOUND.000", "@tmp"]
)
def test_what_systems_leave_is_as_if_it_were_not_there(name):
    assert not class_folders.is_visible(name)
