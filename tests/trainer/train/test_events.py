"""metrics.jsonl over kills and restarts."""

import json

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
