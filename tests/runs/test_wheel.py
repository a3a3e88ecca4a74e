"""The wheel in an environment of its own, outside of the repository."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest

from tests.helpers.repository import REPOSITORY

SOURCES = ("LICENSE", "README.md", "configs", "launch", "pyproject.toml", "trainer")
STUDENT = """
import keras

def student(input_shape, num_classes, width):
    return keras.Sequential([
        keras.Input(input_shape),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(width, "relu"),
        keras.layers.Dense(num_classes),
    ])
"""
SHORT = (
    *(
        "--set=seeds=[0]",
        "--set=teacher.train.steps=30",
        "--set=student.train.steps=30",
    ),
    "--set=teacher.min_accuracy=0.0",
    "--set=student={model='mine.models:student', options={width=16}, train={steps=30, "
    "global_batch_size=96, optimizer='adam', learning_rate=1e-3}}",
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> pathlib.Path:
    """The folder of the commands that a wheel brings to an empty environment.

    What the wheel needs is that of this interpreter, so that nothing is downloaded.
    """
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "source").mkdir()
    for name in SOURCES:
        path, copy = REPOSITORY / name, folder / "source" / name
        if path.is_dir():
            shutil.copytree(path, copy, symlinks=True)
        else:
            shutil.copy(path, copy)
    pip = (sys.executable, "-m", "pip", "--quiet")
    subprocess.run(
        [*pip, "wheel", "--no-deps", f"--wheel-dir={folder}", folder / "source"],
        check=True,
    )
    [wheel] = folder.glob("*.whl")
    shutil.rmtree(folder / "source")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run(
        [*pip, f"--python={python}", "install", "--no-deps", wheel], check=True
    )
    [packages] = folder.glob("venv/lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return python.parent


def output(program: pathlib.Path, *words: str, cwd: pathlib.Path) -> str:
    """What a command prints, with none of this process's packages."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [program, *words], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_commands_of_the_wheel_run_beside_folders_of_their_names(
    installed, tmp_path
):
    for name in ("trainer", "launch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "models.py").write_text(STUDENT)
    words = ["run", "--config=mnist_mini", "--workdir=w", *SHORT]
    table = output(installed / "alambic", *words, cwd=tmp_path).splitlines()
    first = [line.split()[0] for line in table if line]
    assert first[:5] == ["model", "--------", "teacher", "student", "baseline"]
    assert table[-1].startswith("verdict: ")
    assert (tmp_path / "w" / "report" / "index.html").exists()
    words = ["local", "--workers=1", "--", "alambic", *words]
    again = output(installed / "alambic-launch", *words, cwd=tmp_path)
    assert [line.removeprefix("[worker-0] ") for line in again.splitlines()] == table


@pytest.mark.slow
def test_the_wheel_is_typed_and_knows_its_configs(installed):
    [packages] = installed.parent.glob("lib/python*/site-packages")
    for package in ("trainer", "launch"):
        assert (packages / package / "py.typed").is_file()
    assert (packages / "trainer" / "__init__.pyi").is_file()
    configs = {path.name for path in (REPOSITORY / "configs").glob("*.toml")}
    assert {p.name for p in packages.glob("trainer/bundled/*.toml")} == configs
    assert output(installed / "alambic", "--version", cwd=installed).startswith(
        "alambic"
    )
