"""Files and folders as users name them: ~, and paths from beside the config file."""

import pathlib

import pytest

from launch.kubernetes import trainer_config
from tests.helpers.configs import OF_DATASET
from tests.helpers.messages import assert_states, refusal, refused
from trainer import data, main
from trainer.config import (
    EvaluateView,
    from_resolved,
    load,
    places,
    resolve,
    without_run,
)
from trainer.config.class_folders import are_in
from trainer.predict import paths
from trainer.predict.images import ImageReader
from trainer.storage import files


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The home folder, beside which the working directory is."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("~/a", "{}/a"),
        ("~", "{}"),
        ("folder:~/a", "folder:{}/a"),
        ("csv:~/a.csv", "csv:{}/a.csv"),
        ("npz:~/a", "npz:{}/a"),
        ("sqlite:///~/a.db", "sqlite:///{}/a.db"),
        ("./~/a", "./~/a"),
        ("a~b/~", "a~b/~"),
        ("gs://bucket/~a", "gs://bucket/~a"),
        ("registry:digits@1", "registry:digits@1"),
        ("folder:a/~", "folder:a/~"),
        ("imagenet", "imagenet"),
        ("", ""),
    ],
)
def test_a_tilde_that_begins_a_path_is_the_home_folder(home, name, whole):
    assert places.expand_home(name) == whole.format(home)


def config_of(folder: pathlib.Path, dataset: str, *more: str):
    folder.mkdir(exist_ok=True)
    (folder / "run.toml").write_text(OF_DATASET.format(dataset=dataset))
    return load(str(folder / "run.toml"), more)


def test_settings_that_name_files_have_the_home_folder(home):
    settings = {
        "data.data_dir": "~/sets",
        "data.unlabeled.dataset": "folder:~/more",
        "teacher.weights": "~/teacher.keras",
        "student.weights": "~/student.keras",
        "distill.soft_targets_dir": "~/caches",
        "registry.root": "~/models",
        "predict.model": "~/model.keras",
        "sweep.storage": "sqlite:///~/trials.db",
    }
    more = [f"{path}='{value}'" for path, value in settings.items()]
    more += ["distill.soft_targets='cached'"]
    more += ["sweep.space={'distill.alpha'=[0.1, 0.9]}", "sweep.trials=2"]
    config = config_of(home, "folder:~/images", "data.image_size=8", *more)
    assert config.data.dataset == f"folder:{home}/images"
    found = resolve(config)
    for path, value in settings.items():
        section, *names = path.split(".")
        kept = found[section]
        for name in names:
            kept = kept[name]
        assert kept == value.replace("~", str(home)), path


def test_so_have_those_of_a_saved_model_a_kept_config_and_no_run(home):
    saved = "teacher={model='saved', options={path='~/t.keras', input='zero_to_one'}}"
    config = config_of(home, "mnist_mini", saved)
    assert config.teacher.options.path == f"{home}/t.keras"
    override = "predict.model='~/m.keras'"
    again = from_resolved(resolve(config), [override], kept_in="config.json")
    assert again.predict.model == without_run([override]).predict.model
    assert again.predict.model == f"{home}/m.keras"


def test_a_config_in_the_home_folder_is_found(home):
    config_of(home, "mnist_mini")
    assert load("~/run.toml").name == "small"
    words = ["python", "-m", "trainer", "run", "--config=~/run.toml"]
    assert trainer_config.config_file(words) == home / "run.toml"


def test_flags_and_words_that_name_files_have_the_home_folder(home, capsys):
    assert str(files.path_of("~/runs/a", setting="--workdir")) == f"{home}/runs/a"
    (home / "one.png").write_bytes(b"")
    (home / "many").mkdir()
    (home / "many" / "two.png").write_bytes(b"")
    reader = ImageReader(shape=(1, 1, 3), view=EvaluateView(), background=None)
    found, _ = paths.list_files(["~/one.png", "~/many"], reader)
    assert found == [f"{home}/one.png", f"{home}/many/two.png"]
    assert main.main(["trainer", "config", "--config=~/none.toml"]) == 2
    facts = ("--workdir", "'~nobody-at-all/a'", "./~nobody-at-all/a")
    with refused(files.StorageError, *facts):
        files.path_of("~nobody-at-all/a", setting="--workdir")


# Beside the config file.


BASE = "working directory"  # from which relative paths start


@pytest.fixture
def configs(home, tmp_path):
    """A folder of configs and data, which is not the working directory."""
    (tmp_path / "configs" / "images" / "cat").mkdir(parents=True)
    (tmp_path / "configs" / "rows.csv").write_text("x,label\n1,a\n")
    (tmp_path / "configs" / "model.keras").write_text("")
    return tmp_path / "configs"


@pytest.mark.parametrize(
    ("dataset", "there"),
    [
        ("folder:images", "../configs/images"),
        ("csv:rows.csv", "../configs/rows.csv"),
    ],
)
def test_what_is_beside_the_config_file_is_named(configs, tmp_path, dataset, there):
    size = ["data.image_size=8"] if dataset.startswith("folder:") else []
    config = config_of(configs, dataset, *size)
    name = dataset.partition(":")[2]
    with refused(data.DataError, "data.dataset", f"'{name}'", BASE, there):
        data.open_source(config.data, tmp_path / "lists")


def test_a_watch_does_not_wait_for_what_is_beside_the_config_file(configs, tmp_path):
    for name, is_told in (("images", True), ("to-come", False)):
        more = [f"data.unlabeled.dataset='folder:{name}'"]
        config = config_of(configs, "mnist_mini", *more)
        if is_told:
            with refused(data.DataError, "data.unlabeled.dataset", "../configs/images"):
                data.find_new_files(config.data, tmp_path / "lists")
        else:
            assert data.find_new_files(config.data, tmp_path / "lists") == {}


def test_what_is_nowhere_is_not(configs, tmp_path):
    config = config_of(configs, "csv:none.csv")
    lists = tmp_path / "lists"
    message = refusal(lambda: data.open_source(config.data, lists), data.DataError)
    assert_states(message, "data.dataset", "'none.csv'", BASE)
    assert "../" not in message


# Whose images lie in class folders.


@pytest.mark.parametrize(
    ("files_there", "is_so"),
    [
        (["cat/1.png", "dog/1.png"], True),
        (["cat/1.JPG"], True),
        (["train/cat/1.png", "test/cat/1.png"], False),
        (["1.png", "2.png"], False),
        (["train/1.png", "test/1.png"], False),
        (["train/1.png", "bus/1.png"], False),
        (["cat/notes.txt"], False),
        (["@eaDir/1.jpg", "train/cat/1.png"], False),
        ([".cache/1.jpg", "cat/._1.png"], False),
        ([], False),
    ],
)
def test_class_folders_are_told_from_splits(tmp_path, files_there, is_so):
    for name in files_there:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert are_in(str(tmp_path)) is is_so
