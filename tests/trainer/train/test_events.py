"""metrics.jsonl over kills and restarts; progress on a terminal and off it."""

import json

import pytest

from tests.helpers.messages import assert_states
from trainer.train import events


def test_each_write_is_one_line_of_json(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = events.MetricsFile(path, last_step=0)
    lines.write(50, {"train/loss": 0.25})
    lines.write(100, {"train/loss": 0.125, "eval/accuracy": 0.5})
    assert path.read_text() == (
        '{"step": 50, "train/loss": 0.25}\n'
        '{"step": 100, "train/loss": 0.125, "eval/accuracy": 0.5}\n'
    )


def test_lines_past_the_restored_step_are_dropped_and_written_anew(tmp_path):
    path = tmp_path / "metrics.jsonl"
    first = events.MetricsFile(path, last_step=0)
    for step in (50, 100, 150):
        first.write(step, {"train/loss": 1.0})
    resumed = events.MetricsFile(path, last_step=100)
    resumed.write(150, {"train/loss": 2.0})
    found = [(line["step"], line["train/loss"]) for line in events.read_metrics(path)]
    assert found == [(50, 1.0), (100, 1.0), (150, 2.0)]


def test_a_line_that_a_kill_cut_off_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 50, "train/loss": 0.25}\n{"step": 100, "train')
    events.MetricsFile(path, last_step=100).write(100, {"train/loss": 0.5})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [
        50,
        100,
    ]


def test_throughput_is_the_median_over_the_lines(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert events.median_throughput(path) is None
    lines = events.MetricsFile(path, last_step=0)
    for step, rate in ((50, 10.0), (100, 500.0), (150, 400.0)):
        lines.write(step, {"perf/examples_per_sec": rate})
    assert events.median_throughput(path) == 400.0


def test_off_a_terminal_each_logged_step_is_a_plain_line(capsys):
    with events.ProgressBar("student seed 0", first_step=0, last_step=200) as progress:
        progress.advance(50)
        progress.show(50, {"train/loss": 0.5, "perf/examples_per_sec": 1234.4})
        progress.show(
            100,
            {"train/loss": 0.4, "perf/examples_per_sec": 1200.0, "eval/accuracy": 0.9},
        )
    first, second = capsys.readouterr().err.splitlines()
    assert_states(first, "student seed 0", "50/200", "loss 0.5000", "1234 examples/s")
    assert "validation" not in first
    assert_states(second, "student seed 0", "100/200", "loss 0.4000")
    assert_states(second, "validation 0.9000", "1200 examples/s")


@pytest.mark.parametrize("first_step", [0, 100])
def test_on_a_terminal_a_bar_shows_steps_loss_rate_and_time_left(
    monkeypatch, capsys, first_step
):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with events.ProgressBar(
        "teacher seed 0", first_step=first_step, last_step=200
    ) as bar:
        bar.advance(150)
        bar.show(150, {"train/loss": 0.5, "perf/examples_per_sec": 1000.0})
    shown = capsys.readouterr().err
    assert_states(shown, "teacher seed 0", "150/200", "loss 0.5000", "1000 examples/s")
