"""What of a user's own models is found out before they are trained."""

import sys

import keras
import numpy as np
import pytest

from tests.helpers import whole_run
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_states, refusal, refused
from trainer import models
from trainer.config import ConfigError, load
from trainer.models.weights import load_weights
from trainer.session.savable_models import check_saving
from trainer.stages.check import check
from trainer.stages.teacher import teacher

# Each function gives a model of the kind that its name says.
OWN_MODELS = """
import keras
from trainer import models

built = []


def around(shape, classes, layer):
    built.append(layer)
    image = keras.Input(shape, dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.Dense(classes)(layer(x)))


class Nameless(keras.layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.scale


@keras.saving.register_keras_serializable(package="tests")
class Scale(Nameless):
    pass


@keras.saving.register_keras_serializable(package="tests")
class Forgetful(Nameless):
    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass


@keras.saving.register_keras_serializable(package="tests")
class Twice(keras.layers.Layer):
    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return super().get_config()  # without its factor


class Unknown(keras.layers.Layer):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


class Subclass(keras.Model):
    def __init__(self, layers):
        super().__init__()
        self.parts = layers

    def call(self, x):
        x = keras.ops.cast(x, "float32")
        for part in self.parts:
            x = part(x)
        return x


def registered(shape, classes):
    return around(shape, classes, Scale())


def with_dropout(shape, classes):
    return around(shape, classes, models.Dropout(0.5, stream=1))


def with_random_state(shape, classes):
    return around(shape, classes, keras.layers.Dropout(0.5))


def compiled_inside(shape, classes):
    inner = keras.Sequential([keras.Input((48,)), keras.layers.Dense(5)])
    inner.compile("adam", "mse")
    inner.optimizer.build(inner.trainable_variables)
    return around(shape, classes, inner)


def given_statistics(shape, classes):
    norm = keras.layers.Normalization()
    norm.build((None, 48))
    return around(shape, classes, norm)


def unregistered(shape, classes):
    return around(shape, classes, Nameless())


def without_config(shape, classes):
    return around(shape, classes, Unknown(keras.ops.relu))


def anonymous(shape, classes):
    return around(shape, classes, keras.layers.Lambda(lambda x: 2 * x))


def forgetful(shape, classes):
    return around(shape, classes, Forgetful())


def half_a_config(shape, classes):
    return around(shape, classes, Twice(2.0))


def subclass(shape, classes):
    return Subclass([keras.layers.Flatten(), keras.layers.Dense(classes)])
"""

SHAPE = (4, 4, 3)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The module own_savable, importable."""
    (tmp_path / "own_savable.py").write_text(OWN_MODELS)
    monkeypatch.syspath_prepend(tmp_path)
    import own_savable

    yield own_savable
    sys.modules.pop("own_savable", None)
    for name in ("tests>Scale", "tests>Forgetful", "tests>Twice"):
        keras.saving.get_custom_objects().pop(name, None)


def build(function):
    return models.build(
        f"own_savable:{function}",
        {},
        inputs=models.Inputs(shape=SHAPE),
        num_classes=3,
        seed=0,
        precision="float32",
        setting="student",
    )


def saved(function):
    examples = models.Inputs(shape=SHAPE).examples()
    models.check_saving(lambda: build(function), examples, setting="student")


@pytest.mark.parametrize(
    "function",
    [
        *("registered", "with_dropout", "with_random_state", "compiled_inside"),
        "given_statistics",
    ],
)
def test_what_comes_back_from_its_file_is_accepted(own, function):
    del own
    saved(function)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("unregistered", ("read back", "Nameless")),
        ("without_config", ("written", "Unknown")),
        ("subclass", ("written", "Subclass")),
        ("anonymous", ("read back", "Lambda")),
        ("forgetful", ("other values", "forgetful")),
        ("half_a_config", ("other logits",)),
    ],
)
def test_what_does_not_is_refused_with_the_class_and_a_way_out(own, function, reason):
    del own
    message = refusal(lambda: saved(function), ConfigError)
    assert_states(message, "student.model", *reason, "get_config")
    assert_states(message, "@keras.saving.register_keras_serializable()")
    assert len(message) < 600


def test_an_optimizer_inside_a_file_is_no_weight_of_the_model(own, tmp_path):
    del own
    path, model = tmp_path / "m.keras", build("compiled_inside")
    weights = [weight + 1.0 for weight in model.get_weights()]
    model.set_weights(weights)
    model.save(path)
    other = build("compiled_inside")
    load_weights(other, str(path), setting="student.weights")
    for found, expected in zip(other.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.fixture
def session(own, tmp_path, tfds_dir):
    """Of a teacher that can be saved and a student that cannot."""
    del own
    overrides = [
        'teacher.model="own_savable:registered"',
        "teacher.options={}",
        'student.model="own_savable:unregistered"',
        "student.options={}",
    ]
    settings = load(str(whole_run.write_config(tmp_path, tfds_dir)), overrides)
    return whole_run.session(settings, tmp_path / "run", strategy_of(1))


def test_a_run_looks_before_the_teacher_learns(session):
    with refused(ConfigError, "student.model", "Nameless"):
        check(session)
    assert session.networks.savable == {"teacher"}
    assert not session.path.exists()


def test_a_teacher_that_is_used_as_it_is_must_be_savable_too(session, own):
    own.registered = own.without_config
    with refused(ConfigError, "teacher.model", "Unknown"):
        teacher(session)


def test_a_begun_workdir_is_not_looked_at_again(session, own):
    begun = session.path / "baseline/seed-0/checkpoints"
    begun.mkdir(parents=True)
    (begun / "step-00000005.npz").write_bytes(b"")
    check_saving(session.networks, "student")
    assert own.built == []
