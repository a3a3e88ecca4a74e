"""Failures, restarts, signals and faults of workers on this machine."""

import os
import pathlib
import signal
import time

import pytest

from launch import main
from tests.helpers import launching
from tests.helpers.messages import assert_a_line_states, assert_states

# Tells that it is ready, then waits to be told to stop.
WAIT = """
def stop(code):
    print("stopped"); sys.stdout.flush(); os._exit(code)
def ready(folder):
    open(f"{folder}/{os.getpid()}.pid", "w").close()
"""


def attempts(out: str, name: str = "worker-1") -> int:
    """How often that worker has said that it starts."""
    return out.splitlines().count(f"[{name}] start")


def fail(code: int) -> str:
    """Worker 1 ends with `code`, worker 0 only when it is stopped."""
    end = f"os.kill(os.getpid(), {-code})" if code < 0 else f"sys.exit({code})"
    return f'print("start")\nif index: {end}\ntime.sleep(60)'


def test_the_first_failure_is_reported_and_the_rest_is_stopped(tmp_path):
    script = (
        WAIT
        + f"""
signal.signal(signal.SIGTERM, lambda *_: stop(143))
ready({str(tmp_path)!r})
if index == 1:
    while len(os.listdir({str(tmp_path)!r})) < 3: time.sleep(0.01)
    for i in range(30): print("line", i)
    os.write(2, b"the reason\\n")
    os.write(2, b"W0000 00:00:17 gpu.cc:1] of TensorFlow\\nI1122 more\\n")
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called\\n")
    sys.exit(5)
time.sleep(60)
"""
    )
    code, out, err = launching.run("--workers=3", script=script)
    assert code == 5
    assert "[worker-0] stopped" in out
    assert "[worker-2] stopped" in out
    assert "gpu.cc:1] of TensorFlow" in err
    summary = err.partition("launch: the last lines of worker-1:\n")[2].splitlines()
    facts = ("worker-1 failed", "exit code 5", "worker-1 with 5, worker-")
    assert_states(summary[-1], *facts)
    last_lines = [line.removeprefix("launch:   | ") for line in summary[:-1]]
    assert len(last_lines) == 20
    assert sorted(last_lines) == sorted(
        [*(f"line {i}" for i in range(11, 30)), "the reason"]
    )
    assert not [pid for pid in launching.pids(tmp_path, 3) if launching.is_alive(pid)]


def test_a_worker_that_does_not_stop_is_killed_after_the_grace(tmp_path):
    script = (
        WAIT
        + f"""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
ready({str(tmp_path)!r})
if index:
    while len(os.listdir({str(tmp_path)!r})) < 2: time.sleep(0.01)
    sys.exit(1)
time.sleep(60)
"""
    )
    begun = time.monotonic()
    code, _, err = launching.run("--workers=2", "--grace-secs=0.5", script=script)
    assert code == 1
    assert 0.5 < time.monotonic() - begun < 20
    first, *_, last = err.splitlines()
    assert_states(first, "worker-1", 1, "SIGTERM", "SIGKILL", "0.5 s")
    assert_states(last, "worker-1 with 1", "worker-0 with 137")


def test_an_early_success_of_one_lets_the_others_go_on():
    script = 'time.sleep(0.3 * index); print("done")'
    code, out, err = launching.run("--workers=2", script=script)
    assert (code, err) == (0, "")
    assert sorted(out.splitlines()) == ["[worker-0] done", "[worker-1] done"]


@pytest.mark.parametrize(
    "head_start_secs", [pytest.param(0.0, marks=pytest.mark.slow), 0.3]
)
def test_a_victim_of_a_lost_peer_is_not_blamed(head_start_secs):
    """Even where its end comes before that of its peer."""
    script = f"""
if index == 1:
    time.sleep({head_start_secs}); sys.exit(1)
sys.exit(138)
"""
    code, _, err = launching.run("--workers=3", "--max-restarts=3", script=script)
    assert code == 1
    assert_a_line_states(err, "worker-1 failed", "exit code 1")


@pytest.mark.slow
def test_where_there_are_victims_alone_the_first_one_speaks():
    script = 'print("start")\nif index: sys.exit(138)\ntime.sleep(60)'
    code, out, err = launching.run("--workers=2", "--max-restarts=1", script=script)
    assert code == 138
    assert attempts(out) == 2
    assert_a_line_states(err, "exit code 138", "ended: worker-1")


@pytest.mark.parametrize(
    ("end", "code", "facts"),
    [
        (-9, 137, ("SIGKILL", "memory", "grace")),
        pytest.param(-14, 142, ("SIGALRM", "workers"), marks=pytest.mark.slow),
        pytest.param(143, 143, ("SIGTERM", "checkpoint"), marks=pytest.mark.slow),
    ],
)
def test_what_may_succeed_next_time_is_started_again(end, code, facts):
    got, out, err = launching.run("--workers=2", "--max-restarts=2", script=fail(end))
    assert got == code
    assert attempts(out) == 3
    failures = [line for line in err.splitlines() if "worker-1 failed" in line]
    assert len(failures) == 3
    for line in failures:
        assert_states(line, f"exit code {code}", *facts)
    first, second, last = (line for line in err.splitlines() if "restart" in line)
    assert_states(first, "1 of 2")
    assert_states(second, "2 of 2")
    assert_states(last, "no", 2)


@pytest.mark.parametrize("end", [1, 130])
def test_what_a_restart_cannot_mend_is_not_started_again(end):
    code, out, err = launching.run("--workers=2", "--max-restarts=2", script=fail(end))
    assert code == end
    assert attempts(out) == 1
    assert "restart 1" not in err


def test_without_asking_nothing_is_started_again():
    code, out, _ = launching.run("--workers=2", script=fail(137))
    assert (code, attempts(out)) == (137, 1)


def test_a_restart_that_succeeds_ends_well_on_new_ports(tmp_path):
    script = f"""
if index:
    print(config["cluster"])
    if not os.path.exists({str(tmp_path / "again")!r}):
        open({str(tmp_path / "again")!r}, "w").close()
        sys.exit(137)
"""
    code, out, _ = launching.run("--workers=2", "--max-restarts=5", script=script)
    assert code == 0
    assert len(out.splitlines()) == len(set(out.splitlines())) == 2


def start_waiting(
    folder: pathlib.Path, *flags: str, at_signal: str
) -> tuple[launching.subprocess.Popen[str], list[int]]:
    """Two workers that wait, with the handlers that `at_signal` sets; their pids."""
    script = WAIT + f"{at_signal}\nready({str(folder)!r})\ntime.sleep(60)"
    process = launching.start("--workers=2", *flags, script=script)
    return process, launching.pids(folder, 2)


@pytest.fixture
def heard_hangups():
    """Processes that a test starts do not ignore SIGHUP, as they would under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGHUP, 143, marks=pytest.mark.slow),
        (signal.SIGINT, 130),
    ],
)
def test_a_signal_reaches_the_workers_and_starts_nothing_again(
    tmp_path, heard_hangups, number, code
):
    process, pids = start_waiting(
        tmp_path,
        "--max-restarts=3",
        at_signal=f"signal.signal({number}, lambda *_: stop(143))",
    )
    process.send_signal(number)
    got, out, err = launching.finish(process)
    assert got == code
    assert sorted(out.splitlines()) == ["[worker-0] stopped", "[worker-1] stopped"]
    assert_states(err, f"stopped by {number.name}")
    assert not [pid for pid in pids if launching.is_alive(pid)]


def test_workers_that_end_well_at_a_signal_are_a_success(tmp_path):
    process, _ = start_waiting(
        tmp_path, at_signal="signal.signal(signal.SIGTERM, lambda *_: stop(0))"
    )
    process.send_signal(signal.SIGTERM)
    assert launching.finish(process)[0] == 0


def test_after_a_signal_the_grace_is_kept(tmp_path):
    process, pids = start_waiting(
        tmp_path,
        "--grace-secs=0.5",
        at_signal="signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    )
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert all(launching.is_alive(pid) for pid in pids)
    code, _, err = launching.finish(process)
    assert code == 143
    assert "worker-0 with 137" in err


def test_a_second_interrupt_kills_at_once(tmp_path):
    process, pids = start_waiting(
        tmp_path,
        "--grace-secs=600",
        at_signal="signal.signal(signal.SIGINT, lambda *_: print('wait'))",
    )
    process.send_signal(signal.SIGINT)
    assert {process.stdout.readline() for _ in pids} == {
        "[worker-0] wait\n",
        "[worker-1] wait\n",
    }
    assert all(launching.is_alive(pid) for pid in pids)
    process.send_signal(signal.SIGINT)
    code, _, err = launching.finish(process)
    assert code == 130
    assert_states(err, "SIGINT, SIGINT")
    assert not [pid for pid in pids if launching.is_alive(pid)]


def test_nohup_keeps_a_lost_terminal_from_the_workers(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process, pids = start_waiting(tmp_path, at_signal="")
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert all(launching.is_alive(pid) for pid in pids)
    process.send_signal(signal.SIGTERM)
    assert launching.finish(process)[0] == 143


def test_a_killed_launcher_leaves_nobody(tmp_path):
    process, pids = start_waiting(
        tmp_path, at_signal="signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    )
    assert all(launching.is_alive(pid) for pid in pids)
    launching.end(process)
    launching.wait_for(lambda: not any(map(launching.is_alive, pids)))


def test_what_a_worker_leaves_running_ends_with_it(tmp_path):
    script = f"""
if os.fork() == 0:
    open(f"{tmp_path}/{{os.getpid()}}.pid", "w").close()
    time.sleep(60)
while not os.listdir({str(tmp_path)!r}): time.sleep(0.01)
print("done")
"""
    code, out, _ = launching.run("--workers=1", script=script)
    assert (code, out) == (0, "[worker-0] done\n")
    (pid,) = launching.pids(tmp_path, 1)
    launching.wait_for(lambda: not launching.is_alive(pid))


def test_a_launcher_whose_output_nobody_reads_keeps_its_times(tmp_path):
    script = (
        WAIT
        + f"""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
ready({str(tmp_path)!r})
while True: print("x" * 10000)
"""
    )
    process = launching.start(
        *("--workers=2", "--grace-secs=0.2", "--fault=kill:worker:1@secs=1"),
        script=script,
    )
    pids = launching.pids(tmp_path, 2)
    time.sleep(0.5)  # pipes and memory fill
    pages = pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    assert int(pages) * os.sysconf("SC_PAGE_SIZE") < 100e6
    launching.wait_for(lambda: not any(map(launching.is_alive, pids)))
    code, _, err = launching.finish(process)
    assert code == 137
    assert_a_line_states(err, "worker-1 with 137", "worker-0 with 137")


def test_faults_strike_their_worker_once_a_job_at_a_step_that_any_worker_tells(
    tmp_path,
):
    script = f"""
print("start")
for step in range(0, 150, 5):
    if index == 0: print(f"student seed 0: step {{step}}/150, loss 0.41")
    time.sleep(0.02)
if index == 0: open({str(tmp_path / "done")!r}, "w").close()
while not os.path.exists({str(tmp_path / "done")!r}): time.sleep(0.01)
"""
    code, out, err = launching.run(
        "--workers=2",
        "--max-restarts=2",
        "--fault=kill:worker:1@step=12",
        "--fault=term:worker:0@step=17",
        script=script,
    )
    assert code == 0, err
    assert attempts(out, "worker-0") == 3
    assert_a_line_states(err, "worker-1 failed", "exit code 137")
    assert_a_line_states(err, "worker-0 failed", "exit code 143")
    for step, fault in ((15, "kill:worker:1@step=12"), (20, "term:worker:0@step=17")):
        assert f"[worker-0] student seed 0: step {step}/150" in out
        assert err.count(f"launch: fault {fault}\n") == 1


def test_a_stopped_worker_is_killed_when_its_peers_have_given_up():
    script = """
if index == 0:
    print(": step 3/9"); time.sleep(0.3); sys.exit(138)
time.sleep(60)
"""
    code, _, err = launching.run(
        *("--workers=2", "--grace-secs=0.2", "--fault=stop:worker:1@step=3"),
        script=script,
    )
    assert code == 138
    ends = ("worker-0 with 138", "worker-1 with 137")
    last = err.splitlines()[-1]
    assert_states(last, "worker-0 failed", "exit code 138", *ends, "SIGTERM", "hung")


def test_codes_of_the_trainer_are_explained_for_the_trainer_alone(capfd):
    words = ["launch", "local", "--workers=1", "--", "python", "-m", "trainer", "rnu"]
    assert main.main(words) == 2
    assert_a_line_states(capfd.readouterr().err, "exit code 2", "unusable")
    code, _, err = launching.run("--workers=1", script="sys.exit(2)")
    assert code == 2
    assert_states(err, "worker-0 failed", "exit code 2", "worker-0 with 2")
    assert "unusable" not in err


def test_a_fault_can_come_after_a_time_and_one_that_did_not_come_is_told():
    begun = time.monotonic()
    code, _, err = launching.run(
        *(
            "--workers=2",
            "--fault=kill:worker:0@secs=1",
            "--fault=kill:worker:0@step=1",
        ),
        script="time.sleep(60)",
    )
    assert 1 < time.monotonic() - begun < 20
    assert code == 137
    first, *_, last = err.splitlines()
    assert_states(first, "kill:worker:0@secs=1")
    assert_states(last, "kill:worker:0@step=1", "not")
