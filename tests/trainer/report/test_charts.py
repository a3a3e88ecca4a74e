"""Charts of pages: where values are drawn, and how few of them are."""

import math

import numpy as np
import pytest

from trainer.report import run_charts, sweep_charts
from trainer.report.chart import Axis, bars, dotted_rows, plot
from trainer.report.marks import Series
from trainer.report.scale import Scale, text_of_tick

X, Y = Axis(label="step"), Axis(label="loss", log="wide")


def test_a_scale_places_shares_of_its_values():
    linear = Scale(low=10, high=30, start=100, end=300)
    assert [linear(value) for value in (10, 15, 30)] == [100, 150, 300]
    log = Scale(low=1, high=100, start=200, end=0, is_log=True)
    assert [log(value) for value in (1, 10, 100)] == [200, 100, 0]


@pytest.mark.parametrize(
    ("low", "high", "is_log", "ticks"),
    [
        (0, 100, False, [0, 20, 40, 60, 80, 100]),
        (93.2, 95.1, False, [93.5, 94, 94.5, 95]),
        (-0.03, 0.11, False, [0, 0.05, 0.1]),
        (0.9, 1200, True, [1, 10, 100, 1000]),
        (2, 7, True, [2, 5]),
        (3, 4, True, [3, 3.2, 3.4, 3.6, 3.8, 4]),  # no round decades between
    ],
)
def test_ticks_are_round_values_between_the_ends(low, high, is_log, ticks):
    scale = Scale(low=low, high=high, start=0, end=1, is_log=is_log)
    assert scale.ticks() == pytest.approx(ticks)


def test_ticks_are_short():
    texts = [text_of_tick(value) for value in (0.05, 2000, 15000, 2.5e6, 3e9)]
    assert texts == ["0.05", "2000", "15k", "2.5M", "3G"]


def test_a_single_evaluation_is_a_point():
    chart = plot("t", [Series(name="student", points=[(5.0, 0.5)])], x=X, y=Y)
    assert not chart.lines
    [dot] = chart.dots
    left, top, right, bottom = chart.box
    assert left < dot["at"][0] < right
    assert top < dot["at"][1] < bottom


def test_what_cannot_be_placed_is_left_out():
    points = [(1.0, math.nan), (2.0, 0.5), (3.0, math.inf), (4.0, 0.25)]
    chart = plot("t", [Series(name="student", points=points)], x=X, y=Y)
    [line] = chart.lines
    assert len(line["path"].split()) == 2
    assert plot("t", [Series(name="a", points=[(1.0, math.nan)])], x=X, y=Y) is None
    assert plot("t", [], x=X, y=Y) is None


def test_a_long_line_keeps_its_ends_and_a_few_hundred_points():
    points = [(float(i), float(i % 7)) for i in range(10_001)]
    chart = plot("t", [Series(name="student", points=points)], x=X, y=Axis(label="y"))
    [read] = chart.hover
    assert 100 < len(read["points"]) <= 201
    assert [read["points"][i][2] for i in (0, -1)] == ["0", "10k"]


def test_the_axis_holds_what_comes_after_the_climb_and_no_dot_leaves_it():
    points = [
        (float(i), y) for i, y in enumerate([10.0, 90.0, 92.0, *[91.0] * 4, 50, 93])
    ]
    low, high = run_charts.accuracy_ends([Series(name="student", points=points)])
    assert 10 < low < 50
    assert 93 < high < 100
    y = Axis(label="accuracy (%)", ends=(low, high))
    chart = plot("t", [Series(name="student", points=points)], x=X, y=y)
    assert len(chart.dots) == len(points) - 1


def test_losses_of_zero_have_no_logarithm():
    chart = plot("t", [Series(name="a", points=[(1.0, 0.0), (2.0, 9.0)])], x=X, y=Y)
    assert "0" in [text for _, text in chart.y_ticks]


def test_the_mean_of_seeds_is_read_and_the_seeds_are_faint():
    histories = {
        "student": [
            [{"step": 1, "train/loss": 1.0}, {"step": 2, "train/loss": 3.0}],
            [{"step": 1, "train/loss": 2.0}, {"step": 2, "train/loss": 5.0}],
        ]
    }
    [chart] = run_charts.learning_curves(histories, metric="accuracy")
    assert [line["is_faint"] for line in chart.lines] == [True, True, False]
    [read] = chart.hover
    assert [point[3] for point in read["points"]] == ["1.5", "4"]


def test_curves_are_of_the_metric_that_selects():
    rows = [
        {"step": s, "eval/accuracy": 0.9, "eval/balanced_accuracy": 0.25 * s}
        for s in (1, 2, 3)
    ]
    [chart] = run_charts.learning_curves(
        {"student": [rows]}, metric="balanced_accuracy"
    )
    assert chart.title == "Validation balanced accuracy"
    [read] = chart.hover
    assert [point[3] for point in read["points"]] == ["25", "50", "75"]


def test_terms_of_a_loss_are_drawn_where_there_are_several():
    rows = [
        {"step": s, "train/loss": 3.0, "train/soft_loss": 2.0, "train/hard_loss": 1.0}
        for s in (1, 2)
    ]
    chart = run_charts.term_curves([rows])
    assert [key["name"] for key in chart.legend] == ["soft loss", "hard loss"]
    only = [{"step": 1, "train/loss": 3.0, "train/hard_loss": 1.0}]
    assert run_charts.term_curves([only]) is None


def test_bars_begin_at_zero_and_whiskers_end_where_limits_do():
    rows = [
        Series(name="a", points=[(10.0, 0)], limits=[None], tips=["10"]),
        Series(name="b", points=[(20.0, 1)], limits=[(15.0, 25.0)], tips=["20"]),
    ]
    chart = bars("t", rows, ["a", "b"], x_label="errors")
    left, _, right, _ = chart.box
    widths = [bar["size"][0] for bar in chart.bars]
    np.testing.assert_allclose(widths, (right - left) * np.array([0.4, 0.8]), atol=0.1)
    [whisker] = chart.whiskers
    assert whisker["to"][0] == right
    flat = dotted_rows("t", rows, ["a", "b"], x_label="errors")
    assert [dot["at"][1] for dot in flat.dots] == [at for at, _ in flat.y_ticks]


def test_each_trial_goes_through_the_shares_of_all_axes():
    from tests.helpers.drawn_pages import SPACE, TRIALS

    sweep = {"space": SPACE, "metric": "eval/accuracy", "best": TRIALS[0]}
    shown = [trial for trial in TRIALS if trial["reported"] or trial["value"]]
    chart = sweep_charts._parallel(sweep, shown)
    _, top, _, bottom = chart.box
    paths = [
        [float(pair.split(",")[1]) for pair in line["path"].split()]
        for line in chart.lines
    ]
    shares = (bottom - np.array(paths)) / (bottom - top)
    known = [
        [np.log(8) / np.log(20), 1, 0],
        [np.log(16) / np.log(20), 1, 0.6],
        [np.log(4) / np.log(20), 0, 1],  # the best one, above the others
    ]
    np.testing.assert_allclose(shares, known, atol=1e-3)
    assert [line["is_faint"] for line in chart.lines] == [True, True, False]
