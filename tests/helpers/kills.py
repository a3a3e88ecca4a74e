"""Processes that are killed in the middle of a training."""

import pathlib
import signal
import subprocess
import time

from trainer.train.events import read_metrics


def kill_between_two_saves(process: subprocess.Popen, folder: pathlib.Path) -> int:
    """Sends SIGKILL at a logged step that is no save; gives the last logged step.

    Saves come every 100 steps, lines every 5.
    """
    path = folder / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        lines = read_metrics(path)
        if lines and lines[-1]["step"] > 100 and 20 < lines[-1]["step"] % 100 < 70:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return read_metrics(path)[-1]["step"]
        time.sleep(0.01)
    raise TimeoutError(folder)
