"""Relations between settings of the data section, and with those of a training."""

import re

import pytest

from trainer.config import ConfigError, differences, load, resolve

TEXT = """\
name = "small"

[data]
dataset = "{dataset}"

[teacher]
model = "mlp"

[teacher.train]
global_batch_size = 96
epochs = 2

[student]
model = "mlp"

[student.train]
global_batch_size = 96
steps = 30
"""


def loaded(folder, dataset, *overrides):
    path = folder / "run.toml"
    path.write_text(TEXT.format(dataset=dataset))
    return load(str(path), overrides)


@pytest.mark.parametrize(
    ("dataset", "overrides"),
    [
        ("mnist_mini", ("data.augment='shift'",)),
        ("folder:a", ("data.image_size=96", "data.skip_corrupt=true")),
        ("csv:a", ("data.label_column='y'", "data.feature_columns=['a', 'b']")),
        ("npz:a", ("teacher.train.augment='none'",)),
        ("folder:a", ("data.image_size=96", "data.memory_budget_bytes=0")),
        ("mnist_mini", ("data.unlabeled.dataset='mnist'",)),
        (
            "mnist_mini",
            ("data.unlabeled.dataset='folder:a'", "data.skip_corrupt=true"),
        ),
    ],
)
def test_settings_of_the_kind_of_dataset_are_accepted(tmp_path, dataset, overrides):
    assert loaded(tmp_path, dataset, *overrides).data.dataset == dataset


@pytest.mark.parametrize(
    ("dataset", "override", "words"),
    [
        ("folder:a", "data.augment='none'", "data.image_size must be set"),
        ("folder:a", "data.image_size=0", "data.image_size must be set"),
        ("csv:a", "data.image_size=8", "data.image_size must be 0"),
        ("npz:a", "data.image_size=8", "data.image_size must be 0"),
        ("mnist_mini", "data.background='grey'", 'must be "white", "black", [red,'),
        ("mnist_mini", "data.background=[0, 0]", "data.background must be"),
        ("mnist_mini", "data.background=[0, 0, 256]", "data.background must be"),
        ("mnist_mini", "data.background=[0, 0, true]", "data.background must be"),
        ("mnist_mini", "data.background=[0, 0, 1.0]", "data.background must be"),
        ("mnist_mini", "data.background=7", "data.background must be"),
        ("mnist_mini", "predict.background='grey'", "predict.background must be"),
        ("csv:a", "data.augment='shift'", "data.augment must be 'none'"),
        ("csv:a", "student.train.augment='shift'", "student.train.augment must be"),
        ("npz:a", "teacher.train.augment='shift'", "teacher.train.augment must be"),
        ("csv:a", "data.skip_corrupt=true", "data.skip_corrupt must be false"),
        ("mnist_mini", "data.skip_corrupt=true", "data.skip_corrupt must be false"),
        ("mnist_mini", "data.feature_columns=['a']", "data.feature_columns must be"),
        ("csv:a", "data.unlabeled.dataset='b'", "[data.unlabeled] must be absent for"),
        (
            "mnist_mini",
            "data.unlabeled.dataset='npz:a'",
            "data.unlabeled.dataset must be a TensorFlow Datasets name or 'folder:",
        ),
        ("mnist_mini", "data.unlabeled.split='train'", "unlabeled.dataset is missing"),
        ("mnist_mini", "data.unlabeled='a'", "data.unlabeled must be a section"),
        ("csv:a", "data.label_column=''", "data.label_column must be other than empty"),
        (
            "csv:a",
            "data.memory_budget_bytes=-1",
            "memory_budget_bytes must be between 0",
        ),
    ],
)
def test_settings_of_another_kind_are_refused(tmp_path, dataset, override, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        loaded(tmp_path, dataset, override)


def test_a_folder_without_labels_may_move_but_not_change_its_split(tmp_path):
    a, b, other, none = (
        resolve(loaded(tmp_path, "mnist_mini", *overrides))
        for overrides in (
            ["data.unlabeled.dataset='folder:/a'"],
            ["data.unlabeled.dataset='folder:/b'"],
            ["data.unlabeled={dataset='folder:/a', split='test'}"],
            [],
        )
    )
    assert differences(a, b) == []
    assert differences(a, other) == ["data.unlabeled.split: 'train' -> 'test'"]
    assert differences(a, none) == [
        "data.unlabeled.dataset: 'folder:' -> 'absent'",
        "data.unlabeled.split: 'train' -> 'absent'",
    ]
