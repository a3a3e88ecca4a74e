"""Values inside of a model against those that Keras gives of a graph's own tensors."""

import contextlib
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import saved_models
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_states, refusal, refused
from tests.helpers.students import build_mlp
from trainer import models
from trainer.config import ConfigError, MlpOptions

layers = keras.layers
SHAPE = (6, 5, 3)
SETTING = "distill.terms[0].student_layer"


def images(count: int = 4) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, *SHAPE)).astype(np.float32)


def image():
    return keras.Input(SHAPE, name="image")


def block(shape=SHAPE) -> keras.Model:
    """A graph in a graph: a convolution, and a sum around another."""
    x = layers.Conv2D(4, 3, padding="same", name="first")(inputs := keras.Input(shape))
    more = layers.Conv2D(4, 3, padding="same", activation="relu", name="second")(x)
    return keras.Model(inputs, layers.Add(name="sum")([x, more]), name="block")


def graph() -> keras.Model:
    """With a graph inside, and a Sequential inside of that."""
    keras.utils.set_random_seed(2)
    inner = keras.Sequential(
        [
            keras.Input((6, 5, 4)),
            layers.DepthwiseConv2D(3, name="wide"),
            layers.ReLU(name="relu"),
        ],
        name="inner",
    )
    x = inner(block()(a := image()))
    nested = keras.Model(a, x, name="nested")
    x = nested(start := image())
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(7, activation="relu", name="hidden")(x)
    return keras.Model(start, layers.Dense(5, name="logits")(x), name="graph")


class Own(keras.Model):
    """Layers in lists and dictionaries, and a network, called by code of its own."""

    def __init__(self) -> None:
        super().__init__(name="own")
        self.flatten = layers.Flatten(name="flatten")
        self.blocks = [layers.Dense(6, name=f"block_{i}") for i in range(2)]
        self.branches = {
            name: layers.Dense(3, name=f"branch_{name}") for name in ("a", "b")
        }
        self.inside = keras.Sequential([layers.Dense(4, name="one")], name="inside")
        self.head = layers.Dense(5, name="head")

    def call(self, x, training=False):
        x = self.flatten(x)
        for dense in self.blocks:
            x = tf.nn.relu(dense(x))
        x = tf.concat([branch(x) for branch in self.branches.values()], axis=-1)
        return self.head(self.inside(x))

    def values(self, x) -> dict[str, tf.Tensor]:
        """Those of the layers, by their weights alone."""

        def dense(layer, x):
            return x @ layer.kernel + layer.bias

        first = dense(self.blocks[0], tf.reshape(x, [len(x), -1]))
        second = dense(self.blocks[1], tf.nn.relu(first))
        a, b = (dense(x, tf.nn.relu(second)) for x in self.branches.values())
        one = dense(self.inside.layers[0], tf.concat([a, b], axis=-1))
        return {
            "block_0": first,
            "block_1": second,
            "branch_b": b,
            "inside/one": one,
            "inside": one,
            "embedding": one,
        }


@functools.cache
def own() -> Own:
    keras.utils.set_random_seed(3)
    model = Own()
    model(images())
    return model


@functools.cache
def nested() -> keras.Model:
    return graph()


def tapped(model, names, x=None, *, training=False, setting=SETTING):
    taps = models.find_taps(model, names, setting=setting)
    x = tf.convert_to_tensor(images() if x is None else x)
    return models.call_tapped(model, x, training=training, taps=taps)


def graph_values(model: keras.Model, x: np.ndarray) -> dict[str, np.ndarray]:
    """Of networks over the tensors of each graph, one behind the other."""
    inside = model.get_layer("nested")
    between, inner = inside.get_layer("block"), inside.get_layer("inner")
    first = keras.Model(between.input, between.get_layer("first").output)
    wide = keras.Sequential([keras.Input((6, 5, 4)), inner.get_layer("wide")])
    hidden = keras.Model(model.input, model.get_layer("hidden").output)
    pool = keras.Model(model.input, model.get_layer("pool").output)
    return {
        "nested/block/first": first(x),
        "nested/block/sum": between(x),
        "nested/block": between(x),
        "nested/inner/wide": wide(between(x)),
        "nested": inside(x),
        "hidden": hidden(x),
        "embedding": hidden(x),
        "pool": pool(x),
        "logits": model(x),
    }


@pytest.mark.parametrize("made", [nested, own])
@pytest.mark.parametrize("how", ["eager", "graph", "xla"])
def test_values_are_those_of_the_layers_of_a_path(made, how):
    model = made()
    expected = own().values(images()) if made is own else graph_values(model, images())

    def call(x):
        return tapped(model, [*expected], x)

    if how != "eager":
        call = tf.function(call, autograph=False, jit_compile=how == "xla")
    output, values = call(tf.constant(images()))
    np.testing.assert_allclose(output, model(images()), rtol=1e-5, atol=1e-6)
    assert values.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(
            values[name], value, rtol=1e-5, atol=1e-6, err_msg=name
        )


@pytest.mark.parametrize("xla", [False, True])
def test_gradients_go_through_what_is_recorded(xla):
    model = nested()
    kernel = model.get_layer("nested").get_layer("block").get_layer("first").kernel
    layer = model.get_layer("hidden")
    part = keras.Model(model.input, layer.output)

    @tf.function(jit_compile=xla, autograph=False)
    def found(x):
        with tf.GradientTape() as tape:
            _, values = tapped(model, ["hidden"], x)
            loss = tf.reduce_sum(tf.square(values["hidden"]))
        return tape.gradient(loss, [kernel.value, layer.kernel.value])

    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(part(images())))
    expected = tape.gradient(loss, [kernel.value, layer.kernel.value])
    for ours, theirs in zip(found(tf.constant(images())), expected, strict=True):
        assert np.abs(theirs).max() > 0
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_what_is_recorded_is_of_training_where_the_pass_is():
    model = keras.Sequential(
        [image(), layers.BatchNormalization(name="norm"), layers.Flatten()]
    )
    x = 3 + images()
    for training in (False, True):
        _, values = tapped(model, ["norm"], x, training=training)
        mean, spread = (f(x, axis=(0, 1, 2)) for f in (np.mean, np.std))
        expected = (x - mean) / spread if training else x
        np.testing.assert_allclose(values["norm"], expected, atol=6e-3)


def vector_graph(*made, dtype=None) -> keras.Model:
    x = start = keras.Input((6,))
    for layer in made:
        x = layer(x)
    return keras.Model(start, x)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_the_embedding_is_the_input_of_the_last_dense_layer(precision):
    x = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 1), dtype=np.uint8)
    own = vector_graph(
        layers.Dense(7, dtype=precision),
        layers.ReLU(),
        layers.Dense(5, dtype=precision),
    )
    # The architectures of the package give logits of float32 from their last layer.
    ours = build_mlp(MlpOptions(hidden_sizes=(8, 7)), precision=precision)
    half = precision.removeprefix("mixed_")
    for model, images, dtype in ((own, x[:, 0, :, 0], half), (ours, x, "float32")):
        _, values = tapped(model, ["embedding"], images)
        last = [x for x in model.layers if isinstance(x, layers.Dense)][-1]
        expected = keras.Model(model.input, last.input)(images)
        assert values["embedding"].shape == (4, 7)
        assert values["embedding"].dtype == dtype
        np.testing.assert_array_equal(
            tf.cast(values["embedding"], tf.float32), tf.cast(expected, tf.float32)
        )


def test_a_normalisation_behind_the_last_dense_layer_changes_no_embedding():
    hidden = layers.Dense(4, name="hidden")
    model = vector_graph(
        hidden,
        layers.BatchNormalization(),
        layers.Dense(5, name="last"),
        layers.BatchNormalization(),
    )
    for variable in model.variables:
        variable.assign(
            np.linspace(0.5, 2, variable.shape.num_elements()).reshape(variable.shape)
        )
    x = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    expected = keras.Model(model.input, model.layers[2].output)(x)
    folded = models.fold_batch_norm(model)
    for network in (model, folded):
        _, values = tapped(network, ["embedding"], x)
        np.testing.assert_allclose(values["embedding"], expected, rtol=1e-5)


# Models that cannot be tapped as named, with what the message states.


class Odd(keras.Model):
    """Calls its layer in this or that way."""

    def __init__(self, how: str) -> None:
        super().__init__(name="odd")
        self.how, self.shared = how, layers.Dense(6, name="shared")
        self.shared.build((None, 6))
        self.built = True

    def call(self, x, training=False):
        if self.how == "twice":
            return self.shared(self.shared(x))
        if self.how == "never":
            return x
        if self.how == "condition":
            is_small = tf.reduce_sum(x) < 9.0
            return tf.cond(is_small, lambda: self.shared(x), lambda: x)
        (result,) = tf.while_loop(
            lambda x: tf.reduce_sum(x) < 9.0, lambda x: [self.shared(x)], [x]
        )
        return result


class Pair(layers.Layer):
    def call(self, x):
        return x, x


def of_a_pair() -> keras.Model:
    return vector_graph(Pair(name="pair"), lambda pair: layers.Add()(pair))


def traced_error(model, name) -> str:
    @tf.function(autograph=False)
    def call(x):
        return tapped(model, [name], x)

    x = np.ones((2, 6), np.float32)
    return refusal(lambda: call.get_concrete_function(x), ConfigError)


@pytest.mark.parametrize(
    ("made", "name", "facts"),
    [
        (lambda: Odd("twice"), "shared", ("2 times", "once", "another")),
        (lambda: Odd("never"), "shared", ("not at all", "once", "another")),
        (lambda: Odd("loop"), "shared", ("loop", "around")),
        (lambda: Odd("condition"), "shared", ("condition", "around")),
        (of_a_pair, "pair", ("one tensor", "tuple", "inside")),
    ],
    ids=["twice", "never", "loop", "condition", "tuple"],
)
def test_what_is_not_one_tensor_of_one_call_is_refused(made, name, facts):
    model = made()
    text = traced_error(model, name)
    assert_states(text, f"'{name}'", f"'{model.name}'", *facts)
    with refused(ConfigError, f"'{name}'", *facts):
        taps = models.find_taps(model, [name], setting=SETTING)
        models.shapes_of(model, taps, np.ones((2, 6), np.float32))
    recorded = models.recordable(model, np.ones((2, 6), np.float32))
    assert name not in recorded


def same_names() -> keras.Model:
    model = Own()
    model.blocks[1].name = "block_0"
    return model


def channels_first() -> keras.Model:
    return keras.Sequential(
        [
            image(),
            layers.AveragePooling2D(2, data_format="channels_first", name="pool"),
        ],
        name="first",
    )


def rematerialised(what: str) -> keras.Model:
    x = start = keras.Input((6,))
    with keras.RematScope("full") if what == "dense" else contextlib.nullcontext():
        x = layers.Dense(3, name="dense")(x)
    with keras.RematScope("full") if what == "whole" else contextlib.nullcontext():
        return keras.Model(start, x, name="whole")


def without_dense() -> keras.Model:
    return keras.Sequential([image(), layers.Flatten(name="flatten")], name="flat")


def called_embedding() -> keras.Model:
    return vector_graph(layers.Dense(4, name="embedding"), layers.Dense(3))


@pytest.mark.parametrize(
    ("made", "name", "facts"),
    [
        (nested, "hiden", ("'hiden'", "'hidden'", "trainer layers")),
        (nested, "first", ("'first'", "'nested/block/first'")),
        (nested, "block/first", ("'block/first'", "'nested/block/first'")),
        (nested, "nothing_like_it", ("'nothing_like_it'", "trainer layers")),
        (own, "blocks/block_0", ("'blocks/block_0'", "'block_0'")),
        (same_names, "block_0", ("'block_0'", "2 layers", "names")),
        (channels_first, "pool", ("channels first", "'pool'", "channels last")),
        *(
            (
                lambda what=what: rematerialised(what),
                "dense",
                ("keras.RematScope", f"'{what}'"),
            )
            for what in ("dense", "whole")
        ),
        (without_dense, "embedding", ("'embedding'", "Dense", "trainer layers")),
        (called_embedding, "embedding", ("'embedding'", "another name")),
    ],
)
def test_a_layer_that_cannot_be_named_is_refused_with_a_way_out(made, name, facts):
    with refused(ConfigError, SETTING, *facts):
        models.find_taps(made(), [name], setting=SETTING)


def test_a_saved_model_has_no_layers_and_says_so(tmp_path):
    path = saved_models.write(saved_models.network(), tmp_path, "exported")
    model = saved_models.build(path)
    for name in ("conv2d", "embedding", "saved_model/conv2d"):
        with refused(ConfigError, SETTING, f"'{name}'", "SavedModel", ".keras"):
            models.find_taps(model, [name], setting=SETTING)


def test_nothing_is_asked_of_a_model_that_nobody_taps():
    assert models.find_taps(channels_first(), [], setting=SETTING) == {}
    output, values = tapped(Odd("twice"), [], np.ones((2, 6), np.float32))
    assert (output.shape, values) == ((2, 6), {})


def test_shapes_are_of_one_example():
    taps = models.find_taps(
        nested(), ["nested/block", "pool", "embedding"], setting=SETTING
    )
    assert models.shapes_of(nested(), taps, images(2)) == {
        "nested/block": (6, 5, 4),
        "pool": (4,),
        "embedding": (7,),
    }


def test_what_can_be_recorded_has_its_path_and_shape():
    assert models.recordable(own(), images(2)) == {
        "flatten": (90,),
        **dict.fromkeys(("block_0", "block_1"), (6,)),
        **dict.fromkeys(("branch_a", "branch_b"), (3,)),
        **dict.fromkeys(("inside", "inside/one"), (4,)),
        "head": (5,),
    }


def test_models_that_share_layers_are_recorded_each_by_itself():
    """As a teacher and what is folded of it."""
    conv = layers.Conv2D(4, 3, name="conv")
    shared = layers.Dense(3, name="shared")
    x = layers.BatchNormalization(name="norm")(conv(start := image()))
    model = keras.Model(start, shared(x))
    for variable in model.variables:
        variable.assign(np.random.default_rng(1).uniform(0.5, 1.5, variable.shape))
    folded = models.fold_batch_norm(model)
    assert folded.get_layer("shared") is shared

    @tf.function(autograph=False)
    def both(x):
        return tapped(model, ["shared"], x), tapped(folded, ["shared"], x + 1)

    (_, ours), (_, theirs) = both(tf.constant(images()))
    np.testing.assert_allclose(ours["shared"], model(images()), rtol=1e-4)
    np.testing.assert_allclose(theirs["shared"], model(images() + 1), rtol=1e-4)


def test_each_trace_has_calls_of_its_own():
    model = nested()

    @tf.function(autograph=False)
    def sums(x):
        parts = tf.reshape(x, [2, -1, *SHAPE])

        def of(i):
            return tf.reduce_sum(tapped(model, ["hidden"], parts[i])[1]["hidden"])

        # Once outside of the loop and once inside, as accumulation does.
        _, total = tf.while_loop(
            lambda i, total: i < 2,
            lambda i, total: (i + 1, total + of(i)),
            (tf.constant(1), of(0)),
        )
        return total

    hidden = keras.Model(model.input, model.get_layer("hidden").output)
    expected = tf.reduce_sum(hidden(images()))
    for _ in range(2):
        np.testing.assert_allclose(sums(tf.constant(images())), expected, rtol=1e-5)
        sums.get_concrete_function(tf.TensorSpec((8, *SHAPE)))  # and once more


def test_replicas_record_their_own_examples():
    strategy = strategy_of(2)
    with strategy.scope():
        model = keras.Sequential([image(), layers.Flatten(), layers.Dense(3)])
    taps = models.find_taps(model, ["embedding"], setting=SETTING)

    def on_replica():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        x = tf.constant(images()) + tf.cast(replica, tf.float32)
        return models.call_tapped(model, x, training=True, taps=taps)[1]["embedding"]

    results = tf.function(lambda: strategy.run(on_replica))()
    for i, value in enumerate(strategy.experimental_local_results(results)):
        np.testing.assert_allclose(value, images().reshape(4, -1) + i, rtol=1e-6)


def test_a_tapped_model_is_called_and_saved_as_before(tmp_path):
    model = graph()
    expected = model(images())
    tapped(model, ["nested/block/second", "nested/inner", "hidden", "embedding"])
    np.testing.assert_array_equal(model(images()), expected)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(loaded(images()), expected)
    # What was read of it can be tapped too, and tells nothing of the first.
    _, ours = tapped(loaded, ["nested/block/second"])
    _, theirs = tapped(model, ["nested/block/second"])
    np.testing.assert_array_equal(*ours.values(), *theirs.values())
    exported = tmp_path / "exported"
    model.export(exported, verbose=False)
    served = tf.saved_model.load(exported)
    found = served.serve(tf.constant(images()))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    cloned = keras.models.clone_model(model)
    cloned.set_weights(model.get_weights())
    np.testing.assert_array_equal(cloned(images()), expected)


class HeadFirst(keras.Model):
    """Makes the layer first that it calls last."""

    def __init__(self, units: int) -> None:
        super().__init__(name="head_first")
        self.head = layers.Dense(5, name="head")
        self.hidden = layers.Dense(units, name="hidden")

    def call(self, x, training=False):
        return self.head(self.hidden(x))


def test_the_embedding_is_of_the_dense_layer_that_is_called_last():
    model, x = HeadFirst(7), np.ones((3, 6), np.float32)
    model(x)
    taps = models.find_taps(model, ["embedding"], setting=SETTING)
    assert models.embedding_path(model, x) == "head"
    logits, values = models.call_tapped(model, x, training=False, taps=taps)
    np.testing.assert_allclose(values["embedding"], model.hidden(x), rtol=1e-6)
    np.testing.assert_allclose(logits, model(x), rtol=1e-6)
    assert list(models.recordable(model, x)) == ["hidden", "head"]


def test_the_embedding_of_a_gate_is_refused():
    pixels = layers.Conv2D(6, 1)(start := image())
    gate = layers.Dense(6, activation="sigmoid", name="gate")(pixels)
    x = layers.Conv2D(5, 1)(layers.Multiply()([pixels, gate]))
    model = keras.Model(start, layers.GlobalAveragePooling2D()(x), name="gated")
    taps = models.find_taps(model, ["embedding"], setting=SETTING)
    with refused(ConfigError, "'embedding'", "'gated'", "5 logits", "'gate'", 6):
        models.shapes_of(model, taps, images())


class Windows(keras.layers.Layer):
    """Cuts images into rows of which each becomes an example of its own."""

    def call(self, images):
        return keras.ops.reshape(images, (-1, images.shape[2], images.shape[3]))


def test_what_is_not_an_examples_own_is_refused():
    image = keras.Input((4, 6, 3))
    rows = Windows(name="rows")(image)
    whole = keras.layers.Reshape((6, 3), name="again")(rows)
    whole = keras.ops.reshape(whole, (-1, 4 * 6 * 3))
    numbers = keras.layers.Lambda(lambda x: keras.ops.cast(x, "int32"), name="numbers")
    model = keras.Model(image, [whole, numbers(image)])
    batch = np.zeros((5, 4, 6, 3), np.float32)
    for name, facts in {"rows": ("(20, 6, 3)",), "numbers": ("int32",)}.items():
        taps = models.find_taps(model, [name], setting="student_layer")
        with refused(ConfigError, f"'{name}'", *facts, 5):
            models.shapes_of(model, taps, batch)
