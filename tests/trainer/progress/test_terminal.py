"""A run on a terminal: what is drawn anew, what stays, and what is plain elsewhere."""

import re
import signal
import subprocess
import sys

import pytest

from tests.helpers import terminal
from tests.helpers.repository import REPOSITORY
from trainer.progress.run_progress import describe

# A run of ours in small: what it shows is drawn as often as it is asked for.
PROGRAM = """
import itertools, signal, sys, time
from trainer import console
from trainer.progress import RunProgress, is_terminal, region
from trainer.progress.time_left import Work

signal.signal(signal.SIGINT, signal.default_int_handler)  # also in a background
region._EVERY_SECS = 0.0
seconds = itertools.count()  # each look at the clock takes one
progress = RunProgress(is_live=is_terminal(), clock=lambda: float(next(seconds)))
works = [
    Work(stage=role, title=f"{role} seed 0", kind=role, network=role, examples=100)
    for role in ("teacher", "student")
]
progress.plan(("teacher", "student", "evaluate"), works)
with progress.stage("teacher"):
    title, last = "teacher seed 0", 100
    span = {"first_step": 0, "last_step": last, "epoch_steps": 40}
    with progress.steps(title, **span, metric="accuracy") as bar:
        for step in (25, 50, 75, 100):
            bar.advance(step)
            bar.validate()
            metrics = {"train/loss": 1 / step, "perf/examples_per_sec": 1e4}
            bar.show(step, metrics)
            if step == 50:
                console.log("a line of ours")
                print("of a callback")
                print("in the middle", file=sys.stderr, flush=True)
                WAIT
with progress.stage("student"):
    with progress.bar("soft targets of train", 500, unit="prediction") as bar:
        bar.update(500)
with progress.stage("evaluate", "evaluating"):
    pass
console.log("the end")
"""
LINES = [
    "trainer: a line of ours",
    "of a callback",
    "✓ teacher seed 0: loss 0.0100, 10000 examples/s, TIME",
    "trainer: the end",
]


def transcript(wait: str = "pass", **options) -> terminal.Transcript:
    program = PROGRAM.replace("WAIT", wait)
    words = [sys.executable, "-c", program]
    return terminal.run(words, PYTHONPATH=str(REPOSITORY), **options)


def left(found: terminal.Transcript) -> list[str]:
    """The lines that stay, without the time that something took."""
    lines = [re.sub(r"\d+ (s|min)$", "TIME", line) for line in found.lines if line]
    return [line for line in lines if line != "in the middle"]


def test_only_what_is_worth_keeping_stays_on_a_terminal():
    found = transcript()
    assert found.code == 0
    assert left(found) == LINES
    shown = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", found.raw)
    for drawn in (
        "▸ teacher  · student  · evaluate",
        "✓ teacher  ✓ student  ▸ evaluate",
        "epoch 1.2 of 2.5",
        "loss 0.0400, 10000 examples/s",
        "compiling",
        "evaluating",
        "500 of 500 predictions",
    ):
        assert drawn in shown
    assert re.search(r"about \d+ s left", shown)
    assert "step 25/100" not in shown


def test_the_time_left_covers_what_comes_after_the_stages():
    found = transcript(wait="progress.later_secs = 7200.0")
    shown = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", found.raw)
    assert re.search(r"about \d+ s left", shown)  # before it is known
    assert re.search(r"about 2 h 0\d min left", shown)


@pytest.mark.parametrize("columns", [24, 40])
def test_a_narrow_terminal_folds_lines_and_no_colours_are_none(columns):
    found = transcript(columns=columns, NO_COLOR="1")
    assert found.code == 0
    assert " ".join(" ".join(left(found)).split()) == " ".join(LINES)
    assert not re.search(r"\x1b\[[\d;]*m", found.raw)
    drawn = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", found.raw)
    assert max(map(len, re.split(r"[\r\n]+", drawn))) <= columns


def test_signs_are_ascii_where_nothing_else_can_be_shown():
    found = transcript(PYTHONIOENCODING="ascii")
    assert found.code == 0
    assert found.raw.isascii()
    assert left(found)[2].startswith("+ teacher seed 0: ")


@pytest.mark.parametrize("how", ["file", "dumb"])
def test_elsewhere_lines_are_plain(how):
    if how == "dumb":
        text = transcript(TERM="dumb").raw.replace("\r\n", "\n")
        text = text.replace("of a callback\n", "")
    else:
        words = [sys.executable, "-c", PROGRAM.replace("WAIT", "pass")]
        env = {"PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(words, env=env, capture_output=True, text=True)
        text = done.stderr
        assert done.stdout == "of a callback\n"
    assert text == (
        "teacher seed 0: step 25/100, loss 0.0400, 10000 examples/s\n"
        "teacher seed 0: step 50/100, loss 0.0200, 10000 examples/s\n"
        "trainer: a line of ours\n"
        "in the middle\n"
        "teacher seed 0: step 75/100, loss 0.0133, 10000 examples/s\n"
        "teacher seed 0: step 100/100, loss 0.0100, 10000 examples/s\n"
        "trainer: the end\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_ended_leaves_the_cursor(number):
    sent = []

    def end(process: subprocess.Popen, text: str) -> None:
        if "in the middle" in text and not sent:
            process.send_signal(number)
            sent.append(number)

    found = transcript(wait="time.sleep(60)", on_text=end)
    assert (found.code != 0, sent) == (True, [number])
    assert "\x1b[?25l" not in found.raw
    if number == signal.SIGINT:  # Python ends by itself, and takes what it drew away
        assert found.lines[-1] == "KeyboardInterrupt"
        assert not any("▸" in line for line in found.lines)


def test_a_logged_step_tells_what_was_measured():
    rate = {"perf/examples_per_sec": 1200.4}
    assert describe(rate, "accuracy") == "1200 examples/s"
    metrics = {"train/loss": 0.4, "eval/accuracy": 0.9, "eval/auc": 0.75, **rate}
    told = "loss 0.4000, validation {}, 1200 examples/s"
    assert describe(metrics, "accuracy") == told.format("0.9000")
    assert describe(metrics, "auc") == told.format("auc 0.7500")
