"""Layers that a loss can compare or not, and the networks between them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.devices import strategy_of
from tests.helpers.messages import refused
from trainer.config import ConfigError, TermConfig
from trainer.config.losses import LOSSES, AdapterOptions
from trainer.train.connecting import connect

layers = keras.layers
SHAPE = (8, 6, 2)
SETTING = "distill.terms[2]"


def network(channels: int, *, stride: int, last=(), shape=SHAPE) -> keras.Model:
    """Maps, a sequence of their rows, and vectors."""
    keras.utils.set_random_seed(channels)
    x = image = keras.Input(shape)
    for layer in (
        layers.Conv2D(channels, 3, strides=stride, padding="same", name="map"),
        layers.GlobalAveragePooling2D(name="pool"),
        layers.Dense(2 * channels, activation="relu", name="hidden"),
        layers.Reshape((2, channels), name="sequence"),
        layers.Flatten(),
        layers.Dense(4, name="last"),
        *last,
    ):
        x = layer(x)
    return keras.Model(image, x, name=f"of_{channels}")


@pytest.fixture(scope="module")
def student():
    return network(3, stride=1)


@pytest.fixture(scope="module")
def teacher():
    return network(5, stride=2)


def examples(shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)


def connected(loss, ours, theirs, student, teacher, *, x=None, **options):
    row = LOSSES[loss]
    term = TermConfig(
        loss=loss,
        options=row.options(**options),
        student_layer=ours,
        teacher_layer=theirs,
    )
    return connect(
        term,
        student=student,
        teacher=teacher,
        student_examples=examples() if x is None else x,
        teacher_examples=examples() if x is None else x,
        key=(0, 2),
        precision="float32",
        setting=SETTING,
    )


@pytest.mark.parametrize(
    ("loss", "ours", "theirs", "sizes"),
    [
        # 3 channels to 5, or 3 to the 10 of a vector; the variance is one for each.
        ("hint", "map", "map", [3 * 5 + 5]),
        ("hint", ("map", "hidden"), ("map", "map"), [3 * 5 + 5, 6 * 5 + 5]),
        ("hint", "sequence", "sequence", [3 * 5 + 5]),
        ("hint", "map", "hidden", [3 * 10 + 10]),
        ("vid", "map", "map", [3 * 5 + 5 + 5]),
        ("cosine", "embedding", "embedding", [6 * 10 + 10]),
        ("contrastive", "map", "map", [3 * 5 + 5]),
        ("srrl", "pool", "embedding", [3 * 10 + 10]),
        ("attention", "map", "map", []),
        ("similarity", "map", "hidden", []),
        ("similarity", "map", "sequence", []),
        ("rkd", "map", "pool", []),
        ("pkt", "sequence", "map", []),
    ],
)
def test_adapters_are_made_from_shapes(student, teacher, loss, ours, theirs, sizes):
    connection = connected(loss, ours, theirs, student, teacher)
    adapters = [adapter for adapter in connection.adapters if adapter]
    assert [adapter.count_params() for adapter in adapters] == sizes
    assert (connection.classify is not None) == (loss == "srrl")
    names = [adapter.name for adapter in adapters]
    assert names == [f"adapter_2_{i}" for i in range(len(sizes))]


def test_layers_with_as_many_channels_need_no_adapter(student):
    other = network(3, stride=2)
    for loss in ("hint", "cosine", "contrastive"):
        made = connected(loss, "map", "map", student, other, adapter="none")
        assert made.adapters == [None]
    # The variance is trained all the same.
    (adapter,) = connected("vid", "map", "map", student, other, adapter="none").adapters
    assert adapter.count_params() == 3


@pytest.mark.parametrize(
    ("loss", "ours", "theirs", "options", "facts"),
    [
        ("hint", "map", "map", {"adapter": "none"}, ("'none'", 3, 5, "'linear'")),
        ("srrl", "pool", "embedding", {"adapter": "none"}, ("'none'", 3, 10)),
        ("vid", "hidden", "map", {"adapter": "none"}, ("'none'", 6, 5)),
        ("attention", "map", "hidden", {}, ("'attention'", "8x6x3", "10", "pooling")),
        ("attention", "pool", "map", {}, ("'attention'", "3", "4x3x5", "pooling")),
        ("attention", "map", "sequence", {}, ("'attention'", "8x6x3", "2x5")),
        ("hint", "map", "sequence", {}, ("'hint'", "8x6x3", "2x5", "'embedding'")),
        ("vid", "sequence", "map", {}, ("'vid'", "2x3", "4x3x5")),
        ("cosine", ("pool", "sequence"), ("pool", "map"), {}, ("2x3", "4x3x5")),
    ],
)
def test_what_a_loss_cannot_compare_is_refused_with_shapes(
    student, teacher, loss, ours, theirs, options, facts
):
    last = [x if isinstance(x, str) else x[-1] for x in (ours, theirs)]
    with refused(ConfigError, SETTING, *map(repr, last), *facts):
        connected(loss, ours, theirs, student, teacher, **options)


def test_a_normalisation_without_its_adapter_is_refused(student):
    facts = (SETTING, "options.batch_norm", "'linear'", "'none'")
    with refused(ConfigError, *facts):
        options = {"adapter": "none", "batch_norm": True}
        connected("hint", "map", "map", student, network(3, stride=2), **options)


@pytest.mark.parametrize("side", ["student", "teacher"])
def test_a_layer_that_is_not_there_is_named_with_its_setting(student, teacher, side):
    names = {"student": "map", "teacher": "map"} | {side: "mapp"}
    with refused(ConfigError, f"{SETTING}.{side}_layer", "'mapp'", "'map'"):
        connected("hint", *names.values(), student, teacher)


class Positive(layers.Layer):
    """The columns of a batch whose sum is above 0."""

    def call(self, x):
        chosen = tf.reduce_sum(x, axis=0) > 0
        return tf.boolean_mask(x, chosen, axis=1)

    def compute_output_shape(self, shape):
        return (shape[0], None)


@pytest.mark.parametrize("name", ["scalar", "some"])
def test_values_of_no_single_shape_are_refused(student, name):
    x = layers.Flatten()(image := keras.Input(SHAPE))
    x = layers.Reshape((-1, 1))(Positive(name="some")(x))
    x = layers.GlobalMaxPooling1D()(x)
    scalar = layers.Lambda(lambda x: x[:, 0], name="scalar")
    model = keras.Model(image, scalar(x))
    facts = (f"{SETTING}.teacher_layer", f"'{name}'", "[batch, ..., channels]")
    with refused(ConfigError, *facts):
        connected("hint", "map", name, student, model)


def test_a_layer_that_is_called_twice_is_named_with_its_setting(student):
    shared = layers.Conv2D(2, 3, padding="same", name="shared")
    x = shared(shared(image := keras.Input(SHAPE)))
    twice = keras.Model(image, layers.Flatten()(x), name="twice")
    facts = (f"{SETTING}.teacher_layer", "'shared'", "'twice'", "2 times")
    with refused(ConfigError, *facts):
        connected("hint", "map", "shared", student, twice)


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_the_classifier_makes_the_teacher_s_logits_of_its_embedding(num_replicas):
    strategy = strategy_of(num_replicas)
    with strategy.scope():
        student, teacher = network(3, stride=1), network(5, stride=2)
        classify = connected("srrl", "pool", "embedding", student, teacher).classify
    embedding = keras.Model(teacher.input, teacher.layers[-2].output)
    found = strategy.run(lambda: classify(embedding(examples())))
    np.testing.assert_allclose(
        strategy.experimental_local_results(found)[-1],
        teacher(examples(), training=False),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("last", "facts"),
    [
        (lambda: [layers.Rescaling(3.0)], ("'hint'",)),
        (lambda: [layers.Softmax()], ("'hint'",)),
        # Four values, and two logits.
        (
            lambda: [layers.Reshape((2, 2)), layers.GlobalAveragePooling1D()],
            ("2 logits", 4, "another layer"),
        ),
    ],
)
def test_a_classifier_that_something_follows_is_refused(student, last, facts):
    facts = (f"{SETTING}.teacher_layer", "'last'", "'of_5'", *facts)
    with refused(ConfigError, *facts):
        teacher = network(5, stride=2, last=last())
        connected("srrl", "pool", "embedding", student, teacher)


class Recomputed(layers.Layer):
    """Computes its layer once more in the backward pass."""

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.inner = layers.Dense(4, name="inner")

    def build(self, shape) -> None:
        self.inner.build(shape)

    def call(self, x):
        return tf.recompute_grad(self.inner)(x)


def test_layers_by_which_nothing_is_trained_are_refused(teacher):
    image = keras.Input(SHAPE)
    x = layers.Rescaling(0.5, name="rescaling")(image)
    x = layers.Conv2D(3, 3, name="frozen", trainable=False)(x)
    x = Recomputed(name="outer")(layers.Flatten()(x))
    student = keras.Model(image, layers.Dense(4)(x), name="student")
    for layer in ("rescaling", "frozen", "outer/inner"):
        facts = (f"{SETTING}.student_layer", f"'{layer}'", "trained", "'student'")
        with refused(ConfigError, *facts):
            connected("similarity", layer, "pool", student, teacher)
    assert connected("similarity", "outer", "pool", student, teacher).adapters == [None]


def test_maps_of_more_axes_are_pooled(teacher):
    def of_blocks(size: int) -> keras.Model:
        x = layers.Conv2D(3, 1)(image := keras.Input(SHAPE))
        x = layers.GlobalAveragePooling2D()(x)
        x = layers.Dense(2 * size * 3 * 4)(x)
        blocks = layers.Reshape((2, size, 3, 4), name="blocks")(x)
        return keras.Model(image, layers.Dense(4)(layers.Flatten()(blocks)))

    (adapter,) = connected(
        "hint", "blocks", "blocks", of_blocks(4), of_blocks(2)
    ).adapters
    assert adapter.count_params() == 4 * 4 + 4


def test_the_options_of_an_adapter_are_those_of_the_losses_with_one():
    with_adapter = {
        name for name, row in LOSSES.items() if issubclass(row.options, AdapterOptions)
    }
    assert with_adapter == {"hint", "contrastive", "vid", "cosine", "srrl"}
