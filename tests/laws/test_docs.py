"""Documents teach commands that exist, settings that hold and configs that load."""

import importlib.util
import re
import shlex
import tomllib

import pytest

from launch import main as launcher
from tests.helpers import documents
from tests.helpers.repository import REPOSITORY
from trainer import commands, config
from trainer.config import augmentations, models, training

OF_READERS = ("photos.toml", "rows.toml")  # which init writes, in the pages' examples
CONFIGS = sorted((REPOSITORY / "configs").glob("*.toml"))


def taught_commands(*pages: str) -> list[str]:
    """Each command line in a fenced block of the pages, or of all."""
    found = []
    for page in pages or documents.PAGES:
        for block in documents.blocks(page, ""):
            lines = block.replace("\\\n", " ").splitlines()
            found += [line.strip() for line in lines]
    return [line for line in found if re.match(r"(\S+=\S+ )*(\S*python|make) ", line)]


def test_the_pages_teach_both_kinds_of_commands():
    commands = taught_commands()
    assert any(line.startswith("make demo") for line in commands)
    assert any("-m trainer run" in line for line in commands)


@pytest.mark.parametrize("line", taught_commands())
def test_each_taught_command_exists(line, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    words = shlex.split(line, comments=True)
    while "=" in words[0]:  # variables of the environment
        words.pop(0)
    if words[0] == "make":
        makefile = (REPOSITORY / "Makefile").read_text()
        for target in words[1:]:
            assert re.search(rf"^{target}:", makefile, flags=re.M), target
        return
    if words[1].endswith(".py"):
        assert (REPOSITORY / words[1]).is_file()
        return
    assert words[1] == "-m"
    if words[2] == "launch":
        assert words[3] in launcher.COMMANDS
        words = words[words.index("--") + 1 :]
        if "--workdir" not in line.partition(" -- ")[2]:
            words.append("--workdir=of-the-launcher")
    assert importlib.util.find_spec(words[2]), words[2]
    if words[2] != "trainer":
        return
    values = commands.define_flags()
    command, others = commands.find_command(values(["trainer", *words[3:]])[1:])
    if values.config in OF_READERS or words[3] == "init":
        return
    if values.config:
        config.load(values.config, values.set)
    else:  # of runs that have begun, of registered models, or of settings themselves
        is_kept = bool(command.free and values.workdir)
        assert others or is_kept or words[3] in ("config", "registry")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_each_config_loads_and_is_named_as_its_file(path):
    assert config.load(str(path)).name == path.stem


@pytest.mark.parametrize(
    ("page", "names"),
    [
        (
            "models",
            {
                *(models.MODELS.keys() - models.APPLICATIONS.keys()),
                *("keras.applications", "imagenet"),
            },
        ),
        ("configuration", {*training.OPTIMIZERS, *training.SCHEDULES}),
        ("augmentation", {*augmentations.AUGMENTATIONS}),
        ("data", {"folder:PATH", "csv:PATH", "npz:PATH", "list:FILE.csv"}),
    ],
)
def test_pages_name_all_that_can_be_chosen(page, names):
    text = documents.text(f"docs/{page}.md")
    pattern = r"[`\"]{}[`\"]"
    assert names
    assert not [name for name in names if not re.search(pattern.format(name), text)]


@pytest.mark.parametrize(
    ("page", "most"),
    [
        ("README.md", 120),
        ("BUILD.md", 250),
        ("CONTRIBUTING.md", 60),
        *((page, 250) for page in documents.PAGES if page.startswith("docs/")),
    ],
)
def test_each_page_is_one_sitting(page, most):
    if page != "docs/settings.md":  # to look things up in, and made by a program
        assert len(documents.text(page).splitlines()) <= most


@pytest.mark.parametrize("page", documents.PAGES)
def test_each_page_of_docs_has_an_example(page):
    """Commands are looked at here, the others in tests/runs/test_page_*.py."""
    if page.startswith("docs/") and page not in ("docs/README.md", "docs/settings.md"):
        shown = documents.blocks(page, "toml", "python", "console")
        assert shown or taught_commands(page)


def test_the_index_names_every_page():
    index = documents.text("docs/README.md")
    of_site = documents.text("mkdocs.yml")
    for page in documents.PAGES:
        folder, _, name = page.partition("/")
        if folder == "docs":
            assert name in of_site, page
            assert name == "README.md" or f"({name})" in index, page


@pytest.mark.parametrize("page", documents.PAGES)
def test_no_page_has_a_gap(page):
    text = (REPOSITORY / page).read_text()
    assert not re.search(r"^\s*[A-Z]+(_[A-Z]+)*$", text, flags=re.M)


def test_the_map_names_every_file_and_folder_of_the_package():
    package = REPOSITORY / "trainer"
    text = (package / "README.md").read_text()
    for path in package.iterdir():
        if path.suffix == ".py" and not path.stem.startswith("__"):
            assert f"{path.name}" in text, path
        if (path / "__init__.py").is_file():
            assert f"{path.name}/" in text, path


@pytest.mark.parametrize(
    ("page", "root"),
    [
        ("README.md", "."),
        ("BUILD.md", "."),
        ("trainer/README.md", "trainer"),
        ("tests/README.md", "tests"),
    ],
)
def test_the_files_that_a_page_names_are_there(page, root):
    text = (REPOSITORY / page).read_text()
    # Folders too where the page is a map of them.
    pattern = r"`((?:[\w.-]+/)*[\w-]+\.py" + (r"|(?:[\w-]+/)+" * (root != ".")) + ")`"
    named = re.findall(pattern, text)
    folders = [REPOSITORY, REPOSITORY / root, *(REPOSITORY / root).rglob("*/")]
    missing = [name for name in named if not any((f / name).exists() for f in folders)]
    assert named
    assert not missing


def test_the_pinned_ranges_are_those_promised():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert "tensorflow>=2.21,<2.22" in project["dependencies"]
    assert any(d.startswith("importlib_resources") for d in project["dependencies"])
    assert project["requires-python"] == ">=3.11"
