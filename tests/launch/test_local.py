"""What each worker of this machine is given, and where what it says goes."""

import errno
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from launch import main
from tests.helpers import launching
from tests.helpers.messages import assert_states
from tests.helpers.repository import REPOSITORY

SAY_ENVIRONMENT = "print(json.dumps(dict(os.environ)))"


def environments(*flags: str, **variables: str) -> list[dict[str, str]]:
    """What the workers say of their environment, by index."""
    code, out, err = launching.run(*flags, script=SAY_ENVIRONMENT, **variables)
    assert code == 0, err
    by_name = dict(line.split(" ", 1) for line in out.splitlines())
    return [json.loads(by_name[name]) for name in sorted(by_name)]


def test_each_worker_is_one_task_of_a_cluster_on_loopback():
    told = environments("--workers=3", TF_CONFIG="{}")
    configs = [json.loads(environment["TF_CONFIG"]) for environment in told]
    assert [config["task"] for config in configs] == [
        {"type": "worker", "index": index} for index in range(3)
    ]
    assert configs[0]["cluster"] == configs[1]["cluster"] == configs[2]["cluster"]
    addresses = configs[0]["cluster"]["worker"]
    assert list(configs[0]["cluster"]) == ["worker"]
    assert len(set(addresses)) == 3
    assert {address.split(":")[0] for address in addresses} == {"127.0.0.1"}


def test_a_worker_alone_is_a_cluster_of_one():
    (told,) = environments("--workers=1")
    assert len(json.loads(told["TF_CONFIG"])["cluster"]["worker"]) == 1


def test_cores_are_shared_where_nothing_else_is_asked_for(monkeypatch):
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    cores = os.sched_getaffinity(0)
    one_core = {min(cores)}
    for told in environments("--workers=2", OMP_NUM_THREADS="7"):
        assert told["OMP_NUM_THREADS"] == "7"
        assert told["TF_NUM_INTRAOP_THREADS"] == str(max(1, len(cores) // 2))
    os.sched_setaffinity(0, one_core)
    try:
        (told,) = environments("--workers=1")
    finally:
        os.sched_setaffinity(0, cores)
    assert told["TF_NUM_INTRAOP_THREADS"] == told["OMP_NUM_THREADS"] == "1"


def test_gpus_are_shared_in_equal_consecutive_parts():
    told = environments("--workers=2", CUDA_VISIBLE_DEVICES="3,1,0,GPU-7f")
    assert [one["CUDA_VISIBLE_DEVICES"] for one in told] == ["3,1", "0,GPU-7f"]


@pytest.mark.parametrize("hidden", ["", pytest.param("-1", marks=pytest.mark.slow)])
def test_where_gpus_are_hidden_they_stay_so(hidden):
    told = environments("--workers=2", CUDA_VISIBLE_DEVICES=hidden)
    assert [one["CUDA_VISIBLE_DEVICES"] for one in told] == [hidden, hidden]


def with_nvidia_smi(folder: pathlib.Path, script: str) -> str:
    """A PATH on which that program is a shell script."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_gpus_are_those_of_nvidia_smi_where_none_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    path = with_nvidia_smi(tmp_path, r'printf "0\n1\n2\n3\n"')
    told = environments("--workers=2", PATH=path)
    assert [one["CUDA_VISIBLE_DEVICES"] for one in told] == ["0,1", "2,3"]
    path = with_nvidia_smi(tmp_path, "echo NVIDIA-SMI has failed; exit 9")
    assert "CUDA_VISIBLE_DEVICES" not in environments("--workers=2", PATH=path)[0]


def test_gpus_that_cannot_be_shared_equally_are_refused():
    code, out, err = launching.run(
        "--workers=2", script="print(1)", CUDA_VISIBLE_DEVICES="0,1,2"
    )
    assert (code, out) == (2, "")
    [line] = err.splitlines()
    assert line.startswith("launch: ")
    assert_states(line, "--workers", "3 GPUs", "0,1,2", "got 2")
    assert_states(line, "CUDA_VISIBLE_DEVICES=0,1,...", "CUDA_VISIBLE_DEVICES=-1")


@pytest.mark.parametrize(
    ("variables", "direct"),
    [
        ({}, "127.0.0.1"),
        ({"no_proxy": ".example"}, ".example,127.0.0.1"),
        ({"no_proxy": ".example", "no_grpc_proxy": "a,b"}, "a,b,127.0.0.1"),
    ],
)
def test_a_proxy_stands_before_stores_and_not_between_the_workers(
    variables, direct, monkeypatch
):
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    proxies = {"https_proxy": "http://proxy:1", "HTTP_PROXY": "http://proxy:1"}
    (told,) = environments("--workers=1", **variables, **proxies)
    assert told["no_grpc_proxy"] == direct
    assert told.items() >= proxies.items()


def test_python_is_the_interpreter_of_the_launcher():
    script = "print(sys.executable)"
    _, out, _ = launching.run("--workers=1", script=script, PATH="/nowhere")
    assert out == f"[worker-0] {sys.executable}\n"


def test_lines_are_named_and_kept_to_their_stream():
    script = 'print("out"); print("err", file=sys.stderr)'
    code, out, err = launching.run("--workers=2", script=script)
    assert code == 0
    assert sorted(out.splitlines()) == ["[worker-0] out", "[worker-1] out"]
    assert sorted(err.splitlines()) == ["[worker-0] err", "[worker-1] err"]


def test_pieces_become_whole_lines_and_an_unfinished_last_line_is_shown():
    script = """
for piece in ("ab", "c\\nd", "e"):
    os.write(1, piece.encode()); time.sleep(0.05 + index / 100)
"""
    _, out, _ = launching.run("--workers=2", script=script)
    for index in (0, 1):
        mine = [
            line for line in out.splitlines() if line.startswith(f"[worker-{index}")
        ]
        assert mine == [f"[worker-{index}] abc", f"[worker-{index}] de"]
    assert len(out.splitlines()) == 4


def test_a_line_is_what_a_terminal_would_leave_of_it():
    written = [
        b"\r 10%\r 50%\r100%\n",
        b"10%\r100%\r\nnext\r\n",
        b"10%\r 50%",
        b"\xff\xc3\xa9\n",
        b"\n\n",
    ]
    shown = [
        ["100%"],
        ["100%", "next"],
        [" 50%"],
        ["\N{REPLACEMENT CHARACTER}\N{LATIN SMALL LETTER E WITH ACUTE}"],
        ["", ""],
    ]
    _, out, _ = launching.run("--workers=5", script=f"os.write(1, {written}[index])")
    for index, lines in enumerate(shown):
        start = f"[worker-{index}] "
        mine = [line for line in out.split("\n") if line.startswith(start)]
        assert mine == [start + line for line in lines]
    assert out.count("\n") == sum(map(len, shown))


def test_logs_hold_both_streams_and_every_attempt(tmp_path):
    script = """
for i in range(3):
    os.write(1 + i % 2, f"{index} line {i}\\n".encode()); time.sleep(0.05)
time.sleep(0 if index else 0.3)
sys.exit(137)
"""
    logs = tmp_path / "new" / "logs"
    code, *_ = launching.run(
        "--workers=2", "--max-restarts=1", f"--log-dir={logs}", script=script
    )
    assert code == 137
    lines = "1 line 0\n1 line 1\n1 line 2\n"
    text = (logs / "worker-1.log").read_text()
    assert text == lines + "--- attempt 2 ---\n" + lines
    assert (logs / "worker-0.log").read_text().startswith("0 line 0\n0 line 1\n")


def test_a_log_that_finds_no_room_does_not_end_the_run(small_disk):
    script = 'print("x" * 300000); print("y" * 1500000); print("end")'
    code, out, err = launching.run(
        "--workers=1", f"--log-dir={small_disk}", script=script
    )
    assert code == 0
    assert out.endswith("[worker-0] end\n")
    [line] = err.splitlines()
    assert line.startswith("launch: ")
    assert_states(line, small_disk / "worker-0.log", os.strerror(errno.ENOSPC))


def test_floods_on_both_streams_of_all_workers_arrive_whole():
    script = """
import threading
def flood(stream):
    for i in range(8000):
        stream.write(f"{i:06d} {'x' * 60}\\n")
    stream.flush()
threads = [threading.Thread(target=flood, args=[s]) for s in (sys.stdout, sys.stderr)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    code, out, err = launching.run("--workers=2", script=script, PYTHONUNBUFFERED="")
    assert code == 0
    for text in (out, err):
        for name in ("worker-0", "worker-1"):
            mine = [line for line in text.splitlines() if line.startswith(f"[{name}] ")]
            assert mine == [f"[{name}] {i:06d} {'x' * 60}" for i in range(8000)]


def test_the_last_words_of_a_killed_worker_arrive(monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    script = """
import fcntl
fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 1 << 20)  # holds more than one read takes
print("first")
os.write(1, b"line\\n" * 30000 + b"last")
os.kill(os.getpid(), signal.SIGKILL)
"""
    code, out, _ = launching.run("--workers=1", script=script)
    assert code == 137
    assert out.splitlines() == [
        *("[worker-0] first", *["[worker-0] line"] * 30000, "[worker-0] last")
    ]


def test_the_launcher_outlives_the_reader_of_its_output(tmp_path):
    script = f"""
for i in range(1000): print("line")
open({str(tmp_path / "done")!r}, "w").close()
"""
    process = launching.start("--workers=1", script=script)
    process.stdout.close()
    assert process.wait(timeout=30) == 0
    process.stderr.close()
    assert (tmp_path / "done").exists()


def test_it_waits_without_work():
    process = launching.start("--workers=2", script="print(1); time.sleep(60)")
    try:
        assert {process.stdout.readline() for _ in range(2)} == {
            "[worker-0] 1\n",
            "[worker-1] 1\n",
        }

        def ticks() -> int:
            stat = pathlib.Path(f"/proc/{process.pid}/stat").read_text()
            return sum(map(int, stat.rpartition(")")[2].split()[11:13]))

        before = ticks()
        time.sleep(0.5)
        assert ticks() - before <= 1  # of a hundred a second
    finally:
        launching.end(process)


def test_help_tells_every_flag(capsys):
    assert main.main(["launch", "local", "--help"]) == 0
    out = capsys.readouterr().out
    for flag in ("workers", "max-restarts", "log-dir", "grace-secs", "fault"):
        assert f"--{flag}=" in out
    assert "appends" in out
    assert '"restart I of K"' in out


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (
            "-- true",
            ("--workers", "1", "got none"),
        ),
        (
            "--workers=0 -- true",
            ("--workers", "1", "got 0"),
        ),
        (
            "--workers=x -- true",
            ("--workers", "'x'"),
        ),
        ("--workers=1 --grace-secs=abc -- true", ("--grace-secs", "'abc'")),
        (
            "--workers=1 --max-restarts=-1 -- true",
            ("--max-restarts", "0"),
        ),
        (
            "--workers=1 --grace-secs=nan -- true",
            ("--grace-secs", "0"),
        ),
        (
            "--workers=1 --steps=3 -- true",
            ("flag", "'steps'"),
        ),
        ("--workers=1", ("program", "--", "got none")),
        ("--workers=1 --", ("program", "--", "got none")),
        ("--workers=1 true", ("program", "--", "got true")),
        (
            "--workers=2 python -m trainer run",
            ("--", "python -m trainer run"),
        ),
        ("--workers=1 --fault=kill:worker:0 -- true", ("kill:worker:1@step=20",)),
        ("--workers=1 --fault=hit:worker:0@step=1 -- true", ("kill, term, stop",)),
        (
            "--workers=2 --fault=kill:worker:2@step=1 -- true",
            ("--fault", "0", "1", "'kill:worker:2@step=1'"),
        ),
        (
            "--workers=2 -- python -m trainer --config c.toml sweep --workdir w",
            ("--workers", 1, "trainer sweep", 2),
        ),
    ],
)
def test_a_command_line_that_cannot_be_used_is_refused_in_one_line(
    words, facts, capsys
):
    assert main.main(["launch", "local", *words.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("launch: ")
    assert_states(err, *facts)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ("--workers=2 -- ./not-there", ("./not-there", os.strerror(errno.ENOENT))),
        ("--workers=2 --log-dir=/proc/x -- true", ("/proc/x/worker-0.log",)),
    ],
)
def test_what_the_system_refuses_is_said_in_one_line(words, facts):
    process = subprocess.run(
        [sys.executable, "-m", "launch", "local", *words.split()],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2
    assert process.stderr.startswith("launch: ")
    assert_states(process.stderr, *facts)
    assert process.stderr.count("\n") == 1
