"""The page docs/quickstart.md, word for word, as its reader types it."""

import importlib
import json
import re
import shlex
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.helpers import documents, pages
from trainer import exit_codes, main
from trainer.data import mnist_mini

PAGE = "docs/quickstart.md"
# A training of seconds; what init writes is for one of minutes.
SHORT = (
    *("--set=seeds=[0]", "--set=student.train.epochs=3"),
    "--set=evaluate.inference_times=false",
)
SHORT_TEACHER = ("--set=teacher.train.epochs=4", "--set=teacher.options.filters=[16]")


def typed(command: str) -> list[list[str]]:
    """The command lines of the page on photos that begin with a word."""
    blocks = documents.blocks(PAGE, "")
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    found = [shlex.split(line)[2:] for line in lines if "photos" in line]
    return [words for words in found if words[1] == command]


def act(words: list[str]) -> None:
    with pages.undrawn():
        assert main.main(words) == exit_codes.DONE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a reader: images, and a teacher that Keras has trained."""
    folder = tmp_path_factory.mktemp("reader")
    with np.load(mnist_mini.ARRAYS) as arrays:
        images, labels = arrays["train_images"], arrays["train_labels"]
    chosen, new = np.split(np.flatnonzero(labels < 2)[:320], [300])
    places = [f"photos/{('cat', 'dog')[label]}" for label in labels[chosen]]
    places += ["new_photos"] * len(new)
    for i, place in zip([*chosen, *new], places, strict=True):
        (folder / place).mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[i].reshape(28, 28)).save(folder / place / f"{i}.png")
    teacher = keras.Sequential(
        [
            keras.Input((28, 28, 3)),  # grey files are read as RGB
            keras.layers.Flatten(),
            keras.layers.Dense(2, "softmax"),
        ]
    )
    teacher.compile("adam", "sparse_categorical_crossentropy")
    colours = np.repeat(images[chosen] / 255.0, 3, axis=-1)
    teacher.fit(colours, labels[chosen], epochs=8, verbose=0)
    teacher.save(folder / "teacher.keras")
    return folder


@pytest.mark.slow
def test_a_reader_gets_from_images_to_their_classes(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    [init] = typed("init")
    act(init)
    first, own_teacher, _ = typed("run")
    act([*first, *SHORT, *SHORT_TEACHER])
    act([*own_teacher, *SHORT])
    for name in ("photos", "mine"):
        results = json.loads((folder / "runs" / name / "results.json").read_text())
        assert results["models"]["student"]["test"]["accuracy"] > 0.9, name
    [predict] = typed("predict")
    act(predict)
    lines = (folder / "classes.csv").read_text().splitlines()
    assert len(lines) == 1 + len(list((folder / "new_photos").iterdir()))
    # A run that is over prints its table.
    capsys.readouterr()
    act([*first, *SHORT, *SHORT_TEACHER])
    assert re.search("^verdict: ", capsys.readouterr().out, flags=re.M)


def test_the_loss_of_the_page_is_taken_and_is_right(tmp_path, monkeypatch, capsys):
    [source] = documents.blocks(PAGE, "python")
    (tmp_path / "own.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    squared = importlib.import_module("own").squared
    values = squared(tf.constant([[1.0, 2.0]]), tf.constant([[4.0, 0.0]]))
    np.testing.assert_allclose(values, [(9 + 4) / 2])
    [setting] = [word for word in typed("run")[2] if "own:squared" in word]
    taken = ["trainer", "config", "--config=mnist_mini", setting]
    assert main.main(taken) == exit_codes.DONE
    [term] = json.loads(capsys.readouterr().out)["distill"]["terms"]
    assert (term["loss"], term["weight"]) == ("own:squared", 0.1)


@pytest.mark.parametrize("page", [PAGE, "README.md"])
def test_pages_show_what_the_demo_printed(page):
    kept = documents.text("configs/results/demo/README.md").splitlines()
    [shown] = [b for b in documents.blocks(page, "") if b.startswith("model ")]
    lines = shown.splitlines()
    assert len(lines) == 8
    assert set(lines) - set(kept) == {"report: runs/demo/report/index.html"}
