"""The sweep section: the values it searches, and what it refuses before any trial."""

import pytest

from tests.helpers.configs import RUN
from tests.helpers.messages import refused
from trainer.config import (
    ConfigError,
    differences,
    flatten,
    load,
    read_settings,
    resolve,
)
from trainer.config.toml_text import toml_text

SPACE = """
[sweep.space]
"distill.temperature" = {low = 1, high = 20, log = true}
distill.alpha = {low = 0, high = 1, step = 0.1}
student.train.global_batch_size = {low = 8, high = 24, step = 8}
"student.options.hidden_sizes" = [[16], [32, 32]]
"""


@pytest.fixture
def write(tmp_path):
    def made(text: str, run: str = RUN) -> str:
        path = tmp_path / "sweep.toml"
        path.write_text(run + text)
        return str(path)

    return made


def axes_of(path: str, *overrides: str):
    return load(path, overrides).sweep.axes(
        lambda cell: flatten(resolve(load(path, overrides, variant=cell)))
    )


def test_a_setting_says_whether_its_range_is_of_whole_numbers(write):
    axes = axes_of(write(SPACE))
    assert [axis.kind for axis in axes.values()] == ["float", "float", "int", "choice"]
    assert axes["distill.temperature"].log
    assert axes["distill.alpha"].values == (
        *(0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1),
    )
    assert axes["student.train.global_batch_size"].values == (8, 16, 24)
    assert axes["student.options.hidden_sizes"].values == ([16], [32, 32])


def test_a_trial_is_the_run_with_its_settings_and_without_the_sweep(write):
    cell = {"distill.alpha": 0.25, "student.options.hidden_sizes": [7]}
    trial = load(write(SPACE), variant=cell)
    assert (trial.distill.alpha, trial.student.options.hidden_sizes) == (0.25, (7,))
    assert trial.sweep is None


def test_a_sweep_makes_no_other_run_of_its_base(write):
    plain = resolve(load(write("")))
    assert differences(plain, resolve(load(write(SPACE)))) == []


REFUSED = {
    "": ("sweep.space", "missing", "--set=sweep.space=VALUE"),
    "space = {}": ("sweep.space", "none"),
    "space = 3": ("sweep.space", "section", 3, "[sweep.space]"),
    "space.distill.alpha = {low = 'a', high = 1}": (
        *("sweep.space.distill.alpha.low", "number", "'a'"),
    ),
    "space.distill.alpha = 3": (
        *("sweep.space.distill.alpha", "list", "{low = NUMBER, high = NUMBER}", 3),
    ),
    "space.distill.alpha = {low = 0, high = 1, lg = true}": (
        *("sweep.space.distill.alpha.lg", "'log'?"),
    ),
    "space.distil.temperature = [1]": ("sweep.space", "distil", "'distill'?"),
    "metric = 'eval/acuracy'\nspace.distill.alpha = [0]": (
        *("sweep.metric", "'eval/acuracy'", "'accuracy'?"),
    ),
    "pruner = 'bandit'\npruner_options.slack = 1\nspace.distill.alpha = [0]": (
        *("sweep.pruner_options.slack", "'bandit'", "'slack_factor'?"),
    ),
    "sampler = 'grid'\nspace.distill.alpha = {low = 0, high = 1}": (
        *("sweep.space", "step", "'distill.alpha'", "sweep.sampler = 'grid'"),
    ),
}
REFUSED_AXES = {
    "distill.alpha = []": ("'distill.alpha'", "empty"),
    "distill.alpha = [1, 1.0]": ("'distill.alpha'", "once", 1.0),
    "distill.alpha = {low = 1, high = 1}": (
        *("'distill.alpha'", "above its low", "{'low': 1, 'high': 1,"),
    ),
    "distill.alpha = {low = 0, high = 1, log = true}": (
        *("'distill.alpha'", "above 0", "{'low': 0, 'high': 1, 'log': True,"),
    ),
    "distill.alpha = {low = 0, high = 1, step = 0.3}": (
        *("'distill.alpha'", "whole steps", "'step': 0.3"),
    ),
    "distill.alpha = {low = -1, high = 1}": ("distill.alpha", 0, 1, -1),
    "distill.alpha = {low = 0, high = 1.5}": ("distill.alpha", 0, 1, 1.5),
    "distill.temperatur = {low = 1, high = 2}": (
        *("distill.temperatur", "'temperature'?"),
    ),
    "distill.soft_targets = ['online', 'stored']": (
        *("distill.soft_targets", "'online', 'cached'", "'stored'"),
    ),
    "student.train.schedule = {low = 1, high = 2}": (
        *("student.train.schedule", "string", 1),
    ),
    "student.train.global_batch_size = {low = 8, high = 9, step = 0.5}": (
        *("'student.train.global_batch_size'", "whole steps", 0.5),
    ),
    "student.train.global_batch_size = {low = 8.5, high = 16}": (
        *("student.train.global_batch_size", "whole number", 8.5),
    ),
    "seeds = [[1], [2]]": ("student", "data.exclude_labels", "'seeds'"),
    "data.test_split = ['a']": ("student", "data.exclude_labels", "'data.test_split'"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_searched_is_refused_before_any_trial(write, text):
    with refused(ConfigError, *REFUSED[text]):
        load(write(f"\n[sweep]\n{text}\n"))


@pytest.mark.parametrize("axis", REFUSED_AXES)
def test_an_axis_that_cannot_be_searched_is_refused_alike(write, axis):
    with refused(ConfigError, "sweep.space", *REFUSED_AXES[axis]):
        load(write(f"\n[sweep.space]\n{axis}\n"))


def test_settings_read_the_same_again_as_the_text_of_a_file(write, tmp_path):
    run = RUN[: RUN.index("[teacher]")] + (
        "[[teacher.members]]\nmodel = 'mlp'\n[teacher.members.train]\nsteps = 3\n"
        "global_batch_size = 8\n[[teacher.members]]\nmodel = 'mlp'\n"
        "weights = 'a\"\u00e9'\n" + RUN[RUN.index("[student]") :]
    )
    path = write(SPACE, run=run)
    cell = {"distill.alpha": 1e-05, "student.options.hidden_sizes": [32, 32]}
    again = tmp_path / "again.toml"
    again.write_text(toml_text(read_settings(path, variant=cell)))
    assert resolve(load(str(again))) == resolve(load(path, variant=cell))
