"""The commands around a run, word for word as BUILD.md has them, on a smaller run."""

import re
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.helpers.pages import undrawn
from tests.helpers.repository import REPOSITORY
from trainer import exit_codes, main
from trainer.data import mnist_mini

# In the place of configs/mnist_mini.toml.
CONFIG = """
name = "mnist_mini"
seeds = [0]

[data]
dataset = "mnist_mini"
data_dir = "{tfds_dir}"
train_split = "train[:2000]"
validation_split = "train[9000:]"
test_split = "test"

[teacher]
model = "mlp"
options.hidden_sizes = [32]
train = {{global_batch_size = 48, epochs = 2}}

[student]
model = "mlp"
options.hidden_sizes = [16]
train = {{global_batch_size = 48, epochs = 6, learning_rate = 5e-3}}
"""
AROUND = {
    *("sweep", "predict", "report", "export", "watch"),
    *(f"registry {act}" for act in ("register", "list", "show", "promote", "compare")),
}


def taught() -> list[tuple[list[list[str]], list[str]]]:
    """Blocks of commands around a run: their words, and the lines they print."""
    text = (REPOSITORY / "BUILD.md").read_text().replace("\\\n", " ")
    pattern = r"^```\n(.*?)^```\n(?:\n((?:    [^\n]*\n)+))?"
    found = []
    for block, printed in re.findall(pattern, text, flags=re.S | re.M):
        commands = [shlex.split(line) for line in block.splitlines()]
        commands = [words[2:] for words in commands if words[1:3] == ["-m", "trainer"]]
        if commands and kind(commands[0]) in AROUND:
            found.append((commands, printed.splitlines()))
    return found


def kind(words: list[str]) -> str:
    """The command, and what it does of several; "" of a report of one run."""
    if words[1] == "report" and words[2].startswith("--"):
        return ""
    return " ".join(words[1:3]) if words[1] == "registry" else words[1]


def shape(line: str) -> str:
    """A line but for its figures, and what they make of its gaps."""
    return re.sub(r"\s+", " ", re.sub(r"\d[\d.,]*(e-?\d+)?", "#", line)).strip()


def draw(folder, indices: range) -> None:
    """Test digits, each in a file."""
    folder.mkdir(parents=True)
    with np.load(mnist_mini.ARRAYS) as arrays:
        images = arrays["test_images"]
    for i in indices:
        Image.fromarray(images[i].reshape(28, 28)).save(folder / f"{i}.png")


@pytest.mark.slow
def test_each_command_around_a_run_does_what_build_md_shows(
    tmp_path, tfds_dir, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    config = tmp_path / "configs" / "mnist_mini.toml"
    config.write_text(CONFIG.format(tfds_dir=tfds_dir))
    draw(tmp_path / "runs" / "digits", range(3))
    (tmp_path / "runs" / "digits" / "bad.png").write_text("no image")
    draw(tmp_path / "runs" / "inbox", range(4))
    run = ["trainer", "run", f"--config={config}", "--workdir=runs/mnist_mini"]
    with undrawn():
        assert main.main(run) == exit_codes.DONE
    shutil.copytree("runs/mnist_mini", "runs/mine")
    blocks = taught()
    assert {kind(words) for commands, _ in blocks for words in commands} == AROUND
    for commands, shown in blocks:
        capsys.readouterr()
        for words in commands:
            leaves_out = words[1] == "predict"  # bad.png
            expected = exit_codes.CHECK_FAILED if leaves_out else exit_codes.DONE
            assert main.main(words) == expected, capsys.readouterr().err
        out, err = capsys.readouterr()
        told = {shape(line) for line in (out + err).splitlines()}
        assert shown
        assert [line for line in shown if shape(line) not in told] == [], out + err
