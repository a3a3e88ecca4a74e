"""The command line: exit codes, messages, speed."""

import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from launch import program
from launch.kubernetes import trainer_command
from tests.helpers.cpu_time import cpu_secs
from tests.helpers.messages import assert_a_line_states, assert_states, refused
from tests.helpers.repository import REPOSITORY
from trainer import commands, config, main
from trainer.exit_codes import EXIT_CODES
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
    flags = {"config", "workdir", "set", "unset", "output", "once", "measure"}
    flags |= {"explain", "schema", "verbose", "part", "wait"}
    assert set(commands.define_flags()) == flags | {"help", "version"}


def test_an_interruption_before_all_is_loaded_is_one_line_and_130():
    program = """
import runpy, signal, sys

class Loading:
    def find_spec(self, name, path=None, target=None):
        if name == "trainer.commands":
            signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Loading())
sys.argv = ["trainer", "config"]
runpy.run_module("trainer", run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130
    [line] = done.stderr.splitlines()
    assert line.startswith("trainer: interrupted")


def test_config_prints_every_setting_with_its_value():
    done = run("config", f"--config={MNIST_MINI}", "--set=distill.temperature=7")
    assert done.returncode == 0
    settings = json.loads(done.stdout)
    assert settings["distill"]["temperature"] == 7.0
    assert settings["student"]["train"]["optimizer_options"]["beta_1"] == 0.9


def test_config_tells_what_doctor_finds_and_what_is_rounded(capsys):
    words = ["config", f"--config={MNIST_MINI}", "--set=runtime.log_every_steps=77"]
    assert commands.run(["trainer", *words, "--unset=distill"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["distill"]["temperature"] == 4.0
    assert_a_line_states(err, f"doctor --config={MNIST_MINI}", "--workdir=DIR")
    assert_a_line_states(err, "runtime.log_every_steps = 77", 100)


@pytest.mark.parametrize(
    ("setting", "facts"),
    [
        ("distill.views", ["distill.views", "modulo", "whole number", 1]),
        ("teacher.members[0].seed", ["teacher.members[].seed", 2147483647]),
        ("runtime.grace_secs", [25, "seconds", "SIGTERM"]),
        ("student.options.hidden_sizes", ["model 'mlp'", [800, 800], "units"]),
        ("export", ["export.role", "export.formats", "section"]),
    ],
)
def test_a_setting_is_explained(capsys, setting, facts):
    assert commands.run(["trainer", "config", f"--explain={setting}"]) == 0
    assert_states(capsys.readouterr().out, *facts)


def test_what_is_no_setting_is_not_explained(capsys):
    assert main.main(["trainer", "config", "--explain=student.lr"]) == 2
    facts = ("--explain", "'student.lr'", "student.train.learning_rate")
    assert_states(capsys.readouterr().err, *facts)


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
    assert done.stderr.startswith("trainer: ")
    assert_states(done.stderr, "standard output")
    assert len(done.stderr.splitlines()) == 1


def shown(capsys, *words: str) -> str:
    """What a command line prints, which fits a screen."""
    assert commands.run(["trainer", *words]) == 0
    page = capsys.readouterr().out
    lines = page.splitlines()
    assert len(lines) <= 46
    assert max(map(len, lines)) <= 88
    return page


def test_help_names_every_command_flag_and_exit_code(capsys):
    page = shown(capsys, "--help")
    for command in commands.COMMANDS:
        assert all(word in page for word in command.split())
    for flag in commands.define_flags():
        assert re.search(rf"^  --{flag}\b", page, flags=re.M)
    for code in EXIT_CODES:
        assert re.search(rf"\b{code} [a-z]", page)


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_help_of_a_command_shows_its_own_flags_and_an_example_that_parses(name, capsys):
    page = shown(capsys, *name.split(), "--help")
    assert page == shown(capsys, "--help", *name.split())
    command = commands.COMMANDS[name]
    assert page.startswith(f"usage: python -m trainer {name} ")
    assert command.summary[1:] in page
    own = {*command.flags, "verbose"}
    assert set(re.findall(r"^  --(\w+)", page, flags=re.M)) == own
    example = page.partition("example:\n")[2].replace("\\\n", "")
    program, module, package, *words = shlex.split(example)
    assert (program, module, package) == ("python", "-m", "trainer")
    values = commands.define_flags()
    assert commands.find_command(values(["trainer", *words])[1:])[0] is command
    if values.config:
        config.load(str(REPOSITORY / values.config), values.set)
    assert all(not values[flag].value for flag in set(values) - set(command.flags))


def test_help_of_the_word_that_commands_begin_with_shows_them_all(capsys):
    page = shown(capsys, "registry", "--help")
    told = re.findall(r"^  (\w+) ", page, flags=re.M)
    assert told == ["register", "list", "show", "promote", "compare"]
    assert "  verify" in shown(capsys, "soft-targets", "--help")


def test_pages_and_messages_name_the_installed_command(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/opt/bin/alambic"])
    assert shown(capsys, "run", "--help").startswith("usage: alambic run ")
    assert main.main(["", "studnt"]) == 2
    assert_states(capsys.readouterr().err, "studnt", "alambic --help")


def test_what_is_told_of_the_program_loads_no_tensorflow():
    program = """
import sys
from trainer import commands
for words in (["--version"], ["--help"], ["predict", "--help"]):
    commands.run(["trainer", *words])
assert not {"numpy", "tensorflow"} & set(sys.modules)
"""
    words = [sys.executable, "-c", program]
    told = subprocess.check_output(words, cwd=REPOSITORY, text=True)
    assert told.splitlines()[0] == f"alambic {importlib.metadata.version('alambic')}"


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (["studnt"], ["studnt", "'student'", "--help"]),
        (["studnt", "--help"], ["studnt", "'student'"]),
        (["run", "student"], ["run student", "'student'"]),
        (["registry", "lst"], ["registry lst", "'registry list'"]),
        (["soft-targets", "pln"], ["soft-targets pln", "'soft-targets plan'"]),
        (["predit", f"{'a/' * 80}b.png"], ["'predict'"]),
        (["run", "--confg=x"], ["--confg=x", "'--config'"]),
        (["--onse", "watch"], ["--onse", "'--once'"]),
        (["run", "--conf=x"], ["--conf=x"]),  # no beginning of a flag stands for it
        (["predict"], ["predict", "PATH ...", "python -m trainer predict --help"]),
        (["run", "--once"], ["--once", "watch", "run"]),
    ],
)
def test_what_is_not_known_is_told_with_the_nearest_that_is(words, facts):
    with refused(commands.UsageError, *facts):
        commands.run(["trainer", *words])


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        (["run", "distill.temperature=4"], "distill.temperature=4"),
        (["distill.temperature=4", "run"], "distill.temperature=4"),
        (["run", "--distill.temperature=4"], "distill.temperature=4"),
        (["run", "--distill.temperature", "4"], "distill.temperature=VALUE"),
        (["run", "distil.temperature=4"], "distil.temperature=4"),
        (["run", "seeds=[0]"], "seeds=[0]"),
        (["run", "--seeds=[0]"], "seeds=[0]"),
        (["predict", "a.png", "predict.top_k=3"], "predict.top_k=3"),
    ],
)
def test_a_setting_without_set_is_told_with_it(words, setting):
    with refused(commands.UsageError, f"--set={setting}"):
        commands.run(["trainer", *words])


@pytest.mark.parametrize("path", ["lr=0.1", "runs/distill.temperature=4", "a.b=c.png"])
def test_a_path_may_look_like_a_setting(path):
    command, words = commands.find_command(["predict", path, "data=old"])
    assert command is commands.COMMANDS["predict"]
    assert words == [path, "data=old"]


def test_jobs_take_every_command_that_works_on_a_run():
    told_at_once = {
        "config",
        "init",
        "layers",
        *(f"registry {action}" for action in registry.ACTIONS),
    }
    taken = {*trainer_command._COMMANDS, *trainer_command._WITH_PATHS}
    assert taken == commands.COMMANDS.keys() - told_at_once
    flags = commands.define_flags()
    with_value = {name for name in flags if not flags[name].boolean}
    assert set(program.TRAINER_FLAGS) == with_value


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ([], ["COMMAND", "none", "baseline, config"]),
        (["config", "--config"], ["--config"]),
        (["config"], ["--config", "none"]),
        (["config", "--config=absent.toml"], ["'absent.toml'"]),
        (["run", f"--config={MNIST_MINI}"], ["--workdir", "none"]),
        (["doctor", f"--config={MNIST_MINI}"], ["--workdir", "none"]),
        (["doctor", "--config=absent.toml", "--workdir=x"], ["'absent.toml'"]),
        (["report"], ["--config", "none"]),
        (["config", f"--config={MNIST_MINI}", "--set=seeds=[]"], ["seeds", "[]"]),
    ],
)
def test_a_wrong_command_line_ends_with_one_sentence_and_2(words, facts, capsys):
    assert main.main(["trainer", *words]) == 2
    out, err = capsys.readouterr()
    assert_states(err, *facts)
    assert len(err.splitlines()) == 1
    assert out == ""


@pytest.mark.slow
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
