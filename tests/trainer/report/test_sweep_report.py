"""The page of a sweep: its figures and the table of its trials."""

import numpy as np
import pytest
from etils import epath

from tests.helpers import drawn_pages
from tests.helpers.messages import assert_a_line_states, refused
from trainer import report
from trainer.report import ReportError, sweep_axes, sweep_figures


@pytest.fixture
def sweep(tmp_path):
    drawn_pages.write_sweep(tmp_path)
    return report.read_sweep(epath.Path(tmp_path))


def test_each_trial_is_where_its_setting_and_its_metric_are(sweep):
    drawn = dict(sweep_figures.figures(sweep))
    assert list(drawn) == ["settings", "importance", "parallel"]
    temperature, sizes = drawn["settings"].axes
    dots = [line.get_xydata().tolist() for line in temperature.lines]
    # Of what was ended early the last that was seen; of the others that ended nothing.
    assert dots == [[[8, 0.125]], [[4, 0.75], [16, 0.5]]]
    assert [line.get_xdata().tolist() for line in sizes.lines] == [[1], [0, 1]]
    texts = [
        [tick.get_text() for tick in axes.get_xticklabels()]
        for axes in (temperature, sizes)
    ]
    assert texts == [["1", "2", "5", "10", "20"], ["16", "32-32"]]
    assert temperature.get_xscale() == "log"


def test_a_line_goes_through_the_shares_of_all_axes_and_the_best_is_thick(sweep):
    *_, (_, figure) = sweep_figures.figures(sweep)
    [axes] = figure.axes
    lines = [line for line in axes.lines if len(line.get_xdata()) == 3]
    np.testing.assert_allclose(
        [line.get_ydata() for line in lines],
        [
            [np.log(4) / np.log(20), 0, 1],
            [np.log(8) / np.log(20), 1, 0],
            [np.log(16) / np.log(20), 1, 0.6],
        ],
    )
    assert [line.get_linewidth() > 2 for line in lines] == [True, False, False]


def test_a_range_of_many_powers_of_ten_is_named_at_some_of_them():
    space = {"low": 1e-8, "high": 0.2, "log": True, "step": 0}
    shown = sweep_axes.SettingAxis(space).round_values()
    assert shown == [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]


def test_the_page_counts_the_trials_and_says_why_some_came_to_nothing(sweep, tmp_path):
    page = report.write_sweep(epath.Path(tmp_path)).read_text()
    counts = ("5 trials", "2 complete", "1 pruned", "1 diverged", "1 failed")
    assert_a_line_states(page, *counts)
    assert '<span title="the loss is &lt;nan&gt;">diverged</span>' in page
    assert_a_line_states(page, "<td>-</td>", "pruned", "step 10")
    assert_a_line_states(page, "complete", "repeats 3")
    assert_a_line_states(
        page, "temperature 4", "hidden_sizes 16", "eval/accuracy = 0.75"
    )
    assert "nan>" not in page


def test_before_any_trial_there_is_nothing_to_draw(sweep, tmp_path):
    assert not list(sweep_figures.figures(sweep | {"trials": [], "best": None}))
    (tmp_path / "sweep.json").write_text('{"name": "small"}')
    with refused(ReportError, tmp_path / "sweep.json"):
        report.read_sweep(epath.Path(tmp_path))
