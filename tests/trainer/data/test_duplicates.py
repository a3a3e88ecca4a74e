"""The same example in two splits or under two labels, told by content."""

import json
import re
import shutil

import numpy as np
import pytest
from etils import epath
from PIL import Image

from tests.helpers.messages import assert_states, refused
from tests.helpers.results import one_seed
from trainer import data
from trainer.config import DataConfig, UnlabeledConfig
from trainer.report import table

SPLITS = {
    "train_split": "train[:-4]",
    "validation_split": "train[-4:]",
    "test_split": "test",
}


def draw(folder, count, first):
    folder.mkdir(parents=True)
    for i in range(first, first + count):
        pixels = np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")


@pytest.fixture
def root(tmp_path):
    """10 images of each of two classes to train and select, 3 of each to test."""
    for i, name in enumerate("ab"):
        draw(tmp_path / "data" / "train" / name, 10, first=100 * i)
        draw(tmp_path / "data" / "test" / name, 3, first=100 * i + 50)
    return tmp_path / "data"


def told(root, **settings) -> str:
    lists = epath.Path(root.parent / "lists")
    section = DataConfig(
        dataset=f"folder:{root}", image_size=4, **{**SPLITS, **settings}
    )
    return data.duplicates(data.open_sources(section, lists))


def test_a_folder_without_duplicates_says_nothing(root):
    assert told(root) == ""


def test_files_of_one_content_are_counted_in_both_splits_with_an_example(root):
    whole = {"train_split": "train", "validation_split": "test[:2]"}
    for name in ("50", "51"):
        shutil.copy(root / "test/a" / f"{name}.png", root / "train/a" / f"c{name}.png")
    line = told(root, **whole, test_split="test[2:]")
    # Those of the two that the validation split has are told of it.
    counts = {"validation": 0, "test": 0}
    for part in line.split("; "):
        count, setting = re.search(
            r"\b(\d+) .*data\.(\w+)_split.*train_split", part
        ).groups()
        counts[setting] = int(count)
        number = part.split("train/a/c")[1].split(".")[0]
        copied = (f"test/a/{number}.png", f"train/a/c{number}.png")
        assert_states(part, "data.train_split 'train'", *copied)
    assert sum(counts.values()) == 2


def test_one_content_under_two_labels_is_counted_once(root):
    for i in range(2):
        shutil.copy(root / "train/a/0.png", root / f"train/b/also-{i}.png")
    shutil.copy(root / "train/a/1.png", root / "train/a/again.png")  # of one label
    line = told(
        root,
        train_split="train",
        validation_split="test[:2]",
        test_split="test[2:]",
    )
    assert "; " not in line
    assert re.search(r"\b1 .*labels .*train/a/0\.png .*train/b/also-[01]\.png", line)


def test_unlabelled_images_are_compared_with_what_selects_and_tests(root):
    shutil.copytree(root / "test" / "a", root.parent / "wild")
    unlabeled = UnlabeledConfig(dataset=f"folder:{root.parent / 'wild'}")
    line = told(root, unlabeled=unlabeled)
    assert_states(line, 3, "data.unlabeled.split 'train'", "data.test_split 'test'")
    assert "labels" not in line


def test_rows_in_memory_are_compared_where_they_are_read(tmp_path):
    rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    labels = np.arange(20) % 2
    copied, of_them = rows[[3, 3, 4]], labels[[3, 3, 4]]
    for name, x, y in (
        ("train", rows, labels),
        ("test", np.concatenate([copied, rows[:1]]), np.array([*of_them, 1])),
    ):
        np.savez(tmp_path / f"{name}.npz", x=x, label=y)
    section = DataConfig(
        dataset=f"npz:{tmp_path}",
        train_split="train[:-1]",
        validation_split="train[-1:]",
    )
    sources = data.open_sources(section, epath.Path(tmp_path / "lists"))
    assert data.duplicates(sources) == ""  # nothing is read for it
    line = data.duplicates(sources, lambda source, split: source.read(split))
    in_both = [int(x.split()[0]) for x in line.split(": ", 1)[1].split("; ")[:-1]]
    assert sum(in_both) == 4
    assert re.search(r"\b1 .*labels .*example (0 of|3 of test)", line.split("; ")[-1])


def test_the_comparison_of_a_report_tells_of_them():
    results = one_seed() | {"duplicates": "duplicates by content: 3 of x"}
    assert "\nduplicates by content: 3 of x\n" in table.render(results)


def test_a_damaged_checksum_names_the_list(root):
    told(root)
    path = root.parent / "lists" / "train.jsonl"
    first, *others = (json.loads(x) for x in path.read_text().splitlines())
    del first["list"]
    lines = [first | {"sha256": "no hex"}, *others]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with refused(data.DataError, "train.jsonl", "SHA-256", "--workdir"):
        told(root)
