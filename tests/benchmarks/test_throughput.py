"""The throughput benchmark: what it computes without a clock, and one small run."""

import json
import os
import statistics
import subprocess
import sys

import keras
import pytest

from tests.benchmarks import figures, flops, growth, keras_fit, medians, table, targets
from tests.benchmarks.entries import best
from tests.benchmarks.specs import Spec
from tests.benchmarks.targets import Target
from tests.benchmarks.turns import Turn
from tests.helpers.repository import REPOSITORY
from trainer import models
from trainer.config import CnnOptions

OURS, KERAS = ("W1", "float32", "ours"), ("W1", "float32", "keras")


def cnn(*filters: int) -> keras.Model:
    return models.build(
        "cnn",
        CnnOptions(filters=filters),
        inputs=models.Inputs(shape=(28, 28, 1)),
        num_classes=10,
        seed=0,
        precision="float32",
        setting="student",
    )


def test_operations_of_the_networks_of_w1():
    student, teacher = cnn(16, 32), cnn(256, 512)
    # 14 x 14 places of 9 * 1 * 16 products, 7 x 7 of 9 * 16 * 32, and 1568 * 10.
    assert flops.forward(student) == 56_448 + 451_584 + 31_360
    assert flops.forward(teacher) == 903_168 + 115_605_504 + 501_760
    online = flops.of_step(teacher=teacher, student=student, batch_size=64)
    assert online == 64 * (117_010_432 + 3 * 539_392)
    cached = flops.of_step(teacher=None, student=student, batch_size=64)
    assert cached == 64 * 3 * 539_392


def test_operations_of_other_layers():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            layers.SeparableConv2D(6, 3, padding="same", depth_multiplier=2),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.Conv2D(4, 1, groups=2),
            layers.Dense(5),
        ]
    )
    # At 64 places: 9 * 4 * 2 and 8 * 6; 9 * 6; 3 inputs of a group * 4; 4 * 5.
    assert flops.forward(model) == 2 * 64 * (72 + 48 + 54 + 12 + 20)


@pytest.mark.parametrize(
    ("at_most", "bound", "verdict"),
    [
        (False, 1.25, "met"),
        (False, 1.26, "missed"),
        (True, 1.25, "met"),
        (True, 1.24, "missed"),
    ],
)
def test_a_target_is_held_against_the_quotient(at_most, bound, verdict):
    target = Target(
        name="a",
        figure="rate",
        of=OURS,
        over=KERAS,
        bound=bound,
        at_most=at_most,
    )
    rows = {OURS: {"rate": 500.0}, KERAS: {"rate": 400.0}}
    found = targets.judged(target, rows)
    assert (found.value, found.verdict) == (1.25, verdict)


def test_what_was_not_measured_is_neither_met_nor_missed():
    target = Target(name="a", figure="rate", of=OURS, over=KERAS, bound=1.0)
    for rows in ({}, {OURS: {"rate": 500.0}}, {OURS: {}, KERAS: {"rate": 400.0}}):
        assert targets.judged(target, rows).verdict == "not measured"


def test_a_target_may_be_a_figure_alone():
    target = Target(name="a", figure="secs", of=OURS, bound=0.1, at_most=True)
    assert targets.judged(target, {OURS: {"secs": 0.09}}).verdict == "met"


def test_what_a_cache_adds_is_held_against_its_size():
    (target,) = (each for each in targets.TARGETS if "cache adds" in each.name)
    rows = {targets.CACHE_OF_W2: {"added_bytes": 3e6, "bytes": 2e6}}
    found = targets.judged(target, rows)
    assert (found.value, found.verdict) == (1.5, "missed")


def row(contender: str, facts: dict, *secs: float) -> dict:
    spec = Spec(workload="W1", contender=contender, prepared="", turn_secs=1.0)
    side = [
        Turn(found=[{"secs": each, "peak_bytes": 700e6}], others=0.02) for each in secs
    ]
    return figures.row(spec, facts, side)


def test_figures_are_medians_of_turns():
    found = row("ours", {"flops": 1e9, "first_step_secs": 4.0}, 0.02, 0.01, 0.5)
    assert found["steps_per_sec"] == 50
    assert found["examples_per_sec"] == 64 * 50
    assert found["flops_per_sec"] == 5e10
    peak = row("matmul", {"flops": 2e9}, 0.01)
    rows = {OURS: found, ("W1", "float32", "matmul"): peak}
    assert figures.with_shares(rows)[OURS]["peak_share"] == pytest.approx(0.25)


def test_a_row_of_the_table():
    tuning = {"jit_compile": False, "steps_per_execution": 32, "tf_data": True}
    facts = {"flops": 1e9, "first_step_secs": 4.04, "tuning": tuning}
    lines = list(
        table.contender_lines(
            [row("keras", facts, 0.02, 0.01, 0.04) | {"peak_share": 0.251}],
            {"W1": "digits"},
        )
    )
    assert lines[2] == (
        "| W1 digits | (b) keras, no XLA, 32 at a time, tf.data | float32 "
        "| 3,200 (1,600 - 6,400) | 50 | 25.1% | 700 MB | 4.0 s | 2% |"
    )
    assert {line.count("|") for line in lines} == {10}


def test_a_row_of_the_floor_tells_its_parts():
    spec = Spec(workload="W1", contender="floor", prepared="", turn_secs=1.0)
    parts = [{"student_secs": 0.004, "teacher_secs": s} for s in (0.03, 0.01, 0.05)]
    side = [
        Turn(found=[each | {"secs": 0.04, "peak_bytes": 1}], others=0.0)
        for each in parts
    ]
    facts = {"flops": 1e9, "compiled": {"student": "XLA", "teacher": ""}}
    (_, _, line) = table.contender_lines([figures.row(spec, facts, side)], {"W1": ""})
    assert "(d) floor, student 4 ms (XLA), teacher 30 ms (no XLA) |" in line


def test_a_row_of_a_target():
    target = Target(name="W1 / (b)", figure="rate", of=OURS, over=KERAS, bound=1.15)
    rows = {OURS: {"rate": 500.0}, KERAS: {"rate": 400.0}}
    lines = list(table.target_lines([targets.judged(target, rows)]))
    assert lines[2] == "| W1 / (b) | at least 1.15 | 1.25 | met |"


def test_the_median_of_runs_is_what_counts():
    def run(value):
        told = [
            {"target": {"name": "W4 / (b)"}, "value": value},
            {"target": {"name": "W5 / (b)"}, "value": None},
        ]
        return {"targets": told}

    _, _, *found = medians.lines([run(1.25), run(0.5), run(1.1)])
    assert found == ["| W4 / (b) | at least 1.15 | 1.25 | 0.5 | 1.1 | 1.1 | missed |"]


def test_cost_that_grows_faster_than_the_size_is_marked():
    grown = growth.Growth(
        name="examples",
        sizes=[100, 1000, 10_000],
        costs=[1.0, 10.0, 200.0],
        examples_per_sec=[100.0, 100.0, 50.0],
    )
    assert grown.exponents == pytest.approx([1.0, 1.30103])
    marks = [line.split("|")[-2].strip() for line in table.growth_lines([grown])]
    assert marks[2:] == ["", "", "super-linear"]


def test_every_size_of_the_growth_has_a_contender():
    labels = growth.specs("folder", turn_secs=1.0)
    step = {"steps_per_sec": 2.0, "first_step_secs": 3.0, "examples_per_sec": 128.0}
    rows = {
        label: step | {"flops_per_sec": 10.0 * (i + 1)}
        for i, label in enumerate(labels)
    }
    batches, _, epochs, _ = growth.grown(rows)
    assert batches.sizes == (16, 64, 256)
    assert batches.costs == [0.5, 0.5, 0.5]
    assert epochs.costs == [size / 128 for size in epochs.sizes]


def test_keras_is_tuned_by_what_pays():
    tried = []

    def secs_of(tuning):
        tried.append(tuning)
        # XLA is hopeless, executions of many steps pay, and so does tf.data.
        secs = 3.0 if tuning.jit_compile else 1.0
        return secs / tuning.steps_per_execution - 0.01 * tuning.tf_data

    found = keras_fit.search(secs_of)
    assert [(t.jit_compile, t.steps_per_execution, t.tf_data) for t in tried] == [
        (False, 1, False),
        (True, 1, False),
        (False, 1, True),
        (False, 32, False),
        (False, 32, True),
    ]
    told = [{"tuning": vars(t), "secs": secs} for t, secs in found.items()]
    assert best(told) == vars(tried[-1])
    assert best(told, steps_per_execution=1) == vars(tried[2])


@pytest.mark.slow
def test_the_short_mode_measures_w3(tmp_path, tfds_dir):
    path = tmp_path / "figures.json"
    run = subprocess.run(
        [
            *(sys.executable, "tests/benchmarks/throughput.py", "--short", "W3"),
            *("--rounds=2", "--turn_secs=0", "--patience_secs=0", f"--json={path}"),
        ],
        cwd=REPOSITORY,
        env=os.environ | {"TFDS_DATA_DIR": tfds_dir},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.returncode == 0
    results = json.loads(path.read_text())
    rows = {(each["workload"], each["contender"]): each for each in results["rows"]}
    assert set(rows) == {
        ("W3", "ours"),
        ("W3", "floor"),
        ("W3", targets.KERAS_32),
        ("W3", targets.KERAS_1),
        ("W1", "matmul"),
        ("start", targets.IMPORT),
        ("start", targets.PRINT),
    }
    ours, keras_32 = rows["W3", "ours"], rows["W3", targets.KERAS_32]
    assert len(ours["secs"]) == len(keras_32["secs"]) == 2
    assert ours["traces"] == 1
    assert ours["way"] == "XLA on, 25 steps a program"
    assert keras_32["tuning"]["steps_per_execution"] == 32
    # 784 * 10 + 10 * 10 + 10 * 10 products, three times, of 32 examples.
    flops_of_step = ours["flops_per_sec"] / ours["steps_per_sec"]
    assert flops_of_step == pytest.approx(32 * 3 * 2 * 8_040)
    verdicts = {each["target"]["name"]: each for each in results["targets"]}
    found = verdicts["W3 / (b), 32 at a time"]
    quotient = statistics.median(keras_32["secs"]) / statistics.median(ours["secs"])
    assert found["value"] == pytest.approx(quotient)
    assert found["verdict"] == ("met" if quotient >= 1.7 else "missed")
    assert verdicts["W4 / (b)"]["verdict"] == "not measured"
    assert "| W3 / (b), 32 at a time | at least 1.7 |" in run.stdout
