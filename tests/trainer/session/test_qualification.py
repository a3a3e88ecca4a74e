"""Teachers that answer another question are refused before a student learns."""

import math

import keras
import numpy as np
import pytest
from etils import epath

from tests.helpers.configs import RUN
from tests.helpers.messages import assert_states, refused
from tests.helpers.saved_models import NUM_CLASSES, SIDE, build, network, write
from trainer import registry
from trainer.cluster.workers import Workers
from trainer.config import (
    ConfigError,
    EvaluateView,
    MlpOptions,
    TeacherConfig,
    load,
)
from trainer.config.identity import differences
from trainer.session.named_models import NamedModels
from trainer.session.qualification import accuracy_warning, measure
from trainer.storage import model_classes
from trainer.storage.files import StorageError

PETS = ["cat", "dog", "emu"]


TRAIN = "train = {global_batch_size = 8, epochs = 1}\n"


def compared(path, names, *, is_trained=False, data=""):
    config = path.parent / "run.toml"
    section = f'weights = "{path}"\n{TRAIN if is_trained else ""}'
    written = RUN.replace(TRAIN, section, 1).replace("[data]\n", f"[data]\n{data}")
    config.write_text(written)
    return NamedModels(load(str(config)), None, Workers(None)).file(
        str(path), names, (28, 28, 1), setting="teacher.weights"
    )


def test_names_beside_a_model_come_back_in_their_order(tmp_path):
    model_classes.write(
        epath.Path(tmp_path / "model.keras"), ["ü", "10", "2"], EvaluateView()
    )
    assert registry.names_of_file(epath.Path(tmp_path / "model.keras")) == [
        "ü",
        "10",
        "2",
    ]
    # They speak of that file alone.
    assert registry.names_of_file(epath.Path(tmp_path / "other.keras")) is None


@pytest.mark.parametrize(
    ("names", "facts"),
    [
        (["ant", "cat", "dog"], ["emu", "ant"]),
        (["dog", "cat", "emu"], ["another order"]),
        (["cat", "dog"], ["emu", "2", "3"]),
    ],
)
def test_a_model_of_other_classes_is_refused(names, facts, tmp_path):
    model_classes.write(epath.Path(tmp_path / "model.keras"), PETS, EvaluateView())
    with refused(ConfigError, "teacher.weights", *facts):
        compared(tmp_path / "model.keras", names)
    compared(tmp_path / "model.keras", PETS)


def test_a_model_that_learned_another_view_is_told(tmp_path, capsys):
    path = epath.Path(tmp_path / "model.keras")
    view = EvaluateView(name="center_crop", center_crop=0.5)
    model_classes.write(path, PETS, view)
    assert registry.view_of_file(path) == view
    assert registry.names_of_file(path) == PETS
    compared(path, PETS)  # of images that keep their size
    assert "evaluate_view" not in capsys.readouterr().err
    compared(path, PETS, data="image_size = 8\n")
    told = capsys.readouterr().err
    assert_states(told, "teacher.weights", path, "50 %", "whole", "data.evaluate_view")
    same = "image_size = 8\nevaluate_view = 'center_crop'\ncenter_crop = 0.5\n"
    compared(path, PETS, data=same)
    model_classes.write(path, PETS, EvaluateView())
    compared(path, PETS, data="image_size = 8\n")
    assert "evaluate_view" not in capsys.readouterr().err


def test_a_model_that_is_trained_here_may_have_known_other_classes(tmp_path, capsys):
    model_classes.write(epath.Path(tmp_path / "model.keras"), PETS, EvaluateView())
    compared(tmp_path / "model.keras", ["ant", "cat", "dog"], is_trained=True)
    assert_states(capsys.readouterr().err, "teacher.weights", "emu")


def test_a_model_without_names_is_read_and_told_of_once(tmp_path, capsys):
    (tmp_path / "run.toml").write_text(RUN)
    models = NamedModels(load(str(tmp_path / "run.toml")), None, Workers(None))
    for _ in range(2):
        path = models.file(
            str(tmp_path / "old.keras"), PETS, (8, 8, 3), setting="teacher.weights"
        )
        assert path == str(tmp_path / "old.keras")
    told = capsys.readouterr().err
    assert told.count(str(tmp_path / "old.keras")) == 1
    assert_states(told, "teacher.weights")


@pytest.mark.parametrize("content", ["[1", "{}", '{"classes": "cat"}', "[]"])
def test_damaged_names_are_refused_by_file(content, tmp_path):
    (tmp_path / "classes.model.keras.json").write_text(content)
    with refused(StorageError, tmp_path / "classes.model.keras.json"):
        model_classes.read(epath.Path(tmp_path / "model.keras"))


def sigmoid(*, activation="sigmoid", nested=False, layer=False):
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.GlobalAveragePooling2D()(image)
    x = keras.layers.Dense(NUM_CLASSES, activation=None if layer else activation)(x)
    if layer:
        x = keras.layers.Activation(activation)(x)
    model = keras.Model(image, x)
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), model]) if nested else model


@pytest.mark.parametrize("output", ["logits", "probabilities"])
@pytest.mark.parametrize("kind", ["file.keras", "exported"])
def test_sigmoids_are_refused_with_the_way_out(kind, output, tmp_path):
    path = write(sigmoid(), tmp_path, kind)
    facts = ("teacher.options.output", "sigmoids", "last activation")
    with refused(ConfigError, *facts):
        build(path, output=output)


@pytest.mark.parametrize(
    "after",
    [
        keras.layers.Activation("linear", dtype="float32"),
        keras.layers.Identity(),
        keras.layers.Reshape((NUM_CLASSES,)),
        lambda x: keras.ops.cast(x, "float32"),
        lambda x: keras.ops.clip(x, 0, 1),
        lambda x: 1.0 * x,
    ],
)
def test_sigmoids_are_recognised_before_what_changes_little(after, tmp_path):
    inner = sigmoid()
    model = keras.Model(inner.input, after(inner.output))
    with refused(ConfigError, "teacher.options.output", "sigmoids"):
        build(write(model, tmp_path, "file.keras"))


@pytest.mark.parametrize("form", [{"nested": True}, {"layer": True}])
def test_sigmoids_are_recognised_behind_other_layers(form, tmp_path):
    with refused(ConfigError, "teacher.options.output", "sigmoids"):
        build(write(sigmoid(**form), tmp_path, "file.keras"))


def test_logits_from_0_to_1_of_a_keras_file_are_logits(tmp_path):
    model = network()
    model.layers[-1].set_weights(
        [np.zeros_like(w) + 0.5 * (w.ndim == 1) for w in model.layers[-1].get_weights()]
    )
    build(write(model, tmp_path, "file.keras"))


def found(accuracy, *, examples, share=0.5):
    """Of two classes, the first with that share; right on the first so many."""
    labels = np.arange(examples) >= round(share * examples)
    right = np.arange(examples) < round(accuracy * examples)
    answers = np.where(right, labels, ~labels).astype(int)
    return measure("teacher", np.eye(2)[answers], labels.astype(int))


def section(**settings):
    return TeacherConfig(model="mlp", options=MlpOptions(), **settings)


def test_a_teacher_must_be_above_the_largest_class_by_three_standard_errors():
    # 0.5 + 3 sqrt(0.25 / 400) = 0.575
    assert math.isclose(found(0.6, examples=400).chance, 0.575)
    assert accuracy_warning(found(0.58, examples=400), section()) == ""
    for accuracy in (0.575, 0.5, 0.1):
        with refused(ConfigError, "teacher.min_accuracy = 0.0", f"{accuracy:.4f}"):
            accuracy_warning(found(accuracy, examples=400), section())


def test_students_that_have_begun_go_on_with_a_warning():
    warning = accuracy_warning(found(0.1, examples=400), section(), is_refused=False)
    assert_states(warning, "warning", "0.1000")


def test_few_examples_or_one_class_alone_only_warn():
    assert "0.5000" in accuracy_warning(found(0.5, examples=98), section())
    assert "warning" in accuracy_warning(
        found(0.99, examples=100, share=1.0), section()
    )


def test_min_accuracy_takes_the_place_of_the_rule():
    assert accuracy_warning(found(0.1, examples=400), section(min_accuracy=0.0)) == ""
    assert accuracy_warning(found(0.8, examples=400), section(min_accuracy=0.8)) == ""
    with refused(ConfigError, "teacher.min_accuracy", "0.7900", 0.8):
        accuracy_warning(found(0.79, examples=400), section(min_accuracy=0.8))


def test_min_accuracy_makes_no_other_run():
    def settings(value):
        members = [{"model": "mlp", "min_accuracy": value}]
        alone = {"model": "mlp", "min_accuracy": value}
        return [{"teacher": alone}, {"teacher": {"members": members}}]

    for before, after in zip(settings(None), settings(0.9), strict=True):
        assert differences(before, after) == []


def test_min_accuracy_is_a_share(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(RUN)
    assert load(str(path)).teachers["teacher"].min_accuracy is None
    assert load(str(path), ["teacher.min_accuracy=1"]).teacher.min_accuracy == 1.0
    with refused(ConfigError, "teacher.min_accuracy", 0, 1, 1.5):
        load(str(path), ["teacher.min_accuracy=1.5"])
