"""`python -m trainer init`: a first config by a look at the data."""

import csv
import pathlib
import re
import sys
import tomllib

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from tests.helpers import tfds_sets
from tests.helpers.examinations import examine
from tests.helpers.messages import assert_states
from trainer import config, main


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> pathlib.Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*words: str) -> int:
    return main.main(["trainer", "init", *words])


def draw(folder: pathlib.Path, *classes: str, count: int, size=(20, 24)) -> None:
    """Images of one shade each, another in each class."""
    for shade, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = np.full((*size, 3), 100 * shade + i, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


def write_rows(file: str, *, num_rows: int = 120) -> None:
    """Rows with their number, two features, a text, and a class in the last column."""
    with open(file, "w", newline="") as rows:
        writer = csv.writer(rows)
        writer.writerow(["id", "length", "width", "town", "kind"])
        for i in range(num_rows):
            kind = ("setosa", "virginica")[i % 2]
            writer.writerow([i + 1, i % 7 + i % 2, i % 5 / 2, f"town{i % 3}", kind])


def test_a_folder_gets_a_config_and_is_told_what_to_run(folder, capsys):
    draw(folder / "pets", "cat", "dog", count=20)
    assert init("pets/") == 0
    out = capsys.readouterr().out
    assert_states(out, "40 images", "2 classes", "cat, dog", "pets.toml")
    assert "python -m trainer run --config=pets.toml --workdir=runs/pets" in out
    settings = config.load("pets.toml", [])
    assert (settings.name, settings.data.dataset) == ("pets", "folder:pets")
    assert settings.data.image_size == 20
    assert settings.data.test_split == "train[90%:]"
    text = (folder / "pets.toml").read_text()
    assert_states(text, "train (40)", "20 x 24 pixels", "40 images")
    assert max(map(len, text.splitlines())) <= 88


def test_the_installed_command_writes_of_itself(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/opt/bin/alambic"])
    write_rows("flowers.csv")
    assert init("flowers.csv") == 0
    told = capsys.readouterr().out + (folder / "flowers.toml").read_text()
    assert "alambic run --config=flowers.toml" in told
    assert "alambic config --config=FILE" in told.replace("\n# ", " ")
    assert "python -m" not in told.replace("\n# ", " ")


def test_the_splits_of_a_folder_and_files_that_stop_a_run_are_told(folder):
    for split, count in {"train": 30, "validation": 4, "test": 5}.items():
        draw(folder / "pets" / split, "cat", "dog", count=count)
    (folder / "pets" / "test" / "cat" / "notes.txt").write_text("")
    (folder / "pets" / "train" / "dog" / "0.png").write_bytes(b"no image")
    assert init("folder:pets", "--config=new/mine.toml") == 0
    data = config.load("new/mine.toml", []).data
    assert (data.validation_split, data.test_split) == ("validation", "test")
    assert data.skip_corrupt
    text = (folder / "new" / "mine.toml").read_text()
    assert_states(text, "other kinds in class folders: 1")


@pytest.mark.parametrize(
    ("classes", "facts"),
    [
        (["cat"], ["'folder:pets'", "two classes", "cat"]),
        ([""], ["'folder:pets'", "PATH/CLASS/"]),
    ],
)
def test_a_folder_without_classes_gets_none(folder, classes, facts, capsys):
    draw(folder, *(f"pets/{name}" for name in classes), count=3)
    assert init("pets") == 2
    assert_states(capsys.readouterr().err, *facts)
    assert not (folder / "pets.toml").exists()


def test_photos_get_a_pretrained_teacher(folder):
    draw(folder / "pets", "cat", "dog", count=3, size=(200, 260))
    assert init("pets") == 0
    settings = config.load("pets.toml", [])
    assert settings.data.image_size == 192
    text = (folder / "pets.toml").read_text()
    assert_states(text, "200 x 260 pixels", 'evaluate_view = "center_crop"')
    assert settings.teacher.weights == "imagenet"
    assert settings.student.model == "squeezenet"


def test_a_table_is_read_but_for_its_row_numbers_and_texts(folder, capsys):
    write_rows("flowers.csv")
    assert init("flowers.csv") == 0
    assert_states(capsys.readouterr().out, "120 rows of 2 numbers", "setosa, virginica")
    data = config.load("flowers.toml", []).data
    assert data.dataset == "csv:flowers.csv"
    assert data.label_column == "kind"
    assert data.feature_columns == ("length", "width")
    text = (folder / "flowers.toml").read_text()
    assert_states(text, "'id' (row numbers)", "'town' (texts)")


def test_arrays_are_features_as_they_are(folder):
    rng = np.random.default_rng(0)
    (folder / "rows").mkdir()
    for split, count in {"train": 60, "test": 20}.items():
        x, label = rng.normal(size=(count, 3)), np.arange(count) % 4
        np.savez(folder / "rows" / f"{split}.npz", x=x, Class=label, unit="mm")
    assert init("rows") == 0
    text = (folder / "rows.toml").read_text()
    settings = tomllib.loads(text)["data"]
    assert settings["dataset"] == "npz:rows"
    assert settings["label_column"] == "Class"
    assert settings["test_split"] == "test"
    assert settings["feature_columns"] == ["x"]


def test_a_table_of_texts_alone_gets_none(folder, capsys):
    (folder / "files.csv").write_text("path,label\na.png,cat\nb.png,dog\n")
    assert init("files.csv") == 2
    assert_states(capsys.readouterr().err, "'csv:files.csv'", "'path'", "list:FILE.csv")


def test_a_list_of_images_is_looked_at_as_their_folder_is(folder, capsys):
    draw(folder / "pets", "cat", "dog", count=3, size=(40, 40))
    paths = sorted((folder / "pets").rglob("*.*"))
    rows = [f"{path.relative_to(folder)},{path.parent.name}" for path in paths]
    (folder / "files.csv").write_text("\n".join(["path,kind", *rows]))
    assert init("list:files.csv") == 2
    assert_states(capsys.readouterr().err, "files.csv", "label", "data.label_column")
    assert init("list:files.csv", "--set=data.label_column='kind'") == 0
    assert_states(capsys.readouterr().out, "6 images in 2 classes", "cat, dog")
    data = config.load("files.toml", []).data
    assert (data.dataset, data.label_column) == ("list:files.csv", "kind")
    assert data.image_size == 40


@pytest.mark.parametrize(
    ("more", "facts"),
    [
        ([], ["data.label_column", "'csv:rows.csv'", "'a', 'b'", "--set"]),
        (["--set=data.label_column='b'"], ["data.label_column 'b'", "regression"]),
        (["--set=data.label_column='c'"], ["data.label_column", "'c'", "'a', 'b'"]),
    ],
)
def test_a_table_whose_labels_are_not_found_or_no_classes_gets_none(
    folder, more, facts, capsys
):
    lines = [f"{i % 5},{i / 7}" for i in range(50)]
    (folder / "rows.csv").write_text("\n".join(["a,b", *lines]))
    assert init("rows.csv", *more) == 2
    assert_states(capsys.readouterr().err, *facts)
    assert not (folder / "rows.toml").exists()


def test_a_bundled_set_is_looked_at_by_its_name(folder, tfds_dir):
    words = [f"--set=data.data_dir='{tfds_dir}'", "--set=student.train.steps=7"]
    assert init("mnist_mini", *words) == 0
    settings = config.load("mnist_mini.toml", [])
    assert settings.data.data_dir == tfds_dir
    assert settings.data.validation_split == "train[90%:]"
    train = settings.student.train
    assert (train.steps, train.epochs) == (7, 0)
    assert settings.teacher.train.global_batch_size == 128
    assert settings.teacher.train.epochs == 27  # 240,000 examples of 9,000


class Mixed(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Images of two sizes; those of the split test have no labels."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["a", "b"]),
        }
        return tfds_sets.info(self, features, supervised_keys=("image", "label"))

    def _split_generators(self, dl_manager):
        names = ("train", "validation", "test")
        return {name: self._generate_examples(name) for name in names}

    def _generate_examples(self, split):
        for i in range(20):
            image = np.full((36 + i % 2, 50, 3), i, np.uint8)
            yield i, {"image": image, "label": -1 if split == "test" else i % 2}


@pytest.mark.slow
def test_a_set_without_labels_in_a_split_and_of_mixed_sizes(folder):
    name = tfds_sets.prepare(Mixed, folder / "sets")
    assert init(name, f"--set=data.data_dir='{folder / 'sets'}'") == 0
    data = config.load("mixed.toml", []).data
    assert (data.train_split, data.test_split) == ("train[:90%]", "validation")
    assert data.image_size == 32
    text = (folder / "mixed.toml").read_text()
    assert_states(text, "Without labels: test", "36 to 37 pixels high")
    assert init("sets/mixed/1.0.0", "--config=prepared.toml") == 0
    data = config.load("prepared.toml", []).data
    assert (data.dataset, data.image_size) == ("tfds:sets/mixed/1.0.0", 32)


@pytest.mark.slow
def test_doctor_passes_what_is_written(folder, tfds_dir):
    draw(folder / "pets", "cat", "dog", count=20)
    write_rows("flowers.csv")
    for word in ("pets", "flowers.csv", "mnist_mini"):
        assert init(word, f"--set=data.data_dir='{tfds_dir}'") == 0
    for name in ("pets", "flowers", "mnist_mini"):
        code, findings = examine(folder / f"{name}.toml", folder / name / "w")
        assert code == 0, findings


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (["absent_set"], ["data.dataset", "'absent_set'"]),
        (["folder:absent"], ["'absent'", "not there"]),
        (["list:rows.csv"], ["rows.csv", "path and label", "'town'"]),
        (["tfrecord:rows*"], ["'tfrecord:rows*'", "TFDS name", "list:FILE.csv"]),
        (["mine.data:digits"], ["'mine.data:digits'", "TFDS name"]),
        (["rows.csv", "--set=student.widht=1"], ["student.widht", "'weights'"]),
        (["rows.csv", "--config=rows.csv"], ["--config", "'rows.csv'", "there"]),
        (["rows.csv", "--set=student"], ["--set", "'student'"]),
        (["rows.csv", "--set=data=5"], ["data", "section", 5]),
        (["rows.csv", "--set=data.label_column=5"], ["data.label_column", 5]),
        (
            ["rows.csv", "--set=data.feature_columns=['a']"],
            ["data.feature_columns", "'a'"],
        ),
        ([], ["DATASET", "none", "init --help"]),
        (["rows.csv", "more"], ["DATASET"]),
    ],
)
def test_what_cannot_be_used_writes_nothing(folder, words, facts, capsys):
    write_rows("rows.csv", num_rows=20)
    assert init(*words) == 2
    assert_states(capsys.readouterr().err, *facts)
    assert [path.name for path in folder.iterdir()] == ["rows.csv"]


def test_a_file_that_is_there_stays(folder, capsys):
    write_rows("rows.csv")
    assert init("rows.csv") == 0
    before = (folder / "rows.toml").read_bytes()
    assert init("rows.csv", "--set=student.options.hidden_sizes=[8]") == 2
    assert_states(capsys.readouterr().err, "--config", "'rows.toml'")
    assert (folder / "rows.toml").read_bytes() == before
    assert re.search(rb"hidden_sizes = \[16\]", before)
