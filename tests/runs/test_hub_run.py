"""Runs whose teacher is a preset of KerasHub, or weights that a function brings."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import trainer
from tests.helpers import hub_presets, python_runs, whole_run
from tests.helpers.kills import kill_between_two_saves
from tests.helpers.python_runs import SETTINGS, build_student, distill
from trainer import main

pytestmark = pytest.mark.slow

CONFIG = """
name = "hub"
[data]
dataset = "mnist_mini"
data_dir = "{tfds_dir}"
train_split = "train[:600]"
validation_split = "train[9500:]"
test_split = "test[:500]"
[teacher]
model = "{preset}"
weights = "own"
train = {{global_batch_size = 20, steps = 200}}
[student]
model = "mlp"
options.hidden_sizes = [8]
train = {{global_batch_size = 20, steps = 20}}
[runtime]
steps_per_loop = 5
log_every_steps = 5
eval_every_steps = 100
save_every_steps = 100
"""


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return hub_presets.write(
        tmp_path_factory.mktemp("preset"), "vgg", side=28, spread=0.01
    )


def test_a_killed_run_ends_bit_for_bit_as_one_that_nobody_killed(
    preset, tmp_path, tfds_dir
):
    config = tmp_path / "hub.toml"
    config.write_text(CONFIG.format(tfds_dir=tfds_dir, preset=preset[0]))
    process = whole_run.start("run", config, tmp_path / "b")
    kill_between_two_saves(process, tmp_path / "b" / "teacher")
    code, out, err = whole_run.finish(whole_run.start("run", config, tmp_path / "b"))
    assert code == 0, err
    assert "verdict: " in out
    assert main.main(whole_run.command("run", config, tmp_path / "a")) == 0
    for file in ("teacher/model.keras", "student/seed-0/model.keras"):
        ours, theirs = (whole_run.weights(tmp_path / name / file) for name in "ab")
        for mine, its in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine, its)
    # It is a whole model, of images as the data has them.
    images, labels = python_runs.digits("test[:500]", tmp_path)
    taught = keras.models.load_model(tmp_path / "b" / "teacher" / "model.keras")
    accuracy = np.mean(np.argmax(taught.predict(images, verbose=0), axis=1) == labels)
    before = np.argmax(preset[1].predict(images, verbose=0), axis=1)
    assert accuracy > 0.5 > np.mean(before == labels)


def test_from_python_a_preset_teaches_as_kerashub_predicts(preset, tmp_path, tfds_dir):
    name, original = preset
    settings = {
        **SETTINGS,
        "teacher": {"min_accuracy": 0.0},
        "data": SETTINGS["data"] | {"data_dir": str(tfds_dir)},
    }
    images, _ = python_runs.digits("test[:500]", tmp_path)
    expected = original.predict(images, verbose=0)
    before = original.get_weights()
    for source in (name, original):
        workdir = tmp_path / type(source).__name__
        result = distill(
            source,
            build_student,
            epochs=1,
            seeds=(0,),
            workdir=workdir,
            config=settings,
        )
        given = result.teacher.predict(images, verbose=0)
        np.testing.assert_allclose(given, expected, rtol=1e-3, atol=1e-3)
        assert result.student.count_params() > 0
    for mine, its in zip(original.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, its)


def fitted(input_shape, num_classes):
    """A function whose model has learned already."""
    del input_shape
    image = x = keras.Input((28, 28, 1))
    for layer in python_runs.new_teacher().layers[:-1]:
        x = layer(x)
    whole = keras.Model(image, keras.layers.Dense(num_classes)(x))
    for weight in whole.weights:
        weight.assign(tf.ones_like(weight) / 10)
    whole.compile("adam", "mse")
    return whole


def test_a_function_that_gives_a_fitted_model_teaches_as_it_is(tmp_path, tfds_dir):
    config = {
        **SETTINGS,
        "name": "own",
        "data": {
            **SETTINGS["data"],
            "dataset": "mnist_mini",
            "data_dir": str(tfds_dir),
        },
        "teacher": {
            "model": f"{__name__}:fitted",
            "weights": "own",
            "min_accuracy": 0.0,
        },
        "student": {
            "model": "mlp",
            "options": {"hidden_sizes": [4]},
            "train": {"global_batch_size": 30, "steps": 10},
        },
    }
    result = trainer.run(config, tmp_path / "run")
    assert all(np.all(weight == np.float32(0.1)) for weight in result.teacher.weights)
