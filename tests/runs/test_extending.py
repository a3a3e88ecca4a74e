"""The loss, model, dataset and command of docs/extending.md, in a run of their own."""

import json
import re
import shutil
import sys

import pytest

from tests.helpers import documents, whole_run
from tests.helpers.repository import REPOSITORY
from trainer import commands, exit_codes, main

PAGE = "docs/extending.md"


def parts(file: str) -> list[str]:
    """The blocks of the page that make up a file of Python."""
    blocks = documents.blocks(PAGE, "python")
    return [block for block in blocks if block.startswith(f"# {file}\n")]


@pytest.mark.slow
def test_a_loss_a_model_and_a_dataset_of_ones_own_make_a_run(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text("\n\n".join(parts("own.py")))
    [toml] = documents.blocks(PAGE, "toml")
    (tmp_path / "own.toml").write_text(toml)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    settings = ("--set=evaluate.inference_times=false",)
    code, out, err = whole_run.do(
        "run", tmp_path / "own.toml", tmp_path / "run", *settings
    )
    assert code == exit_codes.DONE, err
    models = json.loads((tmp_path / "run" / "results.json").read_text())["models"]
    assert models["teacher"]["test"]["accuracy"] > 0.9
    # Two inputs, four units, two classes.
    assert models["student"]["parameters"] == 2 * 4 + 4 + 4 * 2 + 2
    lines = (tmp_path / "run" / "student" / "seed-0" / "metrics.jsonl").read_text()
    assert "train/own:hellinger" in lines
    assert "verdict: " in out


def test_a_command_of_ones_own_is_run_and_told(tmp_path, capsys):
    shutil.copy(REPOSITORY / "configs/results/demo/results.json", tmp_path)
    before = dict(commands.COMMANDS)
    [source] = parts("gain.py")
    try:
        exec(compile(source, "gain.py", "exec"), {"__name__": "gain"})
        assert main.main(["trainer", "gain", f"--workdir={tmp_path}"]) == 0
        assert capsys.readouterr().out == "gain: 20.2 errors\n"
        assert main.main(["trainer", "--help"]) == 0
        assert "print the gain of a finished run" in capsys.readouterr().out
    finally:
        commands.COMMANDS.clear()
        commands.COMMANDS.update(before)


def test_each_of_them_takes_some_ten_lines():
    functions = [block for file in ("own.py", "gain.py") for block in parts(file)]
    assert len(functions) == 5
    for block in functions:
        assert len(re.findall(r"^.*\S.*$", block, flags=re.M)) <= 12
