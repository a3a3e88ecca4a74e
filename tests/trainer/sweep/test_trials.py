"""Which trials a sweep takes, and which it ends early, without training any."""

import contextlib
import errno
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import time

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from tests.helpers.messages import assert_states, refused
from tests.helpers.repository import REPOSITORY
from tests.helpers.sweeps import all_of, open_sweep
from trainer import exit_codes, main, report
from trainer.config import (
    BanditOptions,
    ConfigError,
    load,
)
from trainer.storage import files
from trainer.sweep import results, trials
from trainer.sweep.pruners import BanditPruner


def test_a_grid_has_each_combination_once_whoever_asks(tmp_path):
    one = open_sweep(tmp_path, "sweep.trials=9", sampler="grid")
    other = open_sweep(tmp_path, "sweep.trials=9", sampler="grid")
    first = trials.claim(one)
    rest = all_of(other)
    trials.end(one, first, TrialState.PRUNED)
    assert trials.claim(one) is None
    points = {json.dumps(settings) for settings in [first.settings, *rest]}
    assert points == {
        json.dumps({"distill.temperature": t, "student.options.hidden_sizes": sizes})
        for t in (1.0, 2.0)
        for sizes in ([4], [8, 8])
    }


def test_random_trials_depend_on_the_seed_alone_not_on_starts(tmp_path):
    for name in ("whole", "parts", "other"):
        (tmp_path / name).mkdir()
    more = ("sweep.trials=12",)
    whole = all_of(open_sweep(tmp_path / "whole", *more))
    all_of(open_sweep(tmp_path / "parts"))
    parts = open_sweep(tmp_path / "parts", *more)
    all_of(parts)
    kept = [t.user_attrs["settings"] for t in parts.study.get_trials()]
    assert len(whole) == 12
    assert kept == whole
    assert all_of(open_sweep(tmp_path / "other", *more, "sweep.seed=1")) != whole


CLAIM = """
import pathlib, sys, time
from tests.helpers.sweeps import open_sweep
from trainer.sweep import trials
claimed = trials.claim(open_sweep(pathlib.Path(sys.argv[1])))
claimed.trial.report(0.5, 1)
print(claimed.settings, flush=True)
time.sleep(600)
"""


def claim_and_kill(folder: pathlib.Path) -> str:
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(folder)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    sweep = open_sweep(folder)
    assert trials.num_elsewhere(sweep) == 1
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return line.strip()


@pytest.mark.slow
def test_what_a_killed_process_left_fails_and_is_repeated_within_the_budget(tmp_path):
    asked = [claim_and_kill(tmp_path) for _ in range(2)]
    assert asked[0] == asked[1]
    sweep = open_sweep(tmp_path)
    assert len(all_of(sweep)) == 2
    found = sweep.study.get_trials()
    assert [t.state.name for t in found] == ["FAIL", "FAIL", "COMPLETE", "COMPLETE"]
    assert found[1].user_attrs["repeats"] == 0
    assert {results.variant_name(t) for t in found[:2]} == {"trial-000"}
    results.write(sweep.path, load(str(tmp_path / "sweep.toml")), sweep.study)
    table = report.render_sweep(report.read_sweep(sweep.path)).splitlines()
    assert table[3].split()[-3:] == ["failed,", "repeats", "0"]
    assert table[-2] == "2 complete, 2 failed"


def test_who_stops_a_trial_has_it_repeated_at_no_cost(tmp_path):
    sweep = open_sweep(tmp_path)
    for _ in range(4):  # more than retries
        trials.give_up(sweep, trials.claim(sweep), is_failure=False)
    assert len(all_of(sweep)) == 3
    states = [trial.state.name for trial in sweep.study.get_trials()]
    assert states == ["FAIL"] * 4 + ["COMPLETE"] * 3


def test_a_running_trial_is_left_alone(tmp_path):
    one, other = open_sweep(tmp_path), open_sweep(tmp_path)
    claimed = trials.claim(one)
    assert len(all_of(other)) == 2
    assert trials.num_elsewhere(other) == 1
    trials.end(one, claimed, TrialState.COMPLETE, value=1.0)
    assert results.best(other.study).number == 0


def test_another_space_or_metric_is_another_sweep(tmp_path):
    open_sweep(tmp_path)
    open_sweep(tmp_path, "sweep.trials=5", "sweep.retries=0", "sweep.seed=3")
    for override, facts in (
        ("sweep.space={distill.temperature=[3]}", ["sweep.space"]),
        ("sweep.metric='eval/nll'", ["sweep.metric"]),
        ("distill.alpha=0.5", ["distill.alpha", "0.9 -> 0.5"]),
    ):
        with refused(ConfigError, tmp_path / "workdir", *facts):
            open_sweep(tmp_path, override)


def test_nothing_is_left_in_the_workdir_of_another_run(tmp_path, capsys):
    open_sweep(tmp_path, workdir=tmp_path / "other")
    checkpoint = tmp_path / "workdir/student/seed-0/checkpoints/step-1.npz"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    (tmp_path / "workdir/config.json").write_text('{"name": "another"}')
    before = sorted((tmp_path / "workdir").rglob("*"))
    flags = [f"--config={tmp_path}/sweep.toml", f"--workdir={tmp_path}/workdir"]
    assert main.main(["trainer", "sweep", *flags]) == exit_codes.UNUSABLE
    assert_states(capsys.readouterr().err, "--workdir", tmp_path / "workdir")
    assert sorted((tmp_path / "workdir").rglob("*")) == before


def test_a_journal_that_is_gone_or_damaged_is_said_and_not_begun_anew(tmp_path):
    sweep = open_sweep(tmp_path)
    all_of(sweep)
    journal = tmp_path / "workdir/sweep.journal"
    text = journal.read_bytes()
    journal.write_bytes(text[:-20] + b"\n" + text)
    with refused(files.StorageError, journal):
        open_sweep(tmp_path)
    journal.unlink()
    with refused(ConfigError, "sweep.storage", journal):
        open_sweep(tmp_path)
    assert not journal.exists()


@pytest.mark.parametrize(
    "url", ["", pytest.param("sqlite:///{}", marks=pytest.mark.slow)]
)
def test_a_storage_that_goes_while_a_trial_runs_is_said_and_not_begun_anew(
    url, tmp_path
):
    file = tmp_path / ("trials.db" if url else "workdir/sweep.journal")
    sweep = open_sweep(tmp_path, f"sweep.storage='{url.format(file)}'")
    claimed = trials.claim(sweep)
    file.unlink()
    title = "sweep.storage" if url else file
    with claimed.lock, refused(files.StorageError, title):
        trials.end(sweep, claimed, TrialState.COMPLETE, value=1.0)
    with refused(files.StorageError, title, "same command"):
        trials.claim(sweep)
    assert not file.exists()
    sweep.study._storage.remove_session()


def test_what_is_no_error_of_the_storage_is_not_said_to_be_one(tmp_path):
    sweep = open_sweep(tmp_path)
    with pytest.raises(KeyError), sweep.wrap_storage_errors():
        raise KeyError("of something else")
    # Optuna raises a KeyError too, of a line that is none of its own.
    with open(tmp_path / "workdir/sweep.journal", "a") as journal:
        journal.write('{"of": "something else"}\n')
    with refused(files.StorageError, tmp_path / "workdir/sweep.journal"):
        trials.claim(sweep)


def test_half_a_line_at_the_end_of_a_journal_is_as_if_it_were_not_there(tmp_path):
    sweep = open_sweep(tmp_path)
    trials.end(sweep, trials.claim(sweep), TrialState.COMPLETE, value=1.0)
    journal = tmp_path / "workdir/sweep.journal"
    text = journal.read_bytes()
    journal.write_bytes(text + text.splitlines()[-1][:20])  # of a full disk
    assert len(all_of(open_sweep(tmp_path))) == 2
    assert journal.read_bytes().startswith(text)
    # Others had it open.
    assert trials.claim(sweep) is None
    assert [trial.state.name for trial in sweep.study.get_trials()] == ["COMPLETE"] * 3


def test_a_read_only_folder_is_said(small_disk, tmp_path):
    trials.claim(open_sweep(tmp_path, workdir=small_disk)).lock.close()
    remount = ["mount", "-o", "remount,{}", str(small_disk)]
    subprocess.run([word.format("ro") for word in remount], check=True)
    try:
        with refused(files.StorageError, small_disk, os.strerror(errno.EROFS)):
            open_sweep(tmp_path, workdir=small_disk)
    finally:
        subprocess.run([word.format("rw") for word in remount], check=True)
    assert len(all_of(open_sweep(tmp_path, workdir=small_disk))) == 3


@pytest.mark.slow
def test_a_database_that_is_locked_gone_or_unknown_is_said(tmp_path):
    database = tmp_path / "trials.db"
    url = f"sweep.storage='sqlite:///{database}?timeout=1'"
    assert len(all_of(open_sweep(tmp_path, url))) == 3
    holder = sqlite3.connect(database)
    holder.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()
    with refused(files.StorageError, "sweep.storage", "database is locked"):
        open_sweep(tmp_path, url)
    assert time.monotonic() - started < 60
    holder.rollback()
    holder.close()
    assert trials.claim(open_sweep(tmp_path, url)) is None
    with contextlib.closing(sqlite3.connect(database)) as other, other:
        other.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    # As Optuna says it.
    with refused(files.StorageError, "sweep.storage", "table schema"):
        open_sweep(tmp_path, url)
    database.unlink()
    with refused(ConfigError, "sweep.storage", tmp_path / "workdir"):
        open_sweep(tmp_path, url)
    (tmp_path / "new").mkdir()
    secret = "sweep.storage='mysql+none://user:secret@host/trials'"
    with refused(files.StorageError, "mysql+none://user:***@host/trials"):
        open_sweep(tmp_path / "new", secret)
    # Addresses may hold passwords.
    written = [path.read_text() for path in (tmp_path / "workdir").rglob("*.json")]
    assert len(written) == 2
    assert not [text for text in written if "trials.db" in text]


def bandit(own, others, *, maximize=True, **options) -> bool:
    study = optuna.create_study(direction="maximize" if maximize else "minimize")
    for values in others:
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                value=values[-1],
                intermediate_values=dict(enumerate(values)),
            )
        )
    trial = study.ask()
    for step, value in enumerate(own):
        trial.report(value, step)
    return BanditPruner(BanditOptions(**options)).prune(study, study.trials[-1])


def test_bandit_ends_what_is_not_within_the_slack_of_the_best_at_that_interval():
    # The example of the documentation: 0.8 after as many intervals, a factor of 0.2.
    assert bandit([0.66], [[0.8]], slack_factor=0.2)
    assert not bandit([0.67], [[0.8]], slack_factor=0.2)
    # What others came to later does not count, nor what the trial lost since its best.
    assert not bandit([0.67], [[0.8, 0.99]], slack_factor=0.2)
    assert not bandit([0.7, 0.1], [[0.8, 0.6]], slack_factor=0.2)
    assert not bandit([0.1], [], slack_factor=0.2)
    # Of a loss less is better.
    assert bandit([1.21], [[1.0]], maximize=False, slack_factor=0.2)
    assert not bandit([1.19], [[1.0]], maximize=False, slack_factor=0.2)


def test_bandit_looks_at_multiples_of_its_interval_after_the_delay():
    options = {"slack_factor": 0.1, "evaluation_interval": 2, "delay_evaluation": 3}
    ended = [bandit([0.1] * n, [[0.9] * 6], **options) for n in range(1, 7)]
    assert ended == [False, False, False, True, False, True]


def test_a_journal_that_was_cut_is_told(tmp_path, capsys):
    open_sweep(tmp_path, "sweep.trials=3")
    sweep = open_sweep(tmp_path, "sweep.trials=3")
    assert len(all_of(sweep)) == 3
    path = tmp_path / "workdir" / "sweep.journal"
    # What came after the trials were last written down is begun again.
    path.write_bytes(path.read_bytes()[:-20])
    claimed = trials.claim(open_sweep(tmp_path, "sweep.trials=3"))
    claimed.lock.close()
    assert_states(capsys.readouterr().err, path, "half")
    whole = path.read_bytes()
    written = json.loads((tmp_path / "workdir" / "sweep.json").read_text())["journal"]
    # What was written down is not lost in silence, nor is another in its place.
    changed = whole[: written["bytes"]].replace(b"2.0", b"3.0", 1)
    for content in (b"", whole[: written["bytes"] // 2], changed):
        path.write_bytes(content)
        with refused(files.StorageError, path, f"{written['bytes']} bytes"):
            open_sweep(tmp_path, "sweep.trials=3")
