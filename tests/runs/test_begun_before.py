"""Work that an earlier tree began goes on: tests/tools/write_begun.py wrote it.

Of this tree the command line alone is used, and files that a user would look at.
"""

import contextlib
import io
import json
import pathlib
from typing import NamedTuple

import numpy as np
import pytest

from tests.helpers.begun_work import unpacked
from tests.helpers.messages import assert_a_line_states
from tests.helpers.pages import undrawn
from trainer import main

TRAININGS = ("teacher", "student/seed-0", "baseline/seed-0")
RTOL = 1e-4  # of losses where another processor rounds otherwise, as of golden ones
ROOT = "--set=registry.root='registry'"

Files = dict[str, tuple[int, bytes]]  # when each was written, and its content


class Ended(NamedTuple):
    """A command that ended well."""

    place: pathlib.Path  # where it worked
    out: str
    err: str
    before: Files  # that it found there
    after: Files


def files(folder: pathlib.Path) -> Files:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def do(place: pathlib.Path, *words: str) -> Ended:
    """Has a command end well in `place`, where the configs name data and folders."""
    before = files(place)
    with (
        contextlib.chdir(place),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        code = main.main(["trainer", *words])
    assert code == 0, err.getvalue()
    return Ended(place, out.getvalue(), err.getvalue(), before, files(place))


def goes_on(name: str, place: pathlib.Path) -> Ended:
    return do(unpacked(name, place), name, f"--config={name}.toml", "--workdir=workdir")


def inside(found: Files, folder: str) -> Files:
    """The files in a folder, and in folders there."""
    return {name: file for name, file in found.items() if name.startswith(folder + "/")}


def parsed(found: Files, name: str) -> dict:
    return json.loads(found[name][1])


def metrics(found: Files, folder: str) -> list[dict]:
    """The lines of a training's metrics but for the measured time."""
    lines = map(json.loads, found[f"{folder}/metrics.jsonl"][1].splitlines())
    return [
        {name: value for name, value in line.items() if name != "perf/examples_per_sec"}
        for line in lines
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Ended:
    """A run that was stopped in its student's training, and has gone on."""
    return goes_on("run", tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def whole(run) -> Ended:
    """The same run, undisturbed, in another workdir beside it."""
    with undrawn():
        return do(run.place, "run", "--config=run.toml", "--workdir=whole")


@pytest.fixture(scope="module")
def is_exact(run, whole) -> bool:
    """Whether this machine rounds as the one did on which the run was begun.

    Then what the two trained until it was stopped is equal, and so has the rest to be.
    """
    begun, again = (
        [metrics(found, f"{workdir}/{name}") for name in TRAININGS[:2]]
        for found, workdir in ((run.before, "workdir"), (whole.after, "whole"))
    )
    return all(b == a[: len(b)] for b, a in zip(begun, again, strict=True))


@pytest.mark.slow
def test_a_stopped_run_ends_as_an_undisturbed_one(run, whole, is_exact):
    assert_a_line_states(run.err, "goes on", "step 26")
    # What was done before is not done again.
    for told in (
        "teacher seed 0: step 40/40",
        "120 predictions of the teacher to be computed",
        "student seed 0: step 24/160",
    ):
        assert told in whole.err
        assert told not in run.err
    for name in TRAININGS:
        lines = metrics(run.after, f"workdir/{name}")
        expected = metrics(whole.after, f"whole/{name}")
        for value, rtol in {"step": 0, "train/loss": RTOL}.items():
            pair = [[line[value] for line in each] for each in (lines, expected)]
            np.testing.assert_allclose(*pair, rtol=rtol, err_msg=name)
        if is_exact:
            assert lines == expected
            assert_same_checkpoint(
                inside(run.after, f"workdir/{name}"),
                inside(whole.after, f"whole/{name}"),
            )
    ours, theirs = (
        parsed(whole.after, f"{workdir}/results.json")["models"]
        for workdir in ("workdir", "whole")
    )
    for role in ("teacher", "student", "baseline"):
        assert ours[role]["mean"]["errors"] == theirs[role]["mean"]["errors"] <= 1
    assert "workdir/report/index.html" in run.after


def assert_same_checkpoint(one: Files, other: Files) -> None:
    """The last checkpoints hold the same weights, moments and averages."""
    contents = [
        found[max(x for x in found if "/step-" in x)][1] for found in (one, other)
    ]
    ours, theirs = (np.load(io.BytesIO(content)) for content in contents)
    assert ours.files == theirs.files
    for name in set(ours.files) - {"header"}:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


@pytest.mark.slow
def test_a_finished_cache_and_teacher_are_taken_as_they_are(run):
    cache = inside(run.before, "workdir/soft_targets/train")
    # The manifest, a shard of each view, and the lock of those that write.
    assert len(cache) == 4
    assert inside(run.after, "workdir/soft_targets/train") == cache
    teacher = inside(run.before, "workdir/teacher")
    assert len(teacher) == 7
    assert teacher.items() <= run.after.items()
    words = ("soft-targets", "verify", "--config=run.toml", "--workdir=workdir")
    assert "120 records" in do(run.place, *words).out


@pytest.mark.slow
def test_a_study_goes_on_with_its_second_cell(tmp_path):
    with undrawn():
        study = goes_on("study", tmp_path)
    first, second = (f"workdir/cells/alpha={alpha}" for alpha in (0.5, 0.9))
    assert "cell 2 of 2" in study.err
    assert "cell 1 of 2" not in study.err
    for folder in (first, "workdir/teacher", "workdir/soft_targets/train"):
        before, after = (inside(x, folder) for x in (study.before, study.after))
        # A config is written at each start.
        before.pop(f"{first}/config.json", None)
        assert before.items() <= after.items()
        added = after.keys() - before.keys() - {f"{first}/config.json"}
        # TensorBoard shows the study's table of settings by a file of each cell.
        assert all(name.startswith(f"{first}/tensorboard/events") for name in added)
    before, after = (
        parsed(found, "workdir/study.json")["cells"]
        for found in (study.before, study.after)
    )
    assert [cell["status"] for cell in before] == ["finished", "waiting"]
    assert [cell["status"] for cell in after] == ["finished", "finished"]
    assert after[0] == before[0]
    # The first cell has trained the second one's baseline.
    name = "baseline/seed-0/metrics.jsonl"
    assert study.after[f"{second}/{name}"][1] == study.before[f"{first}/{name}"][1]
    rows = [line.split() for line in study.out.splitlines()[2:4]]
    assert [row[0] for row in rows] == ["0.5", "0.9"]


@pytest.mark.slow
def test_a_sweep_goes_on_with_its_third_trial(tmp_path):
    with undrawn():
        sweep = goes_on("sweep", tmp_path)
    before, after = (
        parsed(found, "workdir/sweep.json") for found in (sweep.before, sweep.after)
    )
    assert [trial["status"] for trial in before["trials"]] == ["complete"] * 2
    # The one that was stopped is begun again.
    statuses = [trial["status"] for trial in after["trials"]]
    assert statuses == ["complete", "complete", "failed", "complete"]
    assert after["trials"][:2] == before["trials"]
    assert after["study"] == before["study"]
    journal = "workdir/sweep.journal"
    assert sweep.after[journal][1].startswith(sweep.before[journal][1])
    for folder, count in {
        "teacher": 7,
        "soft_targets/train": 3,
        "cells/trial-000/student": 7,
        "cells/trial-001/student": 7,
    }.items():
        found = inside(sweep.before, f"workdir/{folder}")
        assert len(found) == count
        assert found.items() <= sweep.after.items()
    # The best is tested, which none was before.
    tested = [name for name in sweep.after if name.endswith("/results.json")]
    assert tested == [f"workdir/cells/{after['best']['cell']}/results.json"]
    assert "workdir/best.toml" in sweep.after


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> pathlib.Path:
    """The folder with a registry of two versions."""
    return unpacked("registry", tmp_path_factory.mktemp("registry"))


def test_versions_are_listed_shown_and_compared(registry):
    listed = do(registry, "registry", "list", ROOT)
    rows = [line.split()[:2] for line in listed.out.splitlines()]
    assert [row for row in rows if "begun" in row] == [["begun", "1"], ["begun", "2"]]
    shown = do(registry, "registry", "show", "begun@promoted", ROOT)
    assert shown.out.startswith("# begun, version 1\n")
    compared = do(registry, "registry", "compare", "begun@1", "begun@2", ROOT)
    assert ["export.role", "'student'", "'baseline'"] in [
        line.split() for line in compared.out.splitlines()
    ]
    assert compared.after == listed.before


@pytest.mark.slow
def test_a_version_is_registered_beside_earlier_ones(registry, run, is_exact):
    before = files(registry)
    words = ("registry", "register", "--config=run.toml", "--workdir=workdir")
    told = do(run.place, *words, f"--set=registry.root='{registry}/registry'")
    assert "begun@3" in told.out
    after = files(registry)
    assert before.items() <= after.items()
    first, third = (
        parsed(after, f"registry/begun/{number}/card.json") for number in (1, 3)
    )
    # The first version is how the earlier tree ended the same run.
    assert third["data"] == first["data"]
    for split in ("validation", "test"):
        assert third["metrics"][split]["errors"] == first["metrics"][split]["errors"]
    if is_exact:
        assert third["model"] == first["model"]
        assert third["metrics"] == first["metrics"]
    assert "begun@1" in do(registry, "registry", "promote", "begun@1", ROOT).out
