"""Code and settings that the documents show: each runs, each is accepted."""

import tomllib

import pytest

from tests.helpers import documents
from tests.helpers.repository import REPOSITORY
from trainer import config

# What stands around the settings of a page.
BASE = """
name = "page"
[data]
dataset = "mnist_mini"
[teacher]
model = "mlp"
train = {global_batch_size = 32, epochs = 1}
[student]
model = "mlp"
train = {global_batch_size = 32, epochs = 1}
"""
# With answers of a teacher elsewhere.
IMPORTED = {"soft_targets": "imported", "soft_targets_dir": "answers"}
# Pages whose code runs by itself, beside the repository's configs.
RUNNING = ("docs/concepts.md", "docs/workdir.md")


def shown(language: str, pages=documents.PAGES):
    return [
        pytest.param(block, id=f"{page}-{number}")
        for page in pages
        for number, block in enumerate(documents.blocks(page, language))
    ]


def joined(base: dict, more: dict) -> dict:
    """The settings of `more` in place of those of `base`, section by section."""
    found = dict(base)
    for name, value in more.items():
        # Of another model, dataset or form of a section nothing is left.
        is_whole = not isinstance(value, dict) or {"model", "members", "dataset"} & {
            *value
        }
        found[name] = value if is_whole else joined(base.get(name, {}), value)
    return found


@pytest.mark.parametrize("block", shown("toml"))
def test_settings_on_a_page_are_accepted(block):
    given = tomllib.loads(block)
    settings = joined(tomllib.loads(BASE), given)
    settings["student"].setdefault("train", {"global_batch_size": 32, "epochs": 1})
    if "class_map" in given.get("distill", {}):
        del settings["teacher"]
        settings["distill"] |= IMPORTED
    config.of_settings(settings, origin="the page")


@pytest.mark.parametrize("block", shown("python", RUNNING))
def test_code_on_a_page_runs(block, tmp_path, monkeypatch):
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "page", "exec"), {"__name__": "page"})


@pytest.mark.parametrize("block", shown("python"))
def test_code_on_a_page_is_code(block):
    is_row = block.startswith(" ")  # of a table
    compile("rows = {\n" + block + "}" if is_row else block, "page", "exec")
