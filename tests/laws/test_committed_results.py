"""configs/results/ belongs to the configs beside it; the pages tell what it holds."""

import re

import pytest

from tests.helpers.repository import REPOSITORY
from tests.tools import committed_results
from trainer import config
from trainer.storage import seal

FOLDERS = sorted(path for path in committed_results.KEPT.iterdir() if path.is_dir())


def results_table(page):
    """The rows of the table of results on a page."""
    text = (REPOSITORY / page).read_text()
    table = re.search(r"^\| Config .*?^\| ---.*?\n(.*?)\n\n", text, flags=re.S | re.M)
    return table[1].splitlines()


def published():
    """The configs that need a download and a GPU, whose published numbers are told."""
    text = (REPOSITORY / "docs" / "models.md").read_text()
    return re.findall(r"^\| `(cifar100_\w+)` \|(?: [\d.]* ?\|){11}$", text, flags=re.M)


def test_each_config_has_results_or_published_ones():
    configs = sorted(path.stem for path in (REPOSITORY / "configs").glob("*.toml"))
    assert sorted([*published(), *(path.name for path in FOLDERS)]) == configs


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_results_belong_to_the_config_beside_them(folder):
    made_with = seal.parse((folder / "config.json").read_bytes())
    now = config.resolve(committed_results.settings(folder))
    assert not config.differences(made_with, now)
    # Which may be changed later, with more results.
    for section in ("study", "crossval"):
        assert made_with[section] == now[section]
    evaluate = config.EvaluateConfig(**made_with["evaluate"])
    assert evaluate.of_results == committed_results.settings(folder).evaluate.of_results
    if (folder / "study.json").exists():
        grid = committed_results.read(folder / "study.json")["grid"]
        assert grid == now["study"]["grid"]
    if (folder / "crossval.json").exists():
        folds = committed_results.read(folder / "crossval.json")["folds"]
        assert len(folds) == now["crossval"]["folds"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_page_of_results_tells_what_they_hold(folder):
    page = (folder / "README.md").read_text()
    assert page == committed_results.page(folder)


def test_the_page_of_all_results_tells_what_they_hold():
    held = [row for folder in FOLDERS for row in committed_results.rows(folder)]
    assert sorted(results_table("docs/results.md")) == sorted(held)


def test_the_readme_tells_some_of_them():
    held = [
        row for folder in FOLDERS for row in committed_results.rows(folder, root="")
    ]
    told = results_table("README.md")
    assert told
    assert set(told) <= set(held)
