"""Settings that a workdir keeps, for commands that do without a config file."""

import dataclasses
import json
import shutil
import subprocess

import pytest
from etils import epath

from tests.helpers import configs, drawn_pages
from tests.helpers.messages import assert_states
from tests.helpers.repository import REPOSITORY
from trainer import commands, config, main, stages
from trainer.runs import kept_settings, start
from trainer.storage import files, workdir

CONFIGS = sorted((REPOSITORY / "configs").glob("*.toml"))
GIVEN = {
    "data.dataset": "'memory:0123'",
    "student": "{model = 'memory', options = {name = 'own'}, "
    "train = {global_batch_size = 8, epochs = 2}}",
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(configs.RUN)
    return path


@pytest.fixture
def begun(file, tmp_path):
    """A workdir with the config of a run, and the mark of a training."""
    path = epath.Path(tmp_path) / "run"
    workdir.record(path, config.load(str(file), ["registry.root='versions'"]))
    files.write_text(path / "teacher" / "model.keras", "")
    return path


def told(capsys, *words) -> str:
    """The sentence with which a command line is refused."""
    assert main.main(["trainer", *map(str, words)]) == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_they_are_those_of_the_file_but_for_a_sweep(tmp_path, path):
    asked = config.load(str(path))
    workdir.record(epath.Path(tmp_path), asked)
    kept = kept_settings.kept_settings(None, (), epath.Path(tmp_path), ("runtime",))
    assert kept == dataclasses.replace(asked, sweep=None)


@pytest.mark.parametrize(
    ("stage", "override"),
    [
        ("export", "export.role=baseline"),
        ("registry register", "registry.name=digits"),
        ("registry register", "export.seed=0"),
        ("evaluate", "evaluate.inference_times=false"),
        ("report", "runtime.grace_secs=9"),
        ("student", "seeds=[0, 1]"),
        ("crossval", "crossval={folds=3}"),
    ],
)
def test_a_command_changes_its_own_sections(begun, file, stage, override):
    free = kept_settings.free_sections([stage])
    kept = kept_settings.kept_settings(None, [override], begun, free)
    assert kept == config.load(str(file), ["registry.root='versions'", override])
    assert kept != config.load(str(file), ["registry.root='versions'"])


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("export", "--set=registry.root=elsewhere"),
        ("registry register", "--set=evaluate.inference_times=false"),
        ("evaluate", "--set=seeds=[0, 1]"),
        ("report", "--set=distill.temperature=9"),
        ("run", "--unset=distill.alpha"),
        ("run", "--set=name=other"),
    ],
)
def test_other_settings_are_of_a_config(begun, capsys, command, flag):
    words = [*command.split(), f"--workdir={begun}", flag]
    free = commands.COMMANDS[command].free
    assert_states(told(capsys, *words), flag, *free, "--config")


@pytest.mark.parametrize("command", ["run", "export", "registry register", "report"])
def test_where_nothing_has_begun_a_config_is_asked_for(tmp_path, capsys, command):
    folder = tmp_path / "nothing"
    message = told(capsys, *command.split(), f"--workdir={folder}")
    assert_states(message, "--config", "none", f"{folder} has no config.json")


@pytest.mark.parametrize("command", ["study", "sweep", "watch", "doctor"])
def test_commands_that_need_a_config_ask_for_it(begun, capsys, command):
    assert_states(told(capsys, command, f"--workdir={begun}"), "--config", "none")


@pytest.mark.parametrize(
    ("command", "way"),
    [
        ("export", "result.export([...])"),
        ("registry register", "result.register(ROOT)"),
        ("run", "trainer.distill"),
        ("soft-targets verify", "trainer.run"),
    ],
)
def test_what_a_program_gave_is_asked_for_there(begun, file, capsys, command, way):
    given = [f"{name}={value}" for name, value in GIVEN.items()]
    workdir.record(begun, config.load(str(file), given))
    message = told(capsys, *command.split(), f"--workdir={begun}")
    assert_states(message, begun, "data and student", way)


@pytest.mark.parametrize("kind", ["study", "sweep", "watch"])
def test_the_workdir_of_many_runs_is_none_of_one(begun, capsys, kind):
    files.write_text(begun / f"{kind}.json", "{}")
    message = told(capsys, "export", f"--workdir={begun}")
    assert_states(message, begun, f"a {kind}", begun / "cells")


@pytest.mark.parametrize("kind", ["sweep", "watch"])
def test_pages_of_many_runs_are_drawn_again(tmp_path, capsys, kind):
    getattr(drawn_pages, f"write_{kind}")(tmp_path)
    (tmp_path / "config.toml").unlink()
    assert main.main(["trainer", "report", f"--workdir={tmp_path}"]) == 0
    page = tmp_path / "report" / "index.html"
    assert f"report: {page}" in capsys.readouterr().out.splitlines()
    assert f"python -m trainer {kind}" in page.read_text()


@pytest.mark.parametrize(
    ("command", "more"), [("export", ()), ("run", ("set these back",))]
)
def test_another_config_is_told_with_the_run_s_own(begun, file, capsys, command, more):
    words = [f"--config={file}", f"--workdir={begun}"]
    message = told(capsys, command, *words, "--set=teacher.weights='a.keras'")
    own = f"leave --config out: {begun}/config.json has the run's own"
    assert_states(message, "teacher.weights: '' -> 'a.keras'", own, *more)
    assert ("choose another --workdir" in message) == bool(more)


@pytest.mark.parametrize(
    ("flag", "facts"),
    [
        ("--set=export.formats=[]", ("export.formats", "[]")),
        ("--set=export.rolle=teacher", ("export.rolle", "'role'")),
        ("--set=export.seed=9", ("export.seed", "[0]", 9)),
        ("--set=export", ("section.field=value", "'export'")),
    ],
)
def test_what_was_typed_is_told_by_its_flag_and_not_by_the_file(
    begun, capsys, flag, facts
):
    message = told(capsys, "export", f"--workdir={begun}", flag)
    assert_states(message, *facts)
    assert message.startswith("trainer: --set")
    assert "config.json" not in message


def test_what_a_file_says_wrong_is_told_by_the_file(begun, capsys):
    kept = json.loads((begun / "config.json").read_text())
    del kept["checksum"]
    kept["export"]["role"] = "nobody"
    (begun / "config.json").write_text(json.dumps(kept))
    message = told(capsys, "export", f"--workdir={begun}", "--set=export.seed=0")
    assert_states(message, begun / "config.json", "export.role", "'nobody'")


@pytest.mark.parametrize("kind", ["study", "sweep", "watch"])
def test_the_seeds_of_one_of_many_runs_are_those_of_all(
    begun, tmp_path, capsys, monkeypatch, kind
):
    whole = epath.Path(tmp_path) / "whole"
    cell = whole / "cells" / "a"
    files.write_text(whole / f"{kind}.json", "{}")
    shutil.copytree(begun, cell)
    for command in ("run", "student"):
        message = told(capsys, command, f"--workdir={cell}", "--set=seeds=[0, 1]")
        assert_states(message, "seeds", cell, f"{whole} holds a {kind}")
    monkeypatch.chdir(cell)
    assert_states(told(capsys, "run", "--workdir=.", "--set=seeds=[0, 1]"), "seeds")
    assert json.loads((cell / "config.json").read_text())["seeds"] == [0]


def test_seeds_with_which_nothing_has_begun_may_be_left_out_again(begun):
    def claim(*seeds):
        asked = [f"seeds={list(seeds)}"]
        free = kept_settings.free_sections(stages.WHOLE_RUN)
        settings = kept_settings.kept_settings(None, asked, begun, free)
        workdir.claim(begun, settings)
        return json.loads((begun / "config.json").read_text())["seeds"]

    assert claim(0, 1, 77) == [0, 1, 77]
    assert claim(0, 1) == [0, 1]
    (begun / "baseline" / "seed-1").mkdir(parents=True)
    with pytest.raises(config.ConfigError, match=r"seeds: \[0, 1\] -> \[0\]"):
        claim(0)
    assert claim(0, 1, 2) == [0, 1, 2]
    with pytest.raises(config.ConfigError, match=r"seeds: \[0, 1, 2\] -> \[0, 2\]"):
        claim(0, 2)


def test_students_without_their_config_are_nobody_s(begun, file, capsys):
    files.write_text(begun / "student" / "seed-0" / "model.keras", "")
    config_file = begun / "config.json"
    config_file.unlink()
    for command in ("run", "student", "report"):
        message = told(capsys, command, f"--config={file}", f"--workdir={begun}")
        assert_states(message, config_file, "put it back", "--workdir")
    assert not config_file.exists()


def test_a_prediction_of_many_runs_asks_for_one_of_them(begun, capsys):
    files.write_text(begun / "study.json", "{}")
    message = told(capsys, "predict", f"--workdir={begun}", "x.png")
    assert_states(message, begun, "a study", begun / "cells")


def test_a_disk_that_cannot_be_written_keeps_no_setting(small_disk, file, capsys):
    path = epath.Path(small_disk) / "run"
    settings = config.load(str(file), ())
    workdir.record(path, settings)
    files.write_text(path / "teacher" / "model.keras", "")
    asked = config.load(str(file), ["registry.root='versions'"])
    remount = ["mount", "-o", "remount,{}", str(small_disk)]
    subprocess.run([word.format("ro") for word in remount], check=True)
    try:
        with start.begun(asked, path, holds=False) as begun:
            begun.claim()
        assert_states(capsys.readouterr().err, path, "keeps no setting")
        with (
            pytest.raises(files.StorageError, match="cannot be written"),
            start.begun(asked, path, holds=True),
        ):
            pytest.fail("a training has begun")
    finally:
        subprocess.run([word.format("rw") for word in remount], check=True)
    assert config.from_resolved(workdir.read_config(path), (), kept_in="") == settings


def test_more_seeds_go_on_with_the_run(begun, capsys):
    free = kept_settings.free_sections(stages.WHOLE_RUN)
    kept = kept_settings.kept_settings(None, ["seeds=[0, 3]"], begun, free)
    workdir.claim(begun, kept)
    assert json.loads((begun / "config.json").read_text())["seeds"] == [0, 3]
    message = told(capsys, "run", f"--workdir={begun}", "--set=seeds=[3]")
    assert_states(message, "seeds: [0, 3] -> [3]", "set these back")
    assert "leave --config out" not in message
