"""The best step of a training, by metrics of which more or less is better."""

import json
import pathlib

import numpy as np
import pytest

from trainer.config.selection import METRICS
from trainer.train import checkpoint_file
from trainer.train.checkpoint_file import Progress
from trainer.train.early_stopping import EarlyStopping


@pytest.mark.parametrize(
    ("metric", "best"), [("accuracy", 20), ("balanced_accuracy", 20), ("nll", 40)]
)
def test_the_best_is_the_first_of_equals_in_the_metric_s_direction(metric, best):
    judged = EarlyStopping(Progress(select_by=metric), patience_steps=20)
    for step, value in {10: 0.5, 20: 0.8, 30: 0.8, 40: 0.2, 50: 0.2}.items():
        judged.update(step, {metric: value, "other": -value})
        assert judged.is_best(step) == (judged.best_step == step)
    assert judged.best_step == best
    assert judged.stops(best + 20)
    assert not judged.stops(best + 19)


def test_a_training_goes_on_from_its_best():
    for metric, worse in {"macro_f1": 0.4, "kl": 0.6}.items():
        progress = Progress(step=20, best_step=10, best_value=0.5, select_by=metric)
        judged = EarlyStopping(progress, patience_steps=0)
        judged.update(30, {metric: worse})
        assert (judged.best_step, judged.best_value) == (10, 0.5)
        judged.update(40, {metric: 1 - worse})
        assert (judged.best_step, judged.best_value) == (40, 1 - worse)


def test_a_value_of_0_or_less_can_be_the_best():
    assert METRICS["accuracy"]
    judged = EarlyStopping(Progress(), patience_steps=0)
    judged.update(10, {"accuracy": 0.0})
    assert judged.best_step == 10


def test_checkpoints_of_earlier_versions_tell_their_best_accuracy(tmp_path):
    header = {"run": "a", "step": 8, "best_step": 4, "best_accuracy": 0.75}
    path = checkpoint_file.path_of(tmp_path, 8)
    with open(pathlib.Path(path), "wb") as file:
        np.savez(file, header=np.array(json.dumps(header)))
    found = checkpoint_file.read_progress(tmp_path, 8)
    assert (found.best_step, found.best_value) == (4, 0.75)
    assert found.select_by == "accuracy"
