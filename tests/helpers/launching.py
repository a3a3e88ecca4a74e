"""`python -m launch local` with workers of a few lines."""

import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from tests.helpers.repository import REPOSITORY

_BEGINNING = """\
import json, os, signal, sys, time
config = json.loads(os.environ["TF_CONFIG"])
index = config["task"]["index"]
"""


def start(*flags: str, script: str, **variables: str) -> subprocess.Popen[str]:
    """The launcher with workers that run `script`, which knows its `index`."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "launch", "local", *flags, "--"),
            # Without -S half of a worker's time would go to finding packages.
            *("python", "-S", "-c", _BEGINNING + script),
        ],
        cwd=REPOSITORY,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def run(*flags: str, script: str, **variables: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the launcher."""
    return finish(start(*flags, script=script, **variables))


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def pids(folder: pathlib.Path, count: int) -> list[int]:
    """The numbers in the files of `folder`, once there are so many."""
    wait_for(lambda: len(list(folder.glob("*.pid"))) == count)
    return [int(path.stem) for path in folder.glob("*.pid")]


def is_alive(pid: int) -> bool:
    """Whether the process runs or is stopped; neither gone nor a zombie."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] not in ("Z", "X")


def end(process: subprocess.Popen[str]) -> None:
    """Leaves nothing behind after a failed test."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
