"""The command line: exit codes, messages, speed."""

import json
import os
import subprocess
import sys

import pytest

from launch.kubernetes import trainer_command
from tests.helpers.cpu_time import cpu_secs
from tests.helpers.repository import REPOSITORY
from trainer import commands
from trainer.registry import actions as registry

MNIST_MINI = str(REPOSITORY / "configs" / "mnist_mini.toml")


def run(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "trainer", *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_flags_are_these_and_no_others():
    flags = {"config", "workdir", "set", "output", "once", "measure", "help"}
    assert set(commands.define_flags()) == flags


def test_config_prints_every_setting_with_its_value():
    done = run("config", f"--config={MNIST_MINI}", "--set=distill.temperature=7")
    assert done.returncode == 0
    settings = json.loads(done.stdout)
    assert settings["distill"]["temperature"] == 7.0
    assert settings["student"]["train"]["optimizer_options"]["beta_1"] == 0.9


def test_config_takes_a_processor_less_than_half_a_second():
    assert cpu_secs("-m", "trainer", "config", f"--config={MNIST_MINI}") < 0.5


@pytest.mark.parametrize("words", [["config", f"--config={MNIST_MINI}"], ["--help"]])
def test_a_command_ends_with_the_reader_of_what_it_prints(words):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *words],
        cwd=REPOSITORY,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert done.returncode == 2
    assert done.stderr.startswith("trainer: standard output was closed")
    assert len(done.stderr.splitlines()) == 1


def test_help_names_every_command():
    done = run("--help")
    assert done.returncode == 0
    for command in commands.COMMANDS:
        assert all(word in done.stdout for word in command.split())


def test_jobs_take_every_command_that_works_on_a_run():
    told_at_once = {"config", *(f"registry {action}" for action in registry.ACTIONS)}
    taken = {*trainer_command._COMMANDS, *trainer_command._WITH_PATHS}
    assert taken == commands.COMMANDS.keys() - told_at_once


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "COMMAND must be one of config, run, teacher"),
        (["trian"], "got trian"),
        (["run", "student"], "got run student"),
        (["config", "--confg=x"], "Unknown command line flag 'confg'"),
        (["config"], "--config must name the TOML file"),
        (["config", "--config=absent.toml"], "'absent.toml': No such file"),
        (["run", f"--config={MNIST_MINI}"], "--workdir must name the folder"),
        (["doctor", f"--config={MNIST_MINI}"], "--workdir must name the folder"),
        (["doctor", "--config=absent.toml", "--workdir=x"], "No such file"),
        (["config", f"--config={MNIST_MINI}", "--set=seeds=[]"], "seeds must be"),
    ],
)
def test_a_wrong_command_line_ends_with_one_sentence_and_2(words, message):
    done = run(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_importing_every_module_starts_no_tensorflow_context():
    program = """
import importlib, pkgutil, trainer
for module in pkgutil.walk_packages(trainer.__path__, "trainer."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from tensorflow.python.eager import context
assert context.context()._context_handle is None
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
