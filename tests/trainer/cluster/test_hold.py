"""One process trains in a folder: those of one host, of two, and in a store."""

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from etils import epath

from tests.helpers import stores, whole_run
from tests.helpers.checkpoints import build
from tests.helpers.messages import assert_a_line_states, assert_states, refused
from tests.helpers.repository import REPOSITORY
from trainer import main
from trainer.cluster import hold, restart_budget
from trainer.cluster.hold import FREE, FolderInUseError, LeaseLostError
from trainer.cluster.termination import Termination
from trainer.soft_targets import alone
from trainer.storage import files, lease, locks, workdir
from trainer.storage.lease import Lease
from trainer.train import checkpoint, checkpoint_file

SECS = 0.6  # of a lease, in place of 60

# A process of a host, which holds a folder and writes there as a training does.
HOLDER = f"""
import socket, sys, time
from etils import epath
name, folder, secs = sys.argv[1:]
socket.gethostname = lambda: name
from trainer.cluster import hold, termination
hold.LEASE_SECS, hold._RENEW_SECS, hold._LOOK_SECS = {SECS}, 0.1, 0.02
end = termination.Termination(grace_secs=5, watchdog_secs=60)
holding = hold.hold_folder(epath.Path(folder), end, within=hold.FREE)
with termination.sigterm_blocked(), end.listening(), holding as own:
    begun = time.monotonic()
    while time.monotonic() < begun + float(secs):
        own.check()
        with open(folder + "/lines", "a") as file:
            is_first = not file.tell()
            file.write(name)
        if is_first:
            print("holds", flush=True)
        time.sleep(0.05)
"""


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(hold, "LEASE_SECS", SECS)
    monkeypatch.setattr(hold, "_RENEW_SECS", 0.1)
    monkeypatch.setattr(hold, "_LOOK_SECS", 0.02)
    monkeypatch.setattr(hold, "_WRITING_SECS", 0.2)
    monkeypatch.setattr(lease, "SETTLING_SECS", 0.02)


@pytest.fixture
def unattended(monkeypatch):
    """The thread that would end this process comes too late."""
    monkeypatch.setattr(hold, "_RENEW_SECS", 60)


@pytest.fixture(params=["disk", "store"])
def folder(request, tmp_path):
    """A folder in each kind of place."""
    if request.param == "disk":
        return epath.Path(tmp_path / "w")
    return request.getfixturevalue("store")


@pytest.fixture
def name(monkeypatch):
    """Gives this process the name of a host."""
    return lambda host: monkeypatch.setattr("socket.gethostname", lambda: host)


def held(folder, *, within=FREE):
    end = Termination(grace_secs=5, watchdog_secs=60)
    return hold.hold_folder(epath.Path(folder), end, within=within)


def holder(folder, *, host="here", secs=60):
    """A process that holds the folder by now."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, host, str(folder), str(secs)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "holds\n", process.communicate()
    return process


def kill(process):
    process.kill()
    process.communicate()


def killed(folder):
    """The lease of a process that was killed, on the host of this name."""
    dead = Lease(folder, secs=60, hint="")
    dead.take(at_once=True)
    return dead


def listing(folder):
    if files.is_remote(folder):
        return stores.listing(str(folder))
    return sorted(os.listdir(folder))


def test_a_clean_end_gives_the_hold_back(folder):
    with held(folder) as own:
        own.check()
        assert "lease.json" in listing(folder)
        assert not hold.is_free(folder)
    assert listing(folder) == []
    with pytest.raises(ZeroDivisionError), held(folder):
        raise ZeroDivisionError
    assert listing(folder) == []
    assert hold.is_free(folder)


def test_a_second_process_of_the_host_is_told_who_holds_it_at_once(tmp_path, name):
    name("here")
    process = holder(tmp_path)
    begun = time.monotonic()
    with pytest.raises(FolderInUseError) as caught, held(tmp_path):
        pytest.fail("two hold it")
    assert time.monotonic() - begun < SECS / 2
    assert_states(str(caught.value), process.pid, "here", "UTC")
    assert re.search(r"\b20\d\d-\d\d-\d\d\b", str(caught.value))
    kill(process)
    # Its lock has gone with it.
    begun = time.monotonic()
    with held(tmp_path):
        assert time.monotonic() - begun < SECS / 2
        with refused(FolderInUseError, os.getpid(), "here"):
            held(tmp_path).__enter__()


def test_a_live_process_of_another_host_is_waited_for_in_vain(tmp_path, name, capsys):
    name("there")
    process = holder(tmp_path, host="here")
    with refused(LeaseLostError, process.pid, "here"), held(tmp_path):
        pytest.fail("two hold it")
    assert_states(capsys.readouterr().err, process.pid, "here")
    assert process.poll() is None
    kill(process)
    # Of the lock alone nobody could tell where that was.
    begun = time.monotonic()
    with held(tmp_path):
        assert SECS <= time.monotonic() - begun < 3 * SECS


def test_a_killed_process_of_another_host_is_waited_for(folder, name, capsys):
    name("here")
    killed(folder)
    name("there")
    begun = time.monotonic()
    with held(folder) as own:
        assert SECS <= time.monotonic() - begun < 2 * SECS
        own.check()
        told = capsys.readouterr().err
        assert_states(told, os.getpid(), "here", "0.6 s")
    assert hold.is_free(folder)


def test_a_machine_that_was_started_again_is_another_host(tmp_path, monkeypatch):
    folder = epath.Path(tmp_path)
    monkeypatch.setattr(lease, "_boot", lambda: "before")
    killed(folder)
    monkeypatch.setattr(lease, "_boot", lambda: "after")
    begun = time.monotonic()
    with held(folder):
        assert time.monotonic() - begun >= SECS


def test_what_a_killed_run_held_within_its_workdir_is_not_waited_for_twice(
    tmp_path, name, unattended
):
    folder = epath.Path(tmp_path)
    name("here")
    dead = killed(folder)
    cell = folder / "cells" / "a"
    files.write_text(cell / lease.FILE, dead.path.read_text())
    name("there")
    with held(folder) as own:
        begun = time.monotonic()
        with held(cell, within=own) as inner:
            assert time.monotonic() - begun < SECS / 2
            inner.check()
            (folder / lease.FILE).unlink()
            with refused(LeaseLostError, folder / lease.FILE):
                inner.check()


def test_a_hold_that_is_given_back_meanwhile_is_taken_at_once(tmp_path, name):
    name("there")
    process = holder(tmp_path, host="here", secs=0.05)
    # Before the first renewal.
    with held(tmp_path) as own:
        own.check()
    assert (*process.communicate(timeout=10), process.returncode) == ("", "", 0)


@pytest.mark.parametrize("secs", [-86400, 86400], ids=["back", "on"])
def test_the_clocks_of_hosts_may_differ_by_a_day(store, name, monkeypatch, secs):
    folder = store
    name("here")
    with held(folder):
        name("there")
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda real=time.time: real() + secs)
            with pytest.raises(LeaseLostError), held(folder):
                pytest.fail("two hold it")
            dead = killed(folder / "w")
    name("here")
    with held(dead.path.parent) as own:
        own.check()


def test_a_process_that_was_stopped_and_taken_over_from_writes_nothing(tmp_path, name):
    process = holder(tmp_path, host="here")
    process.send_signal(signal.SIGSTOP)
    name("there")
    with held(tmp_path) as own:
        lines = (tmp_path / "lines").read_text()
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=10)
        own.check()
        assert process.returncode in (1, 138)  # of main's own, or of main.main
        assert_a_line_states(err, os.getpid(), "there")
        assert (tmp_path / "lines").read_text() == lines
        # Now that it is gone its lock keeps others of this host out.
        time.sleep(0.3)
        with pytest.raises(FolderInUseError), held(tmp_path):
            pytest.fail("two hold it")


def test_no_checkpoint_is_written_without_the_hold(folder, unattended):
    model, optimizer = build()
    with held(folder) as own:
        kept = checkpoint.Checkpoints(
            folder / "c",
            state={"model": model.variables, "optimizer": optimizer.variables},
            run="run",
            keep=2,
            check_held=own.check,
        )
        kept.save(checkpoint_file.Progress(step=1))
        killed(folder)  # another one has taken over
        with pytest.raises(LeaseLostError):
            kept.save(checkpoint_file.Progress(step=2))
    assert listing(folder / "c") == ["step-00000001.npz"]
    # Nor is the hold of the other one given back.
    assert "lease.json" in listing(folder)


@pytest.mark.parametrize("code", ["ENOLCK", "EOPNOTSUPP", "ENOSYS"])
def test_a_disk_without_locks_is_told_of_once(tmp_path, monkeypatch, capsys, code):
    def no_locks(*args):
        number = getattr(errno, code)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    path = epath.Path(tmp_path)
    with held(path) as own, alone(path / "cache"):
        own.check()
        time.sleep(0.3)  # renewals
        with pytest.raises(LeaseLostError), held(path):
            pytest.fail("two hold it")
    told = capsys.readouterr().err
    assert told.count("warning") == 2  # by each of the two
    reason = os.strerror(getattr(errno, code))
    assert_a_line_states(told, "training.lock", reason)
    with pytest.raises(locks.NoLocksError):
        locks.try_lock(path / "sweep.lock")


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "[" * 100_000, '{"owner": "a", "until": 1e999}'),
        '{"owner": "a", "until": 1' + 400 * "0" + "}",
    ],
)
def test_a_lease_that_says_nothing_is_named(folder, text):
    files.write_text(folder / lease.FILE, text)
    with refused(files.StorageError, folder / lease.FILE):
        held(folder).__enter__()


def test_who_comes_second_changes_nothing_and_readers_are_let_in(
    tmp_path, tfds_dir, name, capsys
):
    config = whole_run.write_config(tmp_path, tfds_dir)
    path = tmp_path / "w"
    name("here")
    with held(path):
        files.write_text(epath.Path(path / restart_budget._FILE), "{}")
        files.write_text(epath.Path(path / workdir.PINS), "{}")
        before = listing(path)
        for command in ("run", "baseline", "evaluate", "crossval"):
            assert main.main(whole_run.command(command, config, path)) == 2
            assert_a_line_states(capsys.readouterr().err, path, os.getpid(), "here")
        assert main.main(whole_run.command("report", config, path)) == 2
        assert os.strerror(errno.ENOENT) in capsys.readouterr().err
        name("there")
        assert main.main(whole_run.command("run", config, path)) == 138
        told = capsys.readouterr().err
        assert_a_line_states(told, path, os.getpid(), "--workdir")
        assert listing(path) == before
