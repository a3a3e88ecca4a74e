"""SIGTERM, Ctrl-C, a hung step and Kubernetes's log: each with a process of its own."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from tests.helpers import groups, whole_run
from tests.helpers.messages import assert_a_line_states, assert_states
from tests.helpers.repository import REPOSITORY
from trainer.cluster.termination import Termination
from trainer.cluster.termination import stop_error as stopped_by
from trainer.exit_codes import from_error

BEGIN = """
import time
from trainer import exit_codes
from trainer.cluster.termination import StoppedError, Termination, sigterm_blocked

end = Termination(grace_secs={grace}, watchdog_secs={watchdog}, is_guest={is_guest})
with sigterm_blocked(), end.listening():
"""


def program(
    body: str,
    *,
    grace: float = 20,
    watchdog: float = 60,
    at_interrupt: signal.Handlers = signal.SIG_DFL,
    is_guest: bool = False,
):
    """A process that listens in `body`; a shell may have it ignore Ctrl-C."""
    code = BEGIN.format(grace=grace, watchdog=watchdog, is_guest=is_guest)
    code += textwrap.indent(textwrap.dedent(body), "    ")
    before = signal.signal(signal.SIGINT, at_interrupt)
    try:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)


def stopped(
    process: subprocess.Popen, number: signal.Signals = signal.SIGTERM
) -> tuple[int, str, float]:
    """Sends a signal at the first line; code, words and seconds until the end."""
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    asked = time.monotonic()
    _, err = process.communicate(timeout=30)
    return process.returncode, err, time.monotonic() - asked


def test_where_nobody_answers_the_process_ends_at_once():
    code, err, secs = stopped(program("print('ready', flush=True); time.sleep(60)"))
    assert (code, secs < 5) == (143, True)
    [line] = err.splitlines()
    assert line.startswith("trainer: ")
    assert_states(line, "SIGTERM")


def test_ctrl_c_where_nobody_answers_is_an_interrupt_of_the_main_thread():
    process = program(
        """
        try:
            with end.leaving(lambda: print("left", flush=True)):
                print("ready", flush=True)
                time.sleep(60)
        except KeyboardInterrupt:
            print("put away", flush=True)
            raise SystemExit(7)
        """
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (7, "put away\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_where_somebody_answers_the_work_ends_in_its_own_time(number):
    process = program(
        """
        asked = []
        with end.handle_with(asked.append):
            print("ready", flush=True)
            while not asked:
                time.sleep(0.05)
            time.sleep(0.5)
            raise SystemExit(7)
        """
    )
    code, err, secs = stopped(process, number)
    assert (code, 0.4 < secs < 5) == (7, True)
    assert ("once more" in err) == (number == signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_work_that_ends_before_it_could_answer_is_not_followed_by_more(number):
    process = program(
        """
        try:
            with end.handle_with(lambda wish: None):
                print("ready", flush=True)
                time.sleep(1)
            print("went on", flush=True)
        except StoppedError as error:
            raise SystemExit(exit_codes.from_error(error))
        """
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (128 + number, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_deadline_holds_whatever_the_main_thread_does(number):
    process = program(
        """
        with end.handle_with(lambda wish: None):
            print("ready", flush=True)
            time.sleep(60)
        """,
        grace=1,
    )
    code, err, secs = stopped(process, number)
    assert (code, 0.9 < secs < 10) == (128 + number, True)
    assert_a_line_states(err, "runtime.grace_secs = 1", "runtime.steps_per_loop")


def test_a_second_ctrl_c_ends_at_once_after_what_is_done_at_last():
    process = program(
        """
        with (
            end.leaving(lambda: print("given back", flush=True)),
            end.handle_with(lambda wish: print("asked", flush=True)),
        ):
            print("ready", flush=True)
            time.sleep(60)
        """
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=5)
    assert (process.returncode, out) == (130, "given back\n")
    assert_states(err.splitlines()[-1], "interrupted again", "nothing")


def test_a_program_that_has_a_guest_goes_on_after_ctrl_c():
    process = program(
        """
        try:
            with end.handle_with(lambda wish: print("asked", flush=True)):
                print("ready", flush=True)
                time.sleep(60)
        except KeyboardInterrupt:
            pass
        with end.watchdog("a step"):
            time.sleep(2)
        print("goes on", flush=True)
        """,
        is_guest=True,
        watchdog=1,
        grace=0.1,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "asked\n"
    time.sleep(0.5)  # longer than what is given
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "goes on\n")
    assert_a_line_states(err, "a step", "runtime.watchdog_secs = 1")


def test_a_guest_hears_sigterm_also_where_threads_came_before_it():
    code = """
import threading, time
from trainer.cluster.termination import StoppedError, Termination
threading.Thread(target=lambda: time.sleep(60), daemon=True).start()
end = Termination(grace_secs=20, watchdog_secs=60, is_guest=True)
asked = []
try:
    with end.listening(), end.handle_with(asked.append):
        print("ready", flush=True)
        while not asked:
            time.sleep(0.05)
except StoppedError as error:
    print("saved", flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "saved\n", "")


def test_a_guest_in_another_thread_leaves_signals_alone():
    end = Termination(grace_secs=20, watchdog_secs=60, is_guest=True)
    before = signal.getsignal(signal.SIGINT)
    heard = []

    def listen():
        with end.listening():
            heard.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert heard == [before]


def test_ctrl_c_that_a_shell_keeps_from_its_background_is_nothing():
    process = program(
        """
        with end.handle_with(lambda wish: print("asked", flush=True)):
            print("ready", flush=True)
            time.sleep(0.5)
        """,
        at_interrupt=signal.SIG_IGN,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert (*process.communicate(timeout=30), process.returncode) == ("", "", 0)


def test_one_ctrl_c_is_seen_among_all_steps_of_all_workers():
    terminated = 1.0 * 4096 * 1_000_000  # each worker, in each step of a loop
    assert from_error(stopped_by(terminated, " here")) == 143
    assert_states(str(stopped_by(terminated, " here")), "SIGTERM", "here")
    for wish in (2.0**40, 2.0**40 + terminated, 2.0**40 * 4096 * 1_000_000):
        assert from_error(stopped_by(wish, "")) == 130


def test_a_process_that_is_not_stopped_ends_as_ever():
    process = program("pass")
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def test_a_hung_action_ends_the_process_and_shows_where_it_hangs():
    process = program(
        """
        def collective_that_never_ends():
            time.sleep(60)

        with end.watchdog("teacher seed 0: 50 steps"):
            collective_that_never_ends()
        """,
        watchdog=1,
    )
    _, err = process.communicate(timeout=30)
    assert process.returncode == 138
    assert "in collective_that_never_ends" in err
    facts = ("teacher seed 0", "50 steps", "runtime.watchdog_secs = 1")
    assert_a_line_states(err, *facts)


@pytest.mark.slow
def test_an_action_in_time_is_not_hung():
    process = program(
        """
        for _ in range(3):
            with end.watchdog("an action"):
                time.sleep(0.4)
        time.sleep(1.5)
        """,
        watchdog=1,
    )
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


@pytest.fixture
def termination_log():
    """The file that Kubernetes makes for each container."""
    path = pathlib.Path("/dev/termination-log")
    try:
        path.touch(exist_ok=False)
    except OSError as error:
        pytest.skip(f"{path} cannot be made: {error.strerror}")
    yield path
    path.unlink()


def test_kubernetes_is_told_code_and_reason(termination_log, tmp_path, tfds_dir):
    config = whole_run.write_config(tmp_path, tfds_dir)
    command = whole_run.start("run", config, tmp_path / "w", "--set=distill.alpha=2.0")
    code, _, err = whole_run.finish(command)
    told = json.loads(termination_log.read_text())
    assert (code, told["code"]) == (2, 2)
    assert "distill.alpha" in told["reason"]
    assert f"trainer: {told['reason']}" == err.splitlines()[-1]
    code, err, _ = stopped(program("print('ready', flush=True); time.sleep(60)"))
    told = json.loads(termination_log.read_text())
    assert told["code"] == 143
    assert told["reason"] in err


# The same in whole runs, in the phases that block the main thread.


@pytest.fixture
def config(tmp_path, tfds_dir):
    return whole_run.write_config(tmp_path, tfds_dir)


def ends(group: groups.Group, ranks, *, within: float) -> None:
    asked = time.monotonic()
    for rank in ranks:
        group.workers[rank].send_signal(signal.SIGTERM)
    assert set(group.codes(within + 30).values()) == {143}
    assert time.monotonic() - asked < within


@pytest.mark.slow
def test_sigterm_during_the_rendezvous_ends_at_once(config, tmp_path):
    for rank in (0, 1):
        with groups.Group(tmp_path, 2) as group:
            command = whole_run.command("run", config, tmp_path / "w", *groups.SMALL)
            group.start(rank, command)
            group.wait_for(rank, f"worker-{rank} is one of worker-0 (")
            time.sleep(1)
            ends(group, [rank], within=3)


@pytest.mark.slow
def test_sigterm_during_the_first_trace_saves_the_first_loop(config, tmp_path):
    """XLA takes seconds to compile, and steps_per_loop = 5 are one loop."""
    more = ("--set=runtime.xla='on'", "--set=teacher.options.filters=[8,16,16,16]")
    workdir = tmp_path / "w"
    with groups.running(
        tmp_path, 2, "run", config, workdir, *groups.SMALL, *more
    ) as group:
        group.wait_for(0, "in memory")
        while not (workdir / "teacher" / "metrics.jsonl").exists():
            time.sleep(0.01)
        ends(group, [1], within=25)
    assert "step 5/" not in group.err(0)
    (saved,) = (workdir / "teacher" / "checkpoints").glob("step-*.npz")
    assert saved.name == "step-00000005.npz"


def saved_steps(workdir: pathlib.Path) -> list[int]:
    found = (workdir / "teacher" / "checkpoints").glob("step-*.npz")
    return sorted(int(path.stem.removeprefix("step-")) for path in found)


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_saves_and_is_no_reason_to_start_again(config, tmp_path):
    words = whole_run.command("teacher", config, tmp_path / "w", *groups.SMALL)
    launcher = ["launch", "local", "--workers=2", "--max-restarts=2", "--"]
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", *launcher, "python", "-m", *words),
            "--set=teacher.train.steps=40000",
        ],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,  # as a shell starts it
    )
    signal.signal(signal.SIGINT, before)
    while "step 30/" not in process.stderr.readline():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    step = saved_steps(tmp_path / "w")[-1]
    for rank in (0, 1):
        facts = (f"[worker-{rank}] trainer: interrupted", f"step {step}", "saved")
        assert_a_line_states(err, *facts)
    assert "restart" not in err


@pytest.mark.slow
def test_ctrl_c_at_one_of_two_workers_interrupts_both(config, tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    more = (*groups.SMALL, "--set=teacher.train.steps=40000")
    with groups.running(tmp_path, 2, "teacher", config, tmp_path / "w", *more) as group:
        signal.signal(signal.SIGINT, before)
        group.wait_for(0, "step 30/")
        group.workers[1].send_signal(signal.SIGINT)
        assert set(group.codes(60).values()) == {130}
    step = saved_steps(tmp_path / "w")[-1]
    for rank in (0, 1):
        facts = ("interrupted", f"step {step}", "saved")
        assert_a_line_states(group.err(rank), *facts)


@pytest.mark.slow
def test_sigterm_while_the_main_thread_waits_in_a_collective(config, tmp_path):
    more = (
        *groups.SMALL,
        "--set=teacher.train.steps=4000",
        "--set=runtime.grace_secs=5",
    )
    with groups.running(tmp_path, 2, "run", config, tmp_path / "w", *more) as group:
        group.wait_for(0, "step 25/4000")
        group.workers[1].send_signal(signal.SIGSTOP)
        time.sleep(2)
        asked = time.monotonic()
        group.workers[0].terminate()
        # Its peer does not answer, so the deadline ends it.
        assert group.workers[0].wait(20) == 143
        assert time.monotonic() - asked < 8
        assert "grace_secs = 5" in group.err(0)


@pytest.mark.slow
def test_sigterm_during_an_evaluation_ends_it(config, tmp_path):
    """5,000 examples in steps of 2 take minutes."""
    more = (
        *groups.SMALL,
        "--set=data.validation_split='train[5000:]'",
        "--set=runtime.eval_batch_size=2",
        "--set=runtime.save_every_steps=40",
        "--set=runtime.eval_every_steps=20",
    )
    workdir = tmp_path / "w"
    with groups.running(tmp_path, 2, "run", config, workdir, *more) as group:
        group.wait_for(0, "step 15/40")
        time.sleep(2)
        assert "step 20/40" not in group.err(0)
        ends(group, [1], within=10)
    for rank in (0, 1):
        assert_a_line_states(group.err(rank), "SIGTERM", "evaluation")
    (saved,) = (workdir / "teacher" / "checkpoints").glob("step-*.npz")
    assert saved.name == "step-00000020.npz"
