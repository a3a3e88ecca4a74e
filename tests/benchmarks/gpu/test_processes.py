"""Parts that end well, fail, hang, or come too late."""

import pathlib
import time

import pytest

from tests.benchmarks.gpu.findings import Findings, read
from tests.benchmarks.gpu.processes import Part, run


@pytest.fixture
def part(tmp_path, monkeypatch):
    """A part whose module is that program, and the outcome of its run."""

    def outcome(program: str, *, budget_secs: float = 60, secs_left: float = 60):
        (tmp_path / "a_program.py").write_text(program)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        given = Part(name="a part", budget_secs=budget_secs, module="a_program")
        return run(given, tmp_path, end=time.monotonic() + secs_left)

    return outcome


def test_a_part_ends_with_what_it_prints(part):
    outcome = part("print('fine')")
    assert (outcome.end, outcome.told, outcome.found) == ("done", "fine", {})


def test_a_part_that_fails_is_told_with_its_last_lines(part):
    outcome = part("print('begun')\nraise ValueError('no such thing')")
    assert outcome.end == "failed (exit code 1)"
    assert outcome.told.startswith("begun\n")
    assert outcome.told.endswith("ValueError: no such thing")


def test_a_part_that_hangs_ends_with_its_children_and_keeps_its_findings(
    part, tmp_path
):
    child = tmp_path / "child"
    outcome = part(
        f"""
import json, pathlib, subprocess, sys, time
pathlib.Path({str(tmp_path / "a-part.json")!r}).write_text(json.dumps({{"a": [1]}}))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path({str(child)!r}).write_text(str(child.pid))
time.sleep(600)
""",
        budget_secs=3,
    )
    assert outcome.end == "too slow"
    assert outcome.found == {"a": [1]}
    assert 2.5 < outcome.secs < 30
    status = pathlib.Path(f"/proc/{child.read_text()}/status")
    assert not status.exists() or "zombie" in status.read_text()


def test_no_part_begins_after_the_end(part, tmp_path):
    outcome = part(f"open({str(tmp_path / 'begun')!r}, 'w')", secs_left=0)
    assert outcome.end == "no time left"
    assert not (tmp_path / "begun").exists()


def test_findings_are_on_disk_at_once(tmp_path):
    path = tmp_path / "found.json"
    assert read(path) == {}
    findings = Findings(path)
    findings.add("rows", a=1)
    assert read(path) == {"rows": [{"a": 1}]}
    findings.add("rows", a=2)
    findings.add("soak", step=3)
    assert read(path) == {"rows": [{"a": 1}, {"a": 2}], "soak": [{"step": 3}]}
