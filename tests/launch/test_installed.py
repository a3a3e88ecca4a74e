"""`alambic-launch`, as the wheel installs it, starts `alambic`."""

import os
import pathlib
import subprocess
import sys

import pytest
import yaml

from launch import installed, main
from tests.helpers.manifests import JOB, container_of, of_kind
from tests.helpers.messages import assert_states
from tests.helpers.repository import REPOSITORY

COMMANDS = pytest.mark.parametrize(
    "command", [["alambic"], ["python", "-m", "trainer"]], ids=" ".join
)
MNIST_MINI = (REPOSITORY / "configs" / "mnist_mini.toml").read_text()
_LAUNCHER = "import sys; from launch.__main__ import alambic_launch as f; sys.exit(f())"
_SAY = "import sys; print(*sys.argv[1:])"


@pytest.fixture
def scripts(tmp_path) -> pathlib.Path:
    """A folder of scripts as pip writes it, outside of PATH; `alambic` says its words.

    The working directory has a folder called trainer.
    """
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "__init__.py").write_text("raise SystemExit(9)")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in {"alambic": _SAY, "alambic-launch": _LAUNCHER}.items():
        (folder / name).write_text(f"#!{sys.executable}\n{text}\n")
        (folder / name).chmod(0o755)
    return folder


def outcome(scripts: pathlib.Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [scripts / "alambic-launch", *words],
        cwd=scripts.parent,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@COMMANDS
def test_workers_are_the_alambic_beside_the_launcher(scripts, command):
    words = [*command, "run", "--config=mnist_mini"]
    said = outcome(scripts, "local", "--workers=2", "--", *words)
    assert sorted(said[1].splitlines()) == [
        "[worker-0] run --config=mnist_mini",
        "[worker-1] run --config=mnist_mini",
    ]
    assert said[0] == 0


@COMMANDS
def test_the_process_of_another_cluster_becomes_alambic(scripts, command, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}}')
    assert outcome(scripts, "env", "--", *command, "run")[:2] == (0, "run\n")


def test_an_exit_code_of_alambic_is_told_with_its_meaning(scripts):
    (scripts / "alambic").write_text(f"#!{sys.executable}\nraise SystemExit(3)\n")
    code, _, err = outcome(scripts, "local", "--workers=1", "--", "alambic", "run")
    assert code == 3
    assert_states(err, "3 (training diverged)")


@pytest.fixture
def _as_installed(tmp_path, monkeypatch):
    """This process is the installed launcher, and beside it stands a real `alambic`."""
    script = tmp_path / "bin" / "alambic"
    script.parent.mkdir()
    text = "from trainer.__main__ import alambic; alambic()"
    script.write_text(f"#!{sys.executable}\n{text}\n")
    script.chmod(0o755)
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "__init__.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setattr(sys, "argv", [str(script.with_name("alambic-launch"))])


@pytest.mark.usefixtures("_as_installed")
@pytest.mark.parametrize("kind", ["tfjob", "trainjob"])
@COMMANDS
def test_pods_run_alambic_and_bundled_configs_travel_to_them(command, kind, capsys):
    words = [*command, "run", "--config=mnist_mini"]
    assert main.main(["", "tfjob", *JOB, f"--kind={kind}", "--", *words]) == 0
    text = capsys.readouterr().out
    documents = list(yaml.safe_load_all(text))
    if kind == "tfjob":
        container = container_of(of_kind(documents, "TFJob"))
        launcher = []
    else:
        jobs = of_kind(documents, "TrainingRuntime")["spec"]["template"]["spec"]
        [job] = jobs["replicatedJobs"]
        [container] = job["template"]["spec"]["template"]["spec"]["containers"]
        launcher = ["alambic-launch", "env", "--"]
    config = "--config=/etc/alambic/mnist_mini.toml"
    started = [*launcher, "alambic", "run", config]
    assert container["command"][: len(started)] == started
    assert of_kind(documents, "ConfigMap")["data"] == {"mnist_mini.toml": MNIST_MINI}
    assert text.startswith("# alambic-launch tfjob --name=demo ")


@pytest.mark.usefixtures("_as_installed")
def test_pages_and_messages_name_the_installed_commands(capsys):
    assert main.main(["", "tfjob", "--help"]) == 0
    assert main.main(["", "--help"]) == 0
    assert main.main(["", "absent"]) == 2
    out, err = capsys.readouterr()
    assert "usage: alambic-launch tfjob FLAG" in out
    assert_states(err, "absent", "alambic-launch --help")
    assert "python -m" not in out + err


def test_the_launcher_as_a_module_starts_the_alambic_of_its_interpreter(
    scripts, monkeypatch
):
    monkeypatch.setattr(sys, "executable", str(scripts / "python"))
    beside = str(scripts / "alambic")
    assert installed.runnable(["alambic", "run"]) == [beside, "run"]
    module = [str(scripts / "python"), "-m", "trainer", "run"]
    assert installed.runnable(["python", "-m", "trainer", "run"]) == module
    (scripts / "alambic").unlink()
    assert installed.runnable(["alambic", "run"]) == ["alambic", "run"]  # on PATH


def test_jobs_refuse_an_alambic_command_that_is_none(capsys):
    words = ["alambic", "rnu", "--config=mnist_mini"]
    assert main.main(["", "tfjob", *JOB, "--", *words]) == 2
    assert_states(capsys.readouterr().err, "rnu", "soft-targets plan")
