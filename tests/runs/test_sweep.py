"""Whole sweeps: processes that share trials, kills, the run of the best settings."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import tomllib

import pytest

from tests.helpers import point_study, whole_run
from tests.helpers.messages import assert_a_line_states, assert_states
from tests.helpers.repository import REPOSITORY
from trainer import exit_codes
from trainer.train.events import read_metrics

pytestmark = pytest.mark.slow

CONFIG = """
name = "small"

[data]
dataset = "mnist_mini"
data_dir = "{tfds_dir}"
train_split = "train[:1000]"
validation_split = "train[9500:9800]"
test_split = "test[:200]"

[teacher]
model = "mlp"
options.hidden_sizes = [32]
train = {{global_batch_size = 20, steps = 100}}

[student]
model = "mlp"
options.hidden_sizes = [8]
train = {{global_batch_size = 20, steps = 30, learning_rate = 0.01}}

[runtime]
steps_per_loop = 5
log_every_steps = 5
eval_every_steps = 10
save_every_steps = 5

[sweep]
trials = 20
pruner = "median"
pruner_options.startup_trials = 3

[sweep.space]
"distill.temperature" = {{low = 1, high = 20, log = true}}
distill.alpha = {{low = 0, high = 1}}
"""

SPACE = """
[sweep.space]
distill.alpha = [0.2, 0.8]
"""


def write_config(folder: pathlib.Path, more: str) -> pathlib.Path:
    """The config of a study's test, with a sweep in the study's place."""
    path = point_study.write_config(folder)
    text = path.read_text()
    text = text[: text.index("[study.grid]")].replace("dropout = 0.1", "dropout = 0.0")
    path.write_text(
        text.replace("save_every_steps = 10", "save_every_steps = 2") + more
    )
    return path


def sweep_of(workdir: pathlib.Path) -> dict:
    return json.loads((workdir / "sweep.json").read_text())


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    """As runs.finish; twenty trials take longer than one run."""
    out, err = process.communicate(timeout=580)
    return process.returncode, out, err


def stop_in_a_trial(config: pathlib.Path, workdir: pathlib.Path, number: int) -> int:
    """Has a process end by the signal `number` while it trains; gives its exit code."""
    process = whole_run.start("sweep", config, workdir)
    deadline = time.monotonic() + 280
    while not list(workdir.glob("cells/*/student/seed-0/checkpoints/step-*")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    return finish(process)[0]


def test_two_processes_share_twenty_trials_of_which_a_killed_one_is_repeated(
    tmp_path, tfds_dir
):
    config, workdir = tmp_path / "sweep.toml", tmp_path / "workdir"
    config.write_text(CONFIG.format(tfds_dir=tfds_dir))
    assert stop_in_a_trial(config, workdir, signal.SIGKILL) == -signal.SIGKILL
    both = [whole_run.start("sweep", config, workdir) for _ in range(2)]
    ended = [finish(process) for process in both]
    assert [code for code, _, _ in ended] == [0, 0], ended[0][2] + ended[1][2]
    assert all("\ntrainer: trial " in err for _, _, err in ended)
    sweep = sweep_of(workdir)
    [killed] = [t["number"] for t in sweep["trials"] if t["status"] == "failed"]
    others = [trial for trial in sweep["trials"] if trial["number"] != killed]
    assert len(others) == 20
    assert {trial["status"] for trial in others} == {"complete", "pruned"}
    check_repeated(sweep, workdir, killed)
    check_shared(sweep, workdir)
    values = [t["value"] for t in others if t["status"] == "complete"]
    assert sweep["best"]["value"] == max(values)
    # What ended is not trained again, and a further start tells the same.
    code, out, err = whole_run.finish(whole_run.start("sweep", config, workdir))
    assert (code, err) == (0, "")
    assert f"best: {workdir}/best.toml" in out
    check_best(sweep, workdir, tmp_path / "best")


def check_repeated(sweep: dict, workdir: pathlib.Path, killed: int) -> None:
    """Another trial has gone on where the killed one ended."""
    name = f"trial-{killed:03d}"
    first, again = [trial for trial in sweep["trials"] if trial["cell"] == name]
    assert again["repeats"] == killed
    assert first["settings"] == again["settings"]
    lines = read_metrics(workdir / "cells" / name / "student/seed-0/metrics.jsonl")
    steps = [line["step"] for line in lines if "eval/accuracy" in line]
    assert [int(step) for step in again["reported"]] == steps
    assert steps in ([10], [10, 20], [10, 20, 30])


def check_shared(sweep: dict, workdir: pathlib.Path) -> None:
    """There is one teacher, one cache, one look at the test split, and one page."""
    assert len(list(workdir.glob("**/teacher/metrics.jsonl"))) == 1
    assert len(list(workdir.rglob("manifest.json"))) == 1
    best = workdir / "cells" / sweep["best"]["cell"]
    assert list(workdir.rglob("results.json")) == [best / "results.json"]
    for name in ("settings", "importance", "parallel"):
        assert (workdir / f"report/sweep_{name}.png").stat().st_size > 1000
    page = (workdir / "report/index.html").read_text()
    assert f"cells/{sweep['best']['cell']}/report/index.html" in page
    assert page.count("</tr>") == 1 + len(sweep["trials"])


def check_best(sweep: dict, workdir: pathlib.Path, own: pathlib.Path) -> None:
    """best.toml has the settings of the best trial, and a run of it is that trial."""
    text = (workdir / "best.toml").read_text()
    number, value = sweep["best"]["number"], sweep["best"]["value"]
    assert_states(text.splitlines()[0], "#", number, f"eval/accuracy = {value:.6g}")
    settings = tomllib.loads(text)
    assert settings["distill"]["alpha"] == sweep["best"]["settings"]["distill.alpha"]
    assert "sweep" not in settings
    code, _, err = whole_run.finish(whole_run.start("run", workdir / "best.toml", own))
    assert code == 0, err
    again, tested = (
        json.loads((folder / "results.json").read_text())["models"]["student"]["test"]
        for folder in (own, workdir / "cells" / sweep["best"]["cell"])
    )
    assert again == tested


def test_what_diverges_or_is_refused_leaves_the_others_and_sigterm_costs_nothing(
    tmp_path,
):
    more = (
        '[sweep]\nsampler = "grid"\nretries = 1\n[sweep.space]\n'
        '"student.train.learning_rate" = [1e-3, 1e30]\n'
        '"student.train.steps" = [20, 4]\n'
        '"student.train.schedule_options.warmup_steps" = [0, 10]\n'
    )
    config, workdir = write_config(tmp_path, more), tmp_path / "workdir"
    assert stop_in_a_trial(config, workdir, signal.SIGTERM) == 143
    code, out, err = whole_run.finish(whole_run.start("sweep", config, workdir))
    assert code == 0, err
    assert "Warning" not in err
    last = {
        tuple(trial["settings"].values()): trial["status"]
        for trial in sweep_of(workdir)["trials"]
    }
    assert len(last) == 8
    for (rate, steps, warmup), status in last.items():
        ended = "complete" if rate < 1 else "diverged"
        assert status == ("refused" if warmup > steps else ended)
    assert out.splitlines()[0].split()[0] == "trial"
    code, again, err = whole_run.finish(whole_run.start("report", config, workdir))
    assert (code, again) == (0, out), err
    code, _, err = whole_run.finish(whole_run.start("run", config, workdir))
    assert code == exit_codes.UNUSABLE
    assert_a_line_states(err, workdir, "sweep", "--workdir")


def test_a_sweep_is_no_job_of_workers(tmp_path):
    config, workdir = write_config(tmp_path, SPACE), tmp_path / "workdir"
    task = {"type": "worker", "index": 0}
    peers = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}
    worker = subprocess.run(
        [sys.executable, "-m", *whole_run.command("sweep", config, workdir)],
        cwd=REPOSITORY,
        env=os.environ | {"TF_CONFIG": json.dumps({"cluster": peers, "task": task})},
        capture_output=True,
        text=True,
    )
    assert worker.returncode == exit_codes.UNUSABLE
    assert_a_line_states(worker.stderr, "sweep", "TF_CONFIG", "2 workers")
    assert not workdir.exists()


def test_without_optuna_the_way_to_it_is_said(tmp_path):
    config, workdir = write_config(tmp_path, SPACE), tmp_path / "workdir"
    hidden = (
        "import importlib.util as util, sys; real = util.find_spec; "
        "util.find_spec = lambda name, *more: "
        "None if name == 'optuna' else real(name, *more); "
        "from trainer.main import main; sys.exit(main(sys.argv))"
    )
    refused = subprocess.run(
        [
            sys.executable,
            "-c",
            hidden,
            *whole_run.command("sweep", config, workdir)[1:],
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert refused.returncode == exit_codes.UNUSABLE
    assert_states(refused.stderr, "pip install '.[sweep]'")
