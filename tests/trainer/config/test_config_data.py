"""Relations between settings of the data section, and with those of a training."""

import pytest

from tests.helpers.configs import OF_DATASET
from tests.helpers.messages import refused
from trainer.config import ConfigError, differences, load, resolve


def loaded(folder, dataset, *overrides):
    path = folder / "run.toml"
    path.write_text(OF_DATASET.format(dataset=dataset))
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
        ("mnist_mini", ("data.image_size=32", "data.evaluate_view='center_crop'")),
        (
            "list:a.csv",
            (
                *("data.image_size=96", "data.verify='ends'", "data.keep='files'"),
                *("data.evaluate_view='center_crop'", "data.center_crop=1.0"),
            ),
        ),
        (
            "mnist_mini",
            (
                *("data.unlabeled.dataset='folder:a'", "data.verify='decode'"),
                *("data.keep='pixels'", "data.evaluate_view='center_crop'"),
            ),
        ),
        (
            "mnist_mini",
            ("data.unlabeled.dataset='folder:a'", "data.skip_corrupt=true"),
        ),
    ],
)
def test_settings_of_the_kind_of_dataset_are_accepted(tmp_path, dataset, overrides):
    assert loaded(tmp_path, dataset, *overrides).data.dataset == dataset


COLOURS = ("'white', 'black', 'ignore'", "[red, green, blue]", 0, 255)


@pytest.mark.parametrize(
    ("dataset", "override", "facts"),
    [
        ("folder:a", "data.image_size=0", ("data.image_size = 96", "'folder:a'")),
        ("csv:a", "data.image_size=8", ("'csv:a'", 0, 8)),
        ("npz:a", "data.image_size=8", ("'npz:a'", 0, 8)),
        *(
            (
                *("mnist_mini", f"{section}.background={value}"),
                (f"{section}.background", *facts),
            )
            for section, value, *facts in (
                ("data", "'grey'", *COLOURS, "'grey'"),
                ("data", "[0, 0]", "[red, green, blue]", [0, 0]),
                ("data", "[0, 0, 256]", "[2]", 0, 255, 256),
                ("data", "[0, 0, true]", "[2]", "whole number", True),
                ("data", "[0, 0, 1.5]", "[2]", "whole number", 1.5),
                ("data", "7", *COLOURS, 7),
                ("predict", "'grey'", *COLOURS, "'grey'"),
            )
        ),
        ("csv:a", "data.augment='shift'", ("'csv:a'", "'none'", "'shift'")),
        ("csv:a", "student.train.augment='shift'", ("'csv:a'", "'none'", "'shift'")),
        ("npz:a", "teacher.train.augment='shift'", ("'npz:a'", "'none'", "'shift'")),
        ("csv:a", "data.skip_corrupt=true", ("'csv:a'", "false", "true")),
        ("mnist_mini", "data.skip_corrupt=true", ("'mnist_mini'", "false", "true")),
        ("mnist_mini", "data.verify='ends'", ("'mnist_mini'", "'auto'", "'ends'")),
        ("mnist_mini", "data.keep='files'", ("data.image_size", "'auto'", "'files'")),
        ("csv:a", "data.keep='pixels'", ("'csv:a'", "'auto'", "'pixels'")),
        (
            *("mnist_mini", "data.evaluate_view='center_crop'"),
            ("data.image_size", "'squash'", "'center_crop'"),
        ),
        ("csv:a", "data.evaluate_view='center_crop'", ("'csv:a'", "'squash'")),
        ("csv:a", "data.center_crop=0.5", ("data.evaluate_view", 0.875, 0.5)),
        ("csv:a", "data.center_crop=0.0", ("above 0", 0.0)),
        ("mnist_mini", "data.feature_columns=['a']", ("'mnist_mini'", ["a"])),
        ("mnist_mini", "data.unlabeled.dataset='npz:a'", ("'folder:PATH'", "'npz:a'")),
        ("mnist_mini", "data.unlabeled='a'", ("section", "'a'", "[data.unlabeled]")),
        ("csv:a", "data.label_column=''", ("empty", "''")),
        ("csv:a", "data.memory_budget_bytes=-1", (0, 2**60, -1)),
        ("csv:a", "data.num_threads=2", ("'csv:a'", 0, 2)),
        ("mnist_mini", "data.num_threads=1025", (0, 1024, 1025)),
        ("csv:a", "data.read_parts=2", ("'csv:a'", 0, 2)),
        (
            *("npz:a", "data.shuffle_window_bytes=1000"),
            ("'npz:a'", 512 * 2**20, 1000),
        ),
    ],
)
def test_settings_of_another_kind_are_refused(tmp_path, dataset, override, facts):
    with refused(ConfigError, override.partition("=")[0], *facts):
        loaded(tmp_path, dataset, override)


@pytest.mark.parametrize(
    ("dataset", "override", "facts"),
    [
        ("folder:a", "data.augment='none'", ("data.image_size", "'folder:a'")),
        ("csv:a", "data.unlabeled.dataset='b'", ("[data.unlabeled]", "'csv:a'", "'b'")),
        (
            *("mnist_mini", "data.unlabeled.split='train'"),
            ("missing", "--set=data.unlabeled.dataset=VALUE"),
        ),
    ],
)
def test_what_goes_with_a_setting_is_named(tmp_path, dataset, override, facts):
    with refused(ConfigError, *facts):
        loaded(tmp_path, dataset, override)


@pytest.mark.parametrize(
    ("dataset", "more"),
    [
        ("folder:a", []),
        ("list:a.csv", []),
        # Sets that are joined are in memory, or both in folders.
        ("mnist_mini", ["data.unlabeled.dataset='folder:b'"]),
    ],
)
def test_only_record_files_are_read_in_parts_and_windows(tmp_path, dataset, more):
    sized = ["data.image_size=8", *more]
    for override in ("data.read_parts=2", "data.shuffle_window_bytes=1000"):
        name, _, value = override.partition("=")
        with refused(ConfigError, name, dataset, value):
            loaded(tmp_path, dataset, *sized, override)
        assert loaded(tmp_path, "mnist_mini", override).data
    # Images are decoded wherever they are.
    threads = loaded(tmp_path, dataset, *sized, "data.num_threads=1024").data
    assert threads.num_threads == 1024


def test_the_host_may_change_but_not_the_order_of_records(tmp_path):
    host = ("data.num_threads=3", "data.shuffle_window_bytes=1000")
    for dataset, size, own, changed in (
        ("mnist_mini", 0, host, ["data.shuffle_window_bytes: 536870912 -> 1000"]),
        ("folder:a", 96, host[:1], []),
    ):
        sized = [f"data.image_size={size}"]
        before, after = (
            resolve(loaded(tmp_path, dataset, *sized, *more)) for more in ((), own)
        )
        assert differences(before, after) == changed
        # Earlier versions had none of these.
        for name in ("num_threads", "shuffle_window_bytes", "evaluate_view"):
            del before["data"][name]
        assert differences(before, after) == changed
    verified = resolve(loaded(tmp_path, "folder:a", *sized, "data.verify='ends'"))
    assert differences(before, verified) == []
    view = resolve(
        loaded(tmp_path, "folder:a", *sized, "data.evaluate_view='center_crop'")
    )
    assert differences(before, view) == [
        "data.evaluate_view: 'squash' -> 'center_crop'"
    ]


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


CROPPED = "student.train.augment='inception_crop'"


@pytest.mark.parametrize(
    ("augment", "keep", "is_another"),
    [
        ("data.augment='crop_flip'", "pixels", False),
        (CROPPED, "files", False),
        (CROPPED, "pixels", True),
    ],
)
def test_crops_of_files_are_others_than_those_of_pixels(
    tmp_path, augment, keep, is_another
):
    settings = ["data.image_size=8", augment]
    auto, kept = (
        loaded(tmp_path, "folder:a", *settings, *more)
        for more in ([], [f"data.keep='{keep}'"])
    )
    assert bool(differences(resolve(auto), resolve(kept))) == is_another
    # "auto" is "files" where a training begins with a crop.
    assert auto.kept_data.keep == ("files" if augment == CROPPED else "auto")
    assert kept.kept_data.keep == keep


def test_images_that_join_others_in_memory_stay_there(tmp_path):
    joined = ["data.unlabeled.dataset='cifar100'", "data.image_size=8", CROPPED]
    assert loaded(tmp_path, "cifar10", *joined).kept_data.keep == "auto"
