"""Folders of images: layouts, splits, the kept lists, and what is refused."""

import errno
import hashlib
import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.helpers.configs import OF_DATASET
from tests.helpers.messages import assert_states, refused
from trainer import data
from trainer.config import ConfigError, DataConfig, load, recorded_settings
from trainer.data.folder import FolderSource, open_folder
from trainer.storage import files, workdir

SIZE = 8
SUFFIXES = ("png", "JPG", "jpeg", "webp")


def write_image(path: pathlib.Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((9, 5, 3), shade, np.uint8)).save(path)


def write_classes(folder: pathlib.Path, counts: dict[str, int], first: int = 0) -> None:
    """Images of one shade, counted up through all classes, in names of their class."""
    shade = first
    for name, count in counts.items():
        for _ in range(count):
            suffix = SUFFIXES[shade % len(SUFFIXES)]
            write_image(folder / name / f"{shade}.{suffix}", shade)
            shade += 1


@pytest.fixture
def root(tmp_path):
    """PATH/SPLIT/CLASS: 12 + 8 training images, 4 + 2 test images."""
    folder = tmp_path / "pets"
    write_classes(folder / "train", {"cat": 12, "dog": 8})
    write_classes(folder / "test", {"cat": 4, "dog": 2}, first=100)
    return folder


@pytest.fixture
def lists(tmp_path):
    return tmp_path / "workdir"


def config(root: pathlib.Path, **settings: object) -> DataConfig:
    splits = {
        "train_split": "train[:80%]",
        "validation_split": "train[80%:]",
        "test_split": "test",
    }
    return DataConfig(
        dataset=f"folder:{root}", image_size=SIZE, **{**splits, **settings}
    )


ENDINGS = ".jpg, .jpeg, .png, .webp"
ONE_SPLIT = {"validation_split": "train[80%:90%]", "test_split": "train[90%:]"}


def kept(lists: pathlib.Path, split: str = "train") -> list[dict[str, object]]:
    text = (lists / f"{split}.jsonl").read_text()
    found = [json.loads(line) for line in text.splitlines()]
    del found[0]["list"]  # the checksum of all
    return found


def shade_of(path: str) -> int:
    return int(pathlib.Path(path).stem)


# Layouts.


def test_a_folder_of_splits_and_classes(root, lists):
    source = data.open_source(config(root), lists)
    assert source.class_names == ("cat", "dog")
    assert source.input_shape == (SIZE, SIZE, 3)
    examples = source.read("train")
    assert (len(examples), len(source.read("test"))) == (20, 6)
    shades = examples.inputs[:, 0, 0, 0].astype(int)
    assert (np.abs(np.sort(shades) - np.arange(20)) <= 1).all()  # JPEG may round
    np.testing.assert_array_equal(examples.labels, shades >= 12)


def test_a_folder_of_classes_is_one_split(root, lists):
    source = data.open_source(config(root / "train", **ONE_SPLIT), lists)
    sizes = [len(source.read(s)) for s in ("train[:80%]", "train[80%:]", "train")]
    assert sizes == [16, 4, 20]


def test_a_flat_folder_has_no_labels(root, lists):
    settings = config(root / "train" / "cat", **ONE_SPLIT)
    source = open_folder(settings, lists)
    assert source.class_names == ()
    assert source.read("train").labels.tolist() == [-1] * 12


# Folders as people and systems leave them.


def test_what_systems_leave_is_no_class(root, lists):
    for place in ("", "train", "train/cat"):
        for name in ("@eaDir", "__MACOSX", "lost+found", "$RECYCLE.BIN", "#recycle"):
            write_image(root / place / name / "thumb.jpg", 7)
    for name in ("desktop.ini", "Thumbs.db"):
        (root / "train/cat" / name).write_text("[ViewState]")
    source = data.open_source(config(root), lists)
    assert source.class_names == ("cat", "dog")
    assert len(source.read("train")) == 20


@pytest.mark.parametrize(
    "names", [("train", "test"), ("Training", "val_2"), ("train", "test", "extra")]
)
def test_splits_without_classes_are_no_classes(tmp_path, lists, names):
    write_classes(tmp_path / "flat", dict.fromkeys(names, 20))
    settings = config(tmp_path / "flat", **ONE_SPLIT)
    found = ", ".join(sorted(set(names) - {"extra"}))
    with refused(data.DataError, "PATH/SPLIT/CLASS/", "PATH/CLASS/", found):
        data.open_source(settings, lists)


def test_a_class_may_be_called_like_a_split(tmp_path, lists):
    write_classes(tmp_path / "traffic", {"bus": 20, "train": 20})
    write_classes(tmp_path / "study" / "train", {"control": 20, "test": 20, "val": 20})
    for folder, classes in (
        ("traffic", ("bus", "train")),
        ("study", ("control", "test", "val")),
    ):
        settings = config(tmp_path / folder, **ONE_SPLIT)
        source = data.open_source(settings, lists / folder)
        assert source.class_names == classes


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def test_names_are_compared_in_one_form_of_unicode(tmp_path, lists):
    write_classes(tmp_path / "pets/train", {DECOMPOSED: 10, "cafz": 10})
    write_classes(tmp_path / "pets/test", {COMPOSED: 3, "cafz": 2})
    source = data.open_source(config(tmp_path / "pets"), lists)
    assert source.class_names == ("cafz", COMPOSED)
    assert np.bincount(source.read("test").labels).tolist() == [2, 3]


def test_classes_of_an_earlier_list_keep_their_order(tmp_path, lists):
    write_classes(tmp_path / "pets/train", {DECOMPOSED: 10, "cafz": 10})
    write_classes(tmp_path / "pets/test", {COMPOSED: 3, "cafz": 2})
    data.open_source(config(tmp_path / "pets"), lists)
    path = lists / "train.jsonl"
    lines = kept(lists)  # an earlier version had no checksum of all
    for line in lines:
        line["class"] = line["class"].replace(COMPOSED, DECOMPOSED)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    source = data.open_source(config(tmp_path / "pets"), lists)
    assert source.class_names == (DECOMPOSED, "cafz")
    assert np.bincount(source.read("test").labels).tolist() == [3, 2]
    assert np.bincount(source.read("train").labels).tolist() == [10, 10]


@pytest.mark.parametrize("name", ["my train", "train.2024"])
def test_a_split_that_cannot_be_written_is_to_be_renamed(tmp_path, lists, name):
    write_classes(tmp_path / "pets" / name, {"cat": 10, "dog": 10})
    settings = DataConfig(
        dataset=f"folder:{tmp_path}/pets",
        image_size=SIZE,
        train_split=f"{name}[:70%]",
        validation_split=f"{name}[70%:85%]",
        test_split=f"{name}[85%:]",
    )
    with refused(data.DataError, "data.train_split", "rename", f"'{name}'"):
        data.open_source(settings, lists)


# Splits that nobody set.


def test_a_folder_of_classes_works_without_splits(tmp_path, lists):
    write_classes(tmp_path / "pets", {"cat": 42, "dog": 8})
    settings = DataConfig(dataset=f"folder:{tmp_path}/pets", image_size=SIZE)
    assert list(settings.splits.values()) == [
        "train[:80%]",
        "train[80%:90%]",
        "train[90%:]",
    ]
    source = data.open_source(settings, lists)
    assert [len(source.read(split)) for split in settings.splits.values()] == [40, 5, 5]
    assert_states(source.description, 1, 10, "dog 8")


@pytest.mark.parametrize(
    ("folder", "settings"),
    [
        ("pets", {}),  # which has split folders
        ("pets/train", {"train_split": "train[:90%]"}),
        ("pets/train", {"test_split": "test"}),
        ("nowhere", {}),
    ],
)
def test_the_splits_are_the_usual_ones_elsewhere(root, folder, settings):
    chosen = DataConfig(
        dataset=f"folder:{root.parent}/{folder}", image_size=SIZE, **settings
    )
    found = list(chosen.splits.values())
    assert found == ["train[:90%]", "train[90%:]", "test"]


def test_a_run_that_misses_its_folder_of_classes_is_told_so(tmp_path):
    write_classes(tmp_path / "pets", {"cat": 2, "dog": 2})
    file = tmp_path / "run.toml"
    file.write_text(OF_DATASET.format(dataset=f"folder:{tmp_path}/pets"))
    size = ["data.image_size=8"]
    config = load(str(file), size)
    path = tmp_path / "workdir"
    (path / "teacher").mkdir(parents=True)
    (path / "teacher" / "model.keras").write_text("")
    files.write_json(path / "config.json", recorded_settings(config))
    workdir.check(path, load(str(file), size))
    (tmp_path / "pets").rename(tmp_path / "away")
    with refused(ConfigError, f"{tmp_path}/pets", "data.test_split", "splits"):
        workdir.check(path, load(str(file), size))


@pytest.mark.parametrize(
    ("folder", "found"), [("train/cat", "class folders"), ("one", "cat")]
)
def test_a_run_needs_two_classes(root, lists, folder, found):
    write_classes(root / "one", {"cat": 12})
    with refused(data.DataError, f"'folder:{root}/{folder}'", "two classes", found):
        data.open_source(config(root / folder, **ONE_SPLIT), lists)


def test_files_outside_class_folders_and_hidden_files_are_ignored(root, lists):
    for name in (
        *("README.md", "train/LICENSE", "train/cat/.DS_Store", "train/dog/Thumbs.db"),
        *(".git/config", "train/.cache/1.png", "train/cat/._0.png"),
    ):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("no image")
    assert len(data.open_source(config(root), lists).read("train")) == 20


# Splits, order and ids.


def test_ids_are_the_lines_of_the_kept_list(root, lists):
    source = data.open_source(config(root), lists)
    examples = source.read("train[80%:]+test")
    lines = kept(lists)[16:] + kept(lists, "test")
    assert examples.ids.tolist() == [*range(16, 20), *range(6)]
    shades = [shade_of(line["path"]) for line in lines]
    assert np.abs(examples.inputs[:, 0, 0, 0].astype(int) - shades).max() <= 1
    labels = [source.class_names.index(line["class"]) for line in lines]
    assert examples.labels.tolist() == labels


def test_a_line_tells_what_there_is_to_tell_of_a_file(root, lists):
    data.open_source(config(root), lists)
    for line in kept(lists):
        contents = (root / line["path"]).read_bytes()
        assert line == {
            "path": line["path"],
            "bytes": len(contents),
            "sha256": hashlib.sha256(contents).hexdigest(),
            "class": line["path"].split("/")[1],
            "state": "example",
            "changed_nsec": (root / line["path"]).stat().st_mtime_ns,
            "background": "opaque",
            "height": 9,
            "width": 5,
        }


def test_a_stretch_of_a_folder_sorted_by_class_is_a_fair_sample(tmp_path, lists):
    write_classes(tmp_path / "sorted", {"a": 100, "b": 100})
    settings = config(tmp_path / "sorted", **ONE_SPLIT)
    labels = data.open_source(settings, lists).read("train[:50%]").labels
    # Of a random half, 50 with a standard deviation of 3.5.
    assert 35 < labels.sum() < 65


def test_the_order_does_not_depend_on_what_is_beside_a_file(root, lists, tmp_path):
    data.open_source(config(root), lists)
    write_image(root / "train/cat/new.png", 0)
    data.open_source(config(root), tmp_path / "other")
    before = [line["path"] for line in kept(lists)]
    after = [line["path"] for line in kept(tmp_path / "other")]
    assert [path for path in after if path != "train/cat/new.png"] == before


def test_only_splits_in_use_are_read(root, lists):
    (root / "extra" / "cow").mkdir(parents=True)
    (root / "extra" / "cow" / "1.png").write_text("no image")
    data.open_source(config(root), lists)
    assert sorted(p.stem for p in lists.rglob("*.jsonl")) == ["test", "train"]


def test_an_unknown_split_is_refused_with_the_known_ones(root, lists):
    settings = config(root, test_split="tset")
    with refused(data.DataError, "data.test_split", "'tset'", "known: test, train"):
        data.open_source(settings, lists)


def test_overlapping_splits_are_refused_before_a_list_is_written(root, lists):
    settings = config(root, validation_split="train[:10]")
    splits = ("data.validation_split 'train[:10]'", "data.train_split 'train[:80%]'")
    with refused(data.DataError, *splits, 10):
        data.open_source(settings, lists)
    assert not lists.exists()


# A kept list is the truth.


def test_a_kept_list_holds_where_files_were_added(root, lists):
    before = data.open_source(config(root), lists).read("train")
    write_image(root / "train/cat/new.png", 0)
    source = data.open_source(config(root), lists)
    np.testing.assert_array_equal(source.read("train").inputs, before.inputs)
    assert_states(source.description, 1, "newer")


def test_a_kept_list_holds_in_another_order(root, lists):
    data.open_source(config(root), lists)
    path = lists / "train.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(reversed(lines)) + "\n")
    examples = data.open_source(config(root), lists).read("train")
    shades = [shade_of(json.loads(line)["path"]) for line in reversed(lines)]
    assert np.abs(examples.inputs[:, 0, 0, 0].astype(int) - shades).max() <= 1


def test_a_folder_may_move_with_its_list(root, lists, tmp_path):
    before = data.open_source(config(root), lists).read("train")
    root.rename(tmp_path / "moved")
    after = data.open_source(config(tmp_path / "moved"), lists).read("train")
    np.testing.assert_array_equal(after.inputs, before.inputs)


def grow(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def with_flipped_end(path: pathlib.Path, *, keep_time: bool = False) -> None:
    """Another content of the same size, as a tool that edits in place leaves it."""
    time = path.stat().st_mtime_ns
    contents = path.read_bytes()
    path.write_bytes(contents[:-1] + bytes([contents[-1] ^ 1]))
    kept_time = time if keep_time else time + 10**9
    os.utime(path, ns=(kept_time, kept_time))


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        (pathlib.Path.unlink, (os.strerror(errno.ENOENT),)),
        (grow, ("{new}", "{old}")),
        (with_flipped_end, ("content",)),
    ],
)
def test_a_listed_file_that_changed_is_refused(root, lists, change, reasons):
    data.open_source(config(root), lists)
    path = root / kept(lists)[7]["path"]
    old = path.stat().st_size
    change(path)
    told = [reason.format(old=old, new=old + 1) for reason in reasons]
    with refused(data.DataError, path, f"{lists}/train.jsonl", *told):
        data.open_source(config(root), lists)


def test_files_that_were_written_again_are_read_once(root, lists):
    data.open_source(config(root), lists)
    before = kept(lists)
    path = root / before[7]["path"]
    os.utime(path, ns=(10**18, 10**18))
    # The other workers read the chief's list, and may read another disk.
    data.open_source(config(root), lists, may_write=False)
    assert kept(lists) == before
    data.open_source(config(root), lists)
    before[7]["changed_nsec"] = 10**18
    assert kept(lists) == before
    # Nobody reads it again, so this is not seen.
    with_flipped_end(path, keep_time=True)
    data.open_source(config(root), lists)


def test_a_list_without_times_is_read_as_before(root, lists):
    data.open_source(config(root), lists)
    lines = kept(lists)
    for line in lines:
        del line["changed_nsec"]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (lists / "train.jsonl").write_text(text)
    with_flipped_end(root / lines[7]["path"])
    data.open_source(config(root), lists)
    assert (lists / "train.jsonl").read_text() == text


@pytest.mark.parametrize("text", ["", "{", "[1]\n", '{"path": "a"}\n', "7\n"])
def test_a_damaged_list_is_refused(root, lists, text):
    data.open_source(config(root), lists)
    (lists / "train.jsonl").write_text(text)
    with refused(data.DataError, f"{lists}/train.jsonl, line 1", "--workdir"):
        data.open_source(config(root), lists)


def test_odd_names_survive_the_list(root, lists):
    for name in ('a "quoted" name', "tab\tand\nline", "umlaut \u00e4\u2028end", "a,b"):
        write_image(root / "train/cat" / f"{name}.png", 7)
    before = data.open_source(config(root), lists).read("train")
    after = data.open_source(config(root), lists).read("train")
    np.testing.assert_array_equal(after.inputs, before.inputs)
    assert len(after) == 24


# Bad input.


def truncate(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def empty(path: pathlib.Path) -> None:
    path.write_bytes(b"")


def replace_by_text(path: pathlib.Path) -> None:
    path.write_text("a cat")


DAMAGES = (truncate, empty, replace_by_text)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["0.png", "1.JPG", "3.webp"])
def test_a_damaged_image_is_refused_by_name(root, lists, damage, name):
    damage(root / "train/cat" / name)
    kinds = ("JPEG", "PNG", "WebP")
    hint = "data.skip_corrupt = true"
    with refused(data.DataError, f"{root}/train/cat/{name}", *kinds, 1, hint):
        data.open_source(config(root), lists)
    assert not lists.exists()


def test_a_damaged_image_is_told_with_one_list_of_kinds(root, lists):
    for number, name in enumerate(("0.png", "3.webp"), start=1):
        replace_by_text(root / "train/cat" / name)
        with pytest.raises(data.DataError) as caught:
            data.open_source(config(root), lists)
        told = str(caught.value)
        assert "GIF" not in told  # which TensorFlow decodes, and no run takes
        assert told.count("JPEG") == 1
        assert ("1 such file)", "2 such files)")[number - 1] in told


def test_damaged_images_are_set_aside_where_that_is_asked_for(root, lists):
    whole = data.open_source(config(root), lists / "whole").read("train")
    for damage, name in zip(DAMAGES, ("0.png", "13.JPG", "3.webp"), strict=True):
        damage(next(root.glob(f"train/*/{name}")))
    settings = config(root, skip_corrupt=True)
    for _ in range(2):  # the list is made, and kept
        source = data.open_source(settings, lists)
        examples = source.read("train")
        bad = [i for i, line in enumerate(kept(lists)) if line["state"] != "example"]
        assert len(bad) == 3
        # The others have the ids that they have without the damage.
        np.testing.assert_array_equal(examples.ids, np.delete(np.arange(20), bad))
        np.testing.assert_array_equal(
            examples.inputs, np.delete(whole.inputs, bad, axis=0)
        )
        assert source.num_set_aside == 3
        assert_states(source.description, "3 damaged")
    with refused(data.DataError, "data.skip_corrupt = true", 3):
        data.open_source(config(root), lists)


def test_other_files_are_set_aside_where_that_is_asked_for(root, lists):
    whole = data.open_source(config(root), lists / "whole").read("train")
    (root / "train" / "cat" / "notes.txt").write_text("text")
    source = data.open_source(config(root, skip_corrupt=True), lists)
    np.testing.assert_array_equal(source.read("train").ids, whole.ids)
    assert_states(source.description, 1, "other kinds")


def test_a_split_of_damaged_images_only_is_refused(root, lists):
    for path in root.glob("test/*/*"):
        empty(path)
    settings = config(root, skip_corrupt=True)
    with refused(data.DataError, "'test'", f"'folder:{root}'"):
        data.open_source(settings, lists)


@pytest.mark.parametrize("name", ["train/cat/notes.txt", "test/dog/a/b.gif"])
def test_another_file_in_a_class_folder_is_refused(root, lists, name):
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("no image")
    with refused(data.DataError, f"{root}/{name}", ENDINGS, 1, "data.skip_corrupt"):
        data.open_source(config(root), lists)


@pytest.mark.parametrize("name", ["train/cow", "test/empty"])
def test_a_class_folder_without_images_is_refused(root, lists, name):
    (root / name).mkdir()
    with refused(data.DataError, f"{root}/{name}", ENDINGS, "class", "none"):
        data.open_source(config(root), lists)


@pytest.mark.parametrize("name", ["a.png", "train/a.png", "train/cat/a/b.png"])
def test_images_at_different_depths_are_refused_with_one_of_each(root, lists, name):
    write_image(root / name, 0)
    with refused(data.DataError, "SPLIT/CLASS/", "CLASS/", name, "test/cat/100.png"):
        data.open_source(config(root), lists)


def test_classes_that_differ_between_splits_are_listed_both_ways(root, lists):
    write_classes(root / "train", {"cow": 1})
    write_classes(root / "test", {"Dog": 1, "emu": 1})
    with refused(data.DataError, "train: cow", "test: Dog, emu"):
        data.open_source(config(root), lists)


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_a_folder_that_is_not_there_is_refused(tmp_path, lists, name):
    (tmp_path / "file").write_text("")
    with refused(data.DataError, "data.dataset", "'folder:'", f"'{tmp_path}/{name}'"):
        data.open_source(config(tmp_path / name), lists)


def test_a_folder_without_images_is_refused(tmp_path, lists):
    (tmp_path / "README.md").write_text("no image")
    with refused(data.DataError, tmp_path, ENDINGS, "none", "data.dataset"):
        data.open_source(config(tmp_path), lists)


def test_a_file_that_cannot_be_read_is_refused_by_name(root, lists):
    # Root reads whatever permissions say, but follows no link to nowhere.
    (root / "train/cat/link.png").symlink_to("nowhere.png")
    reason = os.strerror(errno.ENOENT)
    with refused(data.DataError, f"{root}/train/cat/link.png", reason):
        data.open_source(config(root), lists)


def test_a_name_that_is_no_text_is_refused(root, lists):
    os.rename(root / "train/cat/0.png", os.fsencode(root) + b"/train/cat/\xff.png")
    with refused(data.DataError, root, "UTF-8", "0xff"):
        data.open_source(config(root), lists)


# Memory.


@pytest.mark.parametrize(("missing", "place"), [(0, "in memory"), (1, "decoded")])
def test_a_source_describes_itself(root, lists, missing, place):
    needed = 26 * SIZE * SIZE * 3
    settings = config(root, memory_budget_bytes=needed - missing)
    source = data.open_source(settings, lists)
    sizes = ("16 + 4 + 6", "2 classes", "8 x 8 x 3", "0.0 MB")
    assert_states(source.description, f"folder:{root}", *sizes, place)
    in_memory = isinstance(source.read("train"), data.ArrayExamples)
    assert in_memory == (not missing)


def test_a_folder_in_another_file_system(root, lists):
    """TensorFlow's own file system in memory stands for a bucket."""
    for path in root.rglob("*.*"):
        copy = f"ram://pets/{path.relative_to(root)}"
        tf.io.gfile.makedirs(os.path.dirname(copy))
        with tf.io.gfile.GFile(copy, "wb") as file:
            file.write(path.read_bytes())
    local = data.open_source(config(root), lists).read("train")
    settings = config(root, memory_budget_bytes=0)
    settings = DataConfig(**{**vars(settings), "dataset": "folder:ram://pets"})
    source = data.open_source(settings, lists / "ram")
    assert isinstance(source, FolderSource)
    images = source.read("train").read(np.arange(20))
    np.testing.assert_array_equal(images, local.inputs)
