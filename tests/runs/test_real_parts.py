"""The tries with real systems: what they say where something lacks, and their table."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers.messages import assert_states
from tests.helpers.repository import REPOSITORY
from tests.tools.real_parts import outcomes, slurm

COMMAND = [sys.executable, "-m", "tests.tools.real_parts"]


def test_a_system_that_is_not_known_is_refused():
    done = subprocess.run(
        [*COMMAND, "slurn"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert_states(done.stderr, "slurm", "slurn")


def test_missing_packages_are_named_with_the_way_to_get_them(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(slurm, "_SYSTEM_FOLDERS", str(tmp_path))
    assert slurm.main([]) == 2
    assert_states(
        capsys.readouterr().err,
        *("slurmctld", "munged", "apt-get install slurm-wlm munge iproute2"),
    )


def test_a_part_that_fails_does_not_hide_those_after_it(capsys):
    def fail():
        raise outcomes.PartError("the job\nhas not completed")

    def break_off():
        raise KeyError("Restarts")

    found = [
        outcomes.attempt("one", fail),
        outcomes.attempt("two", break_off),
        outcomes.attempt("three", lambda: None),
    ]
    assert [outcome.result for outcome in found] == [
        "failed: the job has not completed",
        "failed: KeyError: 'Restarts'",
        "passed",
    ]
    assert outcomes.table(found).splitlines()[2:] == [
        "| one | 0 | failed: the job has not completed |",
        "| two | 0 | failed: KeyError: 'Restarts' |",
        "| three | 0 | passed |",
    ]
    assert len(capsys.readouterr().out.splitlines()) == 3


def processes_of(folder: pathlib.Path) -> list[int]:
    """The processes that have the folder in their command line or environment."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            told = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in told and int(path.name) != os.getpid():
            found.append(int(path.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(bool(slurm.lacking()), reason=slurm.lacking())
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_cluster_is_gone_with_the_program(tmp_path, number):
    folder = tmp_path / "kept"
    links = pathlib.Path("/sys/class/net")
    before = {path.name for path in links.iterdir()}
    mounts = pathlib.Path("/proc/mounts").read_text()
    process = subprocess.Popen(
        [*COMMAND, "slurm", f"--keep={folder}"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "slurm" in process.stdout.readline()  # the cluster is up
    assert len(processes_of(folder)) > 4
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode
    deadline = time.monotonic() + 10
    while processes_of(folder):
        assert time.monotonic() < deadline, processes_of(folder)
        time.sleep(0.1)
    assert {path.name for path in links.iterdir()} == before
    assert pathlib.Path("/proc/mounts").read_text() == mounts
