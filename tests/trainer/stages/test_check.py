"""Checks before the first training: what is said of models that can be used."""

import sys

import pytest

from tests.helpers import whole_run
from tests.helpers.configs import RUN
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_states
from trainer.config import load
from trainer.stages.check import check

DROPPING = """
import keras

def network(input_shape, num_classes):
    return keras.Sequential([
        keras.Input(input_shape),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(num_classes),
    ])
"""


@pytest.fixture
def own_model(tmp_path, monkeypatch):
    (tmp_path / "dropping.py").write_text(DROPPING)
    monkeypatch.syspath_prepend(tmp_path)
    yield "dropping:network"
    sys.modules.pop("dropping", None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["student.model"], ["student"]),
        (["student.model", "teacher.model"], ["teacher", "student"]),
    ],
)
def test_layers_that_draw_by_keras_are_told_once_where_they_train(
    own_model, tmp_path, capsys, settings, told
):
    (tmp_path / "run.toml").write_text(RUN)
    sets = [f"{setting}='{own_model}'" for setting in settings]
    config = load(str(tmp_path / "run.toml"), sets)
    session = whole_run.session(config, tmp_path / "run", strategy_of(1))
    for part in (session, session.beside(config, session.path)):
        check(part)
    lines = [x for x in capsys.readouterr().err.splitlines() if "Dropout" in x]
    assert len(lines) == len(told)
    for role, line in zip(told, lines, strict=True):
        assert_states(line, f"{role}.model", f"'{own_model}'", "replicas")


def test_a_teacher_that_is_used_as_it_is_draws_nothing(own_model, tmp_path, capsys):
    train = "train = {global_batch_size = 8, epochs = 1}\n"
    (tmp_path / "run.toml").write_text(RUN.replace(train, "", 1))
    config = load(
        str(tmp_path / "run.toml"),
        [f"teacher.model='{own_model}'", "teacher.weights='own'"],
    )
    check(whole_run.session(config, tmp_path / "run", strategy_of(1)))
    assert "Dropout" not in capsys.readouterr().err
