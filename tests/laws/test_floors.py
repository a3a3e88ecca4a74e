"""The laws of the source tree: who imports whom, names, sizes, the environment."""

import ast
import itertools
import re

import pytest

from tests.helpers.imports import imported
from tests.helpers.repository import REPOSITORY

FLOORS = (
    {
        *(
            "__init__.py",
            "config/",
            "console.py",
            "exit_codes.py",
            "losses/",
            "prng.py",
        ),
        "tensorflow_log.py",
    },
    {"devices/", "optimizers/", "progress/", "storage/"},
    {"cluster/", "data/", "models/"},
    {"evaluation/", "soft_targets/", "train/"},
    {"export/", "registry/", "report/"},
    {"session/", "tracking/"},
    {"stages/"},
    {"runs/"},
    {"api/", "doctor/", "draft/", "predict/", "study/", "sweep/", "watch/"},
    {"commands/"},
    {"main.py", "__main__.py"},
)
FLOOR_OF = {name: i for i, names in enumerate(FLOORS) for name in names}
SIDEWAYS = {
    ("__main__.py", "main.py"),
    ("__init__.py", "tensorflow_log.py"),  # before a name that may load TensorFlow
    ("tensorflow_log.py", "console.py"),
}
LAUNCH_COMMANDS = ("environment", "kubernetes", "local")
READS_ENVIRONMENT = {
    "trainer/cluster/tf_config.py",
    "trainer/devices/distribution.py",
    "trainer/tensorflow_log.py",  # sets how much TensorFlow tells
}


def sources(root, *packages):
    return sorted(itertools.chain(*((root / name).rglob("*.py") for name in packages)))


def unit(parts):
    """What stands on a floor: a file of trainer/, or a whole folder with its slash."""
    return parts[1] + "/" if len(parts) > 2 else parts[1]


def imported_unit(parts):
    """The unit behind `import parts`; the last part may be a name in a module."""
    names = (f"{parts[1]}/", f"{parts[1]}.py") if len(parts) > 1 else ()
    return next((name for name in names if name in FLOOR_OF), "__init__.py")


def is_foreign_package(name, parts):
    """Whether a file of launch/ imports a command's package from outside of it."""
    return (
        parts[0] == "launch"
        and len(parts) > 1
        and parts[1] in LAUNCH_COMMANDS
        and name != "launch/main.py"
        and not name.startswith(f"launch/{parts[1]}/")
    )


def broken_floors(root):
    for path in sources(root, "trainer"):
        name = path.relative_to(root).as_posix()
        here = unit(path.relative_to(root).parts)
        if here not in FLOOR_OF:
            yield f"{name} has no floor; add {here!r} to FLOORS here"
            continue
        for parts in imported(root, path):
            if parts[0] == "launch":
                yield f"{name} imports launch"
            if parts[0] != "trainer":
                continue
            there = imported_unit(parts)
            if there == here or (here, there) in SIDEWAYS:
                continue
            if FLOOR_OF[there] >= FLOOR_OF[here]:
                yield f"{name} imports {'.'.join(parts)}, which is not on a lower floor"
    for path in sources(root, "launch"):
        name = path.relative_to(root).as_posix()
        for parts in imported(root, path):
            if parts[0] == "trainer":
                yield f"{name} imports trainer"
            if is_foreign_package(name, parts):
                yield f"{name} imports {'.'.join(parts)}, a command that is not its own"


def broken_sizes(root):
    for path in sources(root, "trainer", "launch"):
        name, text = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        if path.name in ("utils.py", "common.py", "base.py"):
            yield f"{name} must be named for what it holds"
        if len(text.splitlines()) > 300:
            yield f"{name} has {len(text.splitlines())} lines, above 300"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if lines > 40:
                    yield f"{name}: {node.name} has {lines} lines, above 40"


def readers_of_the_environment(root):
    for path in sources(root, "trainer"):
        text = path.read_text(encoding="utf-8")
        if re.search(r"\b(environb?|getenvb?)\b", text):
            yield path.relative_to(root).as_posix()


def test_every_file_imports_lower_floors_only():
    broken = list(broken_floors(REPOSITORY))
    assert not broken, "\n".join(broken)


def test_files_and_functions_are_short_and_named_for_what_they_hold():
    broken = list(broken_sizes(REPOSITORY))
    assert not broken, "\n".join(broken)


def test_only_known_files_touch_the_environment():
    assert set(readers_of_the_environment(REPOSITORY)) <= READS_ENVIRONMENT


def test_the_laws_see_what_they_forbid(tmp_path):
    file = tmp_path / "trainer" / "models" / "utils.py"
    file.parent.mkdir(parents=True)
    body = "    pass\n" * 40
    file.write_text(
        f"def f():\n{body}class A:\n  async def g(self):\n{body}" + "\n" * 218
    )
    assert len(file.read_text().splitlines()) == 301
    assert len(list(broken_sizes(tmp_path))) == 4
    file.write_text("# the environment\nfrom os import environ")
    assert len(list(readers_of_the_environment(tmp_path))) == 1
    file.write_text("# the environment")
    assert list(readers_of_the_environment(tmp_path)) == []


def test_sources_are_found():
    assert len(sources(REPOSITORY, "trainer")) > 20


@pytest.mark.parametrize(
    ("path", "line", "broken"),
    [
        ("trainer/train/loop.py", "import trainer.cluster.termination", False),
        ("trainer/losses/soft.py", "from . import hard", False),
        ("trainer/__main__.py", "from trainer import main", False),
        ("trainer/train/step.py", "import os, trainer.session.training", True),
        ("trainer/train/step.py", "from trainer.train import objective", False),
        ("trainer/train/step.py", "def f():\n  from trainer.session import g", True),
        ("trainer/train/step.py", "from trainer import evaluation", True),
        ("trainer/train/step.py", "from ..report import g", True),
        ("trainer/losses/soft.py", "from .. import train", True),
        ("trainer/losses/soft.py", "from trainer.models import cnn", True),
        ("trainer/evaluation/metrics.py", "import trainer.train.step", True),
        ("trainer/new.py", "", True),
        ("trainer/new/part.py", "", True),
        ("trainer/step.py", "", True),
        ("trainer/config/reader.py", "from trainer import __version__", True),
        ("trainer/train/step.py", "import launch.local", True),
        ("launch/local/group.py", "from trainer import cluster", True),
        ("launch/local/group.py", "from launch import errors", False),
        ("launch/local/group.py", "from launch.local import worker", False),
        ("launch/local/group.py", "from launch.kubernetes import pod", True),
        ("launch/program.py", "from launch import local", True),
        ("launch/main.py", "from launch import local", False),
    ],
)
def test_the_law_sees_an_import(tmp_path, path, line, broken):
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(line)
    assert len(list(broken_floors(tmp_path))) == broken
