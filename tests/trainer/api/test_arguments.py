"""Arguments from Python, before anything trains: defaults, what wins, refusals."""

import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import trainer
from tests.helpers.messages import refused
from tests.helpers.python_runs import new_teacher
from tests.helpers.repository import REPOSITORY
from trainer.api.settings import merged, plain
from trainer.config import ConfigError


def test_importing_it_loads_nothing_of_tensorflow():
    code = (
        "import sys, trainer; trainer.distill, trainer.run, trainer.ConfigError; "
        "print(any(name.partition('.')[0] in ('tensorflow', 'keras') "
        "for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"


def test_each_public_name_is_there_and_typed():
    typed = (REPOSITORY / "trainer" / "__init__.pyi").read_text()
    for name in trainer.__all__:
        assert getattr(trainer, name)
        assert name in dir(trainer)
        assert f" as {name}\n" in typed or f"{name}: " in typed
    with pytest.raises(AttributeError, match="distil"):
        trainer.distil  # noqa: B018


def test_values_of_python_are_those_of_toml():
    given = {
        "seeds": (np.int64(0), 1),
        "data": {"dataset": pathlib.Path("x"), "exclude_labels": (3,)},
        "rate": np.float32(0.5),
    }
    found = plain(given)
    assert json.dumps(found) == json.dumps(
        {
            "seeds": [0, 1],
            "data": {"dataset": "x", "exclude_labels": [3]},
            "rate": 0.5,
        }
    )


def test_the_config_wins():
    base = {
        "student": {"train": {"epochs": 3, "learning_rate": 0.1}},
        "distill": {"temperature": 4.0, "alpha": 0.9},
    }
    wins = {"student": {"train": {"steps": 9}}, "distill": {"terms": [{"loss": "kl"}]}}
    assert merged(base, wins) == {
        "student": {"train": {"steps": 9, "learning_rate": 0.1}},
        "distill": {"terms": [{"loss": "kl"}]},
    }
    assert merged(base, {"distill": {"alpha": 0.5}})["distill"] == {
        "temperature": 4.0,
        "alpha": 0.5,
    }


@pytest.mark.parametrize(
    ("more", "facts"),
    [
        ({"config": {"optimiser": {}}}, ["optimiser", "trainer.distill"]),
        ({"config": {"student": "mlp"}}, ["student", "mlp"]),
        ({"config": {"distill": {"alpha": 2}}}, ["distill.alpha", 2]),
        ({"temperature": 0.0}, ["distill.temperature", 0.0]),
        ({"batch_size": 0}, ["student.train.global_batch_size", 0]),
        ({"seeds": ()}, ["seeds", "[]"]),
        ({"seeds": 3}, ["seeds", 3, "(0,)"]),
        ({"callbacks": keras.callbacks.Callback()}, ["callbacks", "[CALLBACK]"]),
        ({"config": "a.toml"}, ["config", "'a.toml'", "trainer.run"]),
        (
            {"alpha": 0.1, "config": {"distill": {"terms": [{"loss": "kl"}]}}},
            ["alpha", 0.1, "terms"],
        ),
        ({"teacher": "squeezenet"}, ["teacher", "teacher.train"]),
        ({"teacher": "sqeezenet"}, ["teacher.model", "sqeezenet", "squeezenet"]),
    ],
)
def test_settings_that_cannot_be_used_are_refused(tmp_path, more, facts):
    given = {"teacher": "run:nowhere", "student": "mlp", "train": "mnist_mini"} | more
    with refused(ConfigError, *facts):
        trainer.distill(**given, epochs=1, workdir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_config_of_another_type_is_refused():
    with refused(ConfigError, "config", "int"):
        trainer.run(3)


def test_workers_know_no_model_in_memory(tmp_path, monkeypatch):
    cluster = {"worker": ["localhost:2222", "localhost:2223"]}
    task = {"type": "worker", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    with refused(ConfigError, "teacher", 2, "TF_CONFIG", "package.module:function"):
        trainer.distill(new_teacher(), "mlp", "mnist_mini", epochs=1, workdir=tmp_path)


class PerBatch(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


class Patient(keras.callbacks.EarlyStopping):
    pass


@pytest.mark.parametrize(
    ("callback", "facts"),
    [
        (
            keras.callbacks.EarlyStopping(),
            ["student.train.patience_steps", "EarlyStopping"],
        ),
        (Patient(), ["student.train.patience_steps", "Patient"]),
        (keras.callbacks.ReduceLROnPlateau(), ["student.train.schedule"]),
        (
            keras.callbacks.LearningRateScheduler(lambda epoch: 0.1),
            ["schedule_options"],
        ),
        (keras.callbacks.ModelCheckpoint("x.keras"), ["runtime.save_every_steps"]),
        (keras.callbacks.BackupAndRestore("x"), ["workdir"]),
        (keras.callbacks.SwapEMAWeights(), ["student.train.ema"]),
        (keras.callbacks.TensorBoard(), ["tensorboard"]),
        (keras.callbacks.TerminateOnNaN(), ["DivergedError"]),
        (PerBatch(), ["PerBatch", "on_train_batch_end", "on_epoch_end"]),
        (
            keras.callbacks.LambdaCallback(on_train_batch_begin=print),
            ["LambdaCallback", "on_train_batch_begin"],
        ),
        (print, ["builtin_function_or_method"]),
    ],
)
def test_callbacks_that_a_run_cannot_have_are_refused(callback, facts):
    reading = keras.callbacks.CSVLogger("x.csv")
    with refused(ConfigError, "callbacks[1]", *facts):
        trainer.run({}, "unused", callbacks=[reading, callback])
