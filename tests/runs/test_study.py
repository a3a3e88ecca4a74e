"""Whole studies: one teacher, one cache, a run in each cell, one table."""

import contextlib
import io
import json
import pathlib
import re
import signal
import time

import numpy as np
import pytest

from tests.helpers import groups, whole_run
from tests.helpers.messages import assert_a_line_states
from tests.helpers.point_study import TEACHER, write_config
from trainer import exit_codes, main
from trainer.storage import seal
from trainer.train.events import read_metrics

pytestmark = pytest.mark.slow

CELLS = [
    f"hidden_sizes={sizes},temperature={temperature}"
    for sizes in ("4", "6-6")
    for temperature in (1, 20)
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[pathlib.Path, pathlib.Path, str]:
    """A config, the workdir of its finished study, and what it printed."""
    folder = tmp_path_factory.mktemp("study")
    config = write_config(folder)
    code, out, err = whole_run.do("study", config, folder / "workdir", draws=True)
    assert code == 0, err
    # Before a cell has ended nobody knows how long one takes.
    about = re.findall(r"trainer: cell \d of 4: [^,]+,[^,]+(, about)?", err)
    assert [bool(text) for text in about] == [False, True, True, True], err
    return config, folder / "workdir", out


def results(workdir: pathlib.Path) -> dict:
    """All results but for how fast they came."""
    found = seal.parse((workdir / "results.json").read_bytes())
    for entry in found["models"].values():
        del entry["train_examples_per_sec"]
    return found


def source_of_soft_targets(workdir: pathlib.Path) -> str:
    config = seal.parse((workdir / "config.json").read_bytes())
    return config["distill"]["soft_targets"]


def test_one_teacher_and_one_cache_serve_all_cells(finished):
    _, workdir, out = finished
    assert sorted(path.name for path in workdir.iterdir()) == [
        *("cells", "config.json", "files", "report", "soft_targets", "study.json"),
        *("teacher", "tensorboard"),
    ]
    assert [path.name for path in workdir.rglob("manifest.json")] == ["manifest.json"]
    # The config leaves it open: 4 x 320 examples are seen, and 300 rows predicted.
    assert source_of_soft_targets(workdir) == "cached"
    for name in CELLS:
        cell = workdir / "cells" / name
        assert source_of_soft_targets(cell) == "cached"
        assert not (cell / "teacher" / "metrics.jsonl").exists()
        assert (cell / "report" / "index.html").exists()
        for one, other in zip(
            whole_run.weights(cell / "teacher" / "model.keras"),
            whole_run.weights(workdir / "teacher" / "model.keras"),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
    study = json.loads((workdir / "study.json").read_text())
    assert [cell["name"] for cell in study["cells"]] == CELLS
    assert {cell["status"] for cell in study["cells"]} == {"finished"}
    lines = out.splitlines()
    assert lines[0].split() == [
        *("hidden_sizes", "temperature", "teacher", "student", "baseline", "gain"),
        *("agreement", "%"),
    ]
    assert [line.split()[:2] for line in lines[2:6]] == [
        [sizes, temperature] for sizes in ("4", "6-6") for temperature in ("1", "20")
    ]
    assert lines[-1] == f"report: {workdir}/report/index.html"


def test_a_cell_with_another_s_baseline_equals_a_run_of_its_own(finished, tmp_path):
    config, workdir, _ = finished
    cells = [workdir / "cells" / name / "baseline/seed-0" for name in CELLS]
    shared = [(cell / "metrics.jsonl").read_bytes() for cell in cells]
    assert shared[0] == shared[1] != shared[2] == shared[3]  # with their times
    alone = tmp_path / "alone.toml"
    weights = f'weights = "{workdir}/teacher/model.keras"'
    alone.write_text(config.read_text().replace(TEACHER, weights))
    code, _, err = whole_run.do(
        "run",
        alone,
        tmp_path / "workdir",
        "--set=student.options.hidden_sizes=[6, 6]",
        "--set=distill.temperature=20",
    )
    assert code == 0, err
    assert results(tmp_path / "workdir") == results(workdir / "cells" / CELLS[3])
    for role in ("student", "baseline"):
        for file in ("last.keras", "model.keras"):
            path = pathlib.Path(role, "seed-0", file)
            for one, other in zip(
                whole_run.weights(tmp_path / "workdir" / path),
                whole_run.weights(workdir / "cells" / CELLS[3] / path),
                strict=True,
            ):
                np.testing.assert_array_equal(one, other)


def test_a_study_that_is_over_is_not_opened_again(finished):
    config, workdir, out = finished
    code, again, err = whole_run.finish(whole_run.start("study", config, workdir))
    assert (code, again, err) == (0, out, "")


def end_at(process, place: pathlib.Path, number: signal.Signals) -> None:
    """Sends a signal once the training in `place` has told of its first steps."""
    deadline = time.monotonic() + 280
    while not read_metrics(place / "metrics.jsonl"):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate()


def test_killed_in_teacher_student_and_baseline_it_ends_the_same(finished, tmp_path):
    config, expected, _ = finished
    workdir = tmp_path / "workdir"
    for place, number in (
        ("teacher", signal.SIGKILL),
        (f"cells/{CELLS[0]}/student/seed-0", signal.SIGTERM),
        (f"cells/{CELLS[2]}/baseline/seed-0", signal.SIGKILL),
    ):
        process = whole_run.start("study", config, workdir)
        end_at(process, workdir / place, number)
    # As if it had been killed while a baseline was copied.
    half = workdir / "cells" / CELLS[3] / "baseline/seed-0"
    half.mkdir(parents=True)
    (half / "last.keras").write_text("half")
    code, _, err = whole_run.do("study", config, workdir)
    assert code == 0, err
    assert "cell 1 of 4" not in err
    assert (workdir / "study.json").read_bytes() == (
        expected / "study.json"
    ).read_bytes()


def test_a_cell_that_diverges_does_not_keep_the_others_from_ending(tmp_path):
    config, workdir = write_config(tmp_path), tmp_path / "workdir"
    grid = "--set=study.grid={'student.train.learning_rate'=[1e30, 1e-3]}"
    for attempt in range(2):
        code, out, err = whole_run.do("study", config, workdir, grid)
        assert code == exit_codes.DIVERGED
        assert_a_line_states(err, "1 of 2 cells", "learning_rate=1e+30")
        assert ("cell 1 of 2" in err) == (attempt == 0)
        rows = [line.split() for line in out.splitlines()[2:4]]
        assert rows[0][1:3] == ["diverged", "-"]
        assert rows[1][0] == "0.001"
    study = json.loads((workdir / "study.json").read_text())
    assert [cell["status"] for cell in study["cells"]] == ["diverged", "finished"]
    code, out, err = whole_run.do("report", config, workdir, grid, draws=True)
    assert (code, out.splitlines()[0].split()[0]) == (0, "learning_rate"), err
    # The workdir keeps the grid.
    with contextlib.redirect_stdout(io.StringIO()) as again:
        assert main.main(["trainer", "report", f"--workdir={workdir}"]) == 0
    assert again.getvalue() == out


def test_two_workers_take_part_in_every_cell(tmp_path):
    config, workdir = write_config(tmp_path), tmp_path / "workdir"
    grid = "--set=study.grid={'distill.temperature'=[1, 20]}"
    group = groups.finish(
        tmp_path / "group", 2, "study", config, workdir, grid, draws=True
    )
    assert_a_line_states(group.err(0), "2 workers", "CPU:0")
    assert group.out(0).count("\n") == 6
    assert group.out(1) == ""
    study = json.loads((workdir / "study.json").read_text())
    assert [cell["status"] for cell in study["cells"]] == ["finished"] * 2
