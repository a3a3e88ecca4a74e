"""Networks as a Python program gives them: what the run takes, knows and refuses."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import python_runs
from tests.helpers.messages import assert_states, refused
from tests.helpers.python_runs import build_student, new_teacher, weights
from trainer import models
from trainer.api import memory, networks
from trainer.config import MEMORY, ConfigError, MemoryOptions
from trainer.models import GivenModel, Inputs

SHAPE = (28, 28, 1)


class Classifier(keras.Model):
    """A class whose configuration cannot hold what it is made of."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.dropout = keras.layers.Dropout(0.5)
        self.head = keras.layers.Dense(10)

    def call(self, inputs, training=False):
        features = self.backbone(inputs)
        return self.head(self.dropout(features, training=training))


class Doubling(keras.layers.Layer):
    """A class that nobody has registered."""

    def call(self, inputs):
        return 2 * inputs


def build(given, *, name="Sequential", num_classes=10, shape=SHAPE, **options):
    return models.build(
        MEMORY,
        MemoryOptions(name=name, **options),
        inputs=models.Inputs(shape=shape),
        num_classes=num_classes,
        seed=0,
        precision="float32",
        setting="teacher",
        given=given,
    )


def clone_of(model):
    return GivenModel(source=model, keeps_weights=False)


@pytest.mark.parametrize(
    ("source", "section"),
    [
        ("mlp", {"model": "mlp"}),
        ("ResNet50", {"model": "ResNet50"}),
        ("run:runs/mine", {"weights": "run:runs/mine"}),
        ("package.module:function", {"model": "package.module:function"}),
        (
            "teacher.keras",
            {
                "model": "saved",
                "options": {"path": "teacher.keras", "input": "as_given"},
            },
        ),
        (
            "registry:digits@2",
            {
                "model": "saved",
                "options": {"path": "registry:digits@2", "input": "as_given"},
            },
        ),
        (
            build_student,
            {"model": "tests.helpers.python_runs:build_student", "options": {}},
        ),
        (
            functools.partial(build_student, units=9),
            {
                "model": "tests.helpers.python_runs:build_student",
                "options": {"units": 9},
            },
        ),
    ],
)
def test_what_has_a_name_is_known_by_it(source, section):
    found = networks.describe("student", source)
    assert found == networks.Network(section=section)


def test_a_function_of_the_program_is_known_by_its_name(capsys):
    def local(input_shape, num_classes):
        return build_student(input_shape, num_classes)

    found = networks.describe("student", local)
    assert found.section["model"] == MEMORY
    assert found.section["options"]["name"].endswith("<locals>.local")
    assert_states(capsys.readouterr().err, "student", "workdir")
    model = build(found.given, name="local")
    assert model.output_shape == (None, 10)


def test_what_is_no_model_is_refused():
    with refused(ConfigError, "teacher", "ndarray"):
        networks.describe("teacher", np.zeros(3))
    with refused(ConfigError, "teacher.model", "mlp"):
        networks.place({"model": "mlp"}, "teacher", networks.describe("teacher", "cnn"))


def test_a_model_in_memory_needs_its_program():
    with refused(ConfigError, "teacher.model", "trainer.run", "Sequential"):
        build(None)


def test_names_that_keras_counts_change_no_identity():
    first, second = (build_student(SHAPE, 10) for _ in range(2))
    assert first.name != second.name
    known = models.architecture_fingerprint(first)
    assert models.architecture_fingerprint(second) == known
    for other in (build_student(SHAPE, 10, units=9), build_student(SHAPE, 11)):
        assert models.architecture_fingerprint(other) != known


def test_a_model_that_is_not_built_yet_has_the_identity_it_will_have():
    layers = [keras.layers.Flatten(), keras.layers.Dense(10)]
    model = keras.Sequential(layers)
    before = models.architecture_fingerprint(model)
    model(np.zeros((1, *SHAPE)))
    assert models.architecture_fingerprint(model) == before
    clone = build(clone_of(model))
    assert clone(np.zeros((5, *SHAPE))).shape == (5, 10)


def test_weights_are_known_whatever_dropout_has_drawn(tmp_path):
    teacher = new_teacher()
    known = models.weights_fingerprint(teacher)
    teacher(np.zeros((2, *SHAPE)), training=True)
    teacher.save(tmp_path / "teacher.keras")
    loaded = keras.models.load_model(tmp_path / "teacher.keras", compile=False)
    assert models.weights_fingerprint(teacher) == known
    assert models.weights_fingerprint(loaded) == known
    assert models.weights_fingerprint(new_teacher(seed=8)) != known


def test_a_clone_keeps_what_adapt_has_found():
    normalise = keras.layers.Normalization()
    normalise.adapt(np.array([[1.0, 5.0], [3.0, 9.0]]))
    student = keras.Sequential(
        [keras.Input((2,)), normalise, keras.layers.Dense(2, use_bias=False)]
    )
    options, given = memory.student(student)
    start = keras.Input((2,))
    clone = models.given.rebuild(student)
    models.given._copy_weights(student, clone, everything=False)
    assert given.source is student
    assert options["name"] == "Sequential"
    own = keras.Model(start, clone.layers[0](start))
    np.testing.assert_allclose(own(np.array([[1.0, 5.0], [3.0, 9.0]]))[0], [-1, -1])
    assert not np.array_equal(weights(clone)[-1], weights(student)[-1])


def test_classes_of_a_program_are_built_again():
    model = keras.Sequential(
        [keras.Input(SHAPE), Doubling(), keras.layers.Flatten(), keras.layers.Dense(10)]
    )
    given = GivenModel(source=model, keeps_weights=True)
    again = build(given, weights="x")
    assert again is not model
    assert all(map(np.array_equal, weights(again), weights(model)))
    assert given.classes == {"Doubling": Doubling}


@pytest.fixture
def live():
    backbone = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(4)])
    model = Classifier(backbone)
    model(np.zeros((1, *SHAPE)))
    return model


def test_a_model_that_cannot_be_built_again_is_used_itself(live, capsys, tmp_path):
    options, given = memory.teacher(live)
    assert_states(capsys.readouterr().err, "teacher", "one device")
    assert build(given, **options) is live
    path = tmp_path / "model.keras"
    models.save_weights(live, path)
    before = [weight + 0 for weight in weights(live)]
    live.set_weights([weight + 1 for weight in before])
    models.load_weights(live, str(path), setting="teacher.weights")
    assert all(map(np.array_equal, weights(live), before))
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    with (
        strategy.scope(),
        refused(ConfigError, "teacher.model", 2, "runtime.strategy"),
    ):
        build(given, **options)


@keras.saving.register_keras_serializable(package="tests")
class Forgetful(keras.Model):
    """Depends on a number of which its configuration says nothing."""

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(10)
        self.divisor = 255.0

    def call(self, images):
        return self.dense(
            self.flatten(keras.ops.cast(images, "float32")) / self.divisor
        )


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_model_that_is_another_when_it_is_built_again_is_refused(role):
    model = Forgetful(name="forgetful")
    model(np.zeros((1, 28, 28, 1), np.uint8))
    same = GivenModel(source=model, keeps_weights=role == "teacher")
    options = MemoryOptions(name="Forgetful")
    inputs = Inputs(shape=(28, 28, 1))
    given = {"inputs": inputs, "num_classes": 10, "setting": role}
    again = same.build(options, **given)
    images = inputs.examples()
    if role == "teacher":
        np.testing.assert_allclose(again(images), model(images), rtol=1e-6)
    else:
        assert not np.allclose(again(images), model(images))
    model.divisor = 25.5
    with refused(ConfigError, f"{role}.model", "'Forgetful'", "get_config"):
        same.build(options, **given)


def test_a_student_that_cannot_be_built_again_is_refused(live):
    with refused(ConfigError, "student", "Classifier", "get_config"):
        memory.student(live)


def test_frozen_layers_of_a_student_are_refused():
    student = build_student(SHAPE, 10)
    student.layers[2].trainable = False
    with refused(ConfigError, "student", student.layers[2].name, "student.weights"):
        memory.student(student)


def test_seeds_that_make_all_students_alike_are_told(capsys):
    start = keras.initializers.GlorotUniform(seed=42)
    memory.student(keras.Sequential([keras.layers.Dense(3, kernel_initializer=start)]))
    assert_states(capsys.readouterr().err, "student", 42)
    memory.student(build_student(SHAPE, 10))
    assert "warning" not in capsys.readouterr().err


def test_a_teacher_without_weights_is_refused():
    with refused(ConfigError, "teacher", "keras.Input"):
        memory.teacher(keras.Sequential([keras.layers.Dense(10)]))


def test_a_student_with_layers_of_its_teacher_is_refused():
    teacher = build_student(SHAPE, 10)
    student = keras.Model(
        teacher.inputs, keras.layers.Dense(10)(teacher.layers[2].output)
    )
    with refused(ConfigError, "student", teacher.layers[2].kernel.path):
        models.check_apart(student, teacher, setting="student")
    models.check_apart(build_student(SHAPE, 10), teacher, setting="student")


def test_a_function_that_gives_one_model_twice_is_refused():
    model = build_student(SHAPE, 10)
    given = clone_of(lambda input_shape, num_classes: model)
    kept = build(given, name="mine")
    with refused(ConfigError, "teacher.model", "mine"):
        build(given, name="mine")
    assert kept is model


@pytest.mark.parametrize(
    ("model", "facts"),
    [
        (build_student(SHAPE, 7), [10, 7, "Dense(10)"]),
        (build_student((32, 32, 3), 10), [SHAPE, (32, 32, 3), "uint8"]),
        (new_teacher(), ["logits", "probabilities"]),
    ],
)
def test_a_model_that_is_not_for_these_data_is_refused(model, facts):
    with refused(ConfigError, "teacher.model", "Sequential", *facts):
        build(clone_of(model))


def test_a_function_whose_call_fails_is_told_so():
    layer = keras.layers.Dense(10, name="dense")

    def with_a_layer_of_another_model(input_shape, num_classes):
        flat, own = keras.layers.Flatten(), keras.layers.Dense(num_classes)
        return keras.Sequential([keras.Input(input_shape), flat, layer, own])

    given = clone_of(with_a_layer_of_another_model)
    facts = ("teacher.model", "'mine'", SHAPE, "in its call", "unique names")
    with refused(ConfigError, *facts, "new layers at each call"):
        build(given, name="mine")


@pytest.mark.parametrize("output", ["logits", "probabilities"])
@pytest.mark.parametrize("sizes", [(10, 3), (10, 10), (10, 10, 10)])
def test_a_model_of_more_outputs_is_refused(sizes, output):
    image = keras.Input(SHAPE)
    flat = keras.layers.Flatten()(image)
    model = keras.Model(image, [keras.layers.Dense(size)(flat) for size in sizes])
    facts = (
        "teacher.model",
        "'Two'",
        "one output",
        f"got {len(sizes)}",
        "model.outputs",
    )
    with refused(ConfigError, *facts):
        build(clone_of(model), name="Two", output=output)


def test_precision_and_size_are_the_models_own():
    teacher = python_runs.new_teacher()
    for name, value in (("precision", "mixed_bfloat16"), ("image_size", 32)):
        with refused(ConfigError, f"teacher.{name}", value, "Sequential"):
            python_runs.distill(
                teacher,
                "mlp",
                workdir="unused",
                config={"teacher": {name: value}},
            )
