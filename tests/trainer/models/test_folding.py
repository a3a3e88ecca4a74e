"""Normalisations folded into the layers before them, against NumPy and the model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import whole_run
from tests.helpers.applications import SMALL, SMALLEST_OF_THEIR_KIND, build, randomise
from tests.helpers.devices import strategy_of
from tests.helpers.small_models import num_normalisations
from trainer import config, models, soft_targets
from trainer.session.features import fold_tapped
from trainer.stages.student import online

# What is left of a network's normalisations: those after a sum or a concatenation.
LEFT = {
    "DenseNet121": (121, 62),
    "MobileNetV2": (52, 0),
    "ResNet50": (53, 0),
    "ResNet50V2": (49, 17),
    "Xception": (40, 0),
}

BatchNormalization = keras.layers.BatchNormalization

LAYERS = {
    "convolution": lambda **more: keras.layers.Conv2D(5, 3, strides=2, **more),
    "depthwise": lambda **more: keras.layers.DepthwiseConv2D(
        3, depth_multiplier=2, **more
    ),
    "separable": lambda **more: keras.layers.SeparableConv2D(
        5, 3, depth_multiplier=2, **more
    ),
    "dense": lambda **more: keras.layers.Dense(5, **more),
}


def assert_near(result, expected):
    """Equal but for the rounding of sums whose terms cancel."""
    largest = np.abs(expected).max()
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * largest)


def image():
    return keras.Input((9, 8, 3), name="image")


def graph(x, *layers):
    start = x
    for layer in layers:
        x = layer(x)
    return drawn(keras.Model(start, x))


def drawn(model):
    """With other weights, statistics among them, than a model begins with."""
    rng = np.random.default_rng(7)
    for variable in model.variables:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


def images(count=4):
    return np.random.default_rng(3).normal(size=(count, 9, 8, 3)).astype(np.float32)


def answers(model, x):
    return np.asarray(model(x, training=False), np.float32)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("kind", LAYERS)
def test_the_folded_layer_is_numpys_normalisation_of_the_layer(
    kind, use_bias, scale, center
):
    layer = LAYERS[kind](use_bias=use_bias)
    norm = BatchNormalization(center=center, scale=scale, epsilon=0.1)
    model = graph(image(), layer, norm)
    before = np.asarray(layer(images()), np.float64)
    mean, variance = (
        np.asarray(values) for values in (norm.moving_mean, norm.moving_variance)
    )
    expected = (before - mean) / np.sqrt(variance + 0.1)
    if scale:
        expected = expected * np.asarray(norm.gamma)
    if center:
        expected = expected + np.asarray(norm.beta)
    result = models.fold_batch_norm(model)
    assert num_normalisations(result) == 0
    assert_near(answers(result, images()), expected)


@pytest.mark.parametrize(
    "name",
    [
        *SMALL,
        *(pytest.param(n, marks=pytest.mark.slow) for n in SMALLEST_OF_THEIR_KIND),
    ],
)
def test_a_folded_network_gives_the_same_logits(name):
    model = build(name, size=71 if name in LEFT else None)
    randomise(model)
    shape = (4, *model.input_shape[1:])
    x = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    expected, result = answers(model, x), models.fold_batch_norm(model)
    error = np.abs(answers(result, x) - expected).max()
    assert error < 1e-4 * np.abs(expected).max()
    if name in LEFT:
        assert (num_normalisations(model), num_normalisations(result)) == LEFT[name]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_is_as_near_to_float32_as_without(precision):
    exact, half = (
        build("MobileNetV2", size=32, precision=kind) for kind in ("float32", precision)
    )
    x = np.random.default_rng(2).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    for model in (exact, half):
        randomise(model)
    expected = answers(exact, x)
    before, after = (
        np.sqrt(np.mean((answers(model, x) - expected) ** 2))
        for model in (half, models.fold_batch_norm(half))
    )
    assert 0 < after < 1.5 * before


class OwnConvolution(keras.layers.Conv2D):
    """May compute anything."""


class OwnNormalisation(BatchNormalization):
    """May compute anything."""


def of_two_uses():
    x = keras.layers.Conv2D(5, 3)(image_ := image())
    return drawn(keras.Model(image_, keras.layers.Add()([x, BatchNormalization()(x)])))


def of_two_outputs():
    x = keras.layers.Conv2D(5, 3)(image_ := image())
    outputs = keras.layers.Concatenate()([BatchNormalization()(x), keras.ops.relu(x)])
    return drawn(keras.Model(image_, outputs))


def of_a_shared_layer():
    a, layer = image(), keras.layers.Conv2D(3, 3, padding="same")
    return drawn(keras.Model(a, layer(BatchNormalization()(layer(a)))))


def of_a_shared_normalisation():
    a, norm = image(), BatchNormalization()
    x = norm(keras.layers.Conv2D(5, 3)(a))
    return drawn(keras.Model(a, norm(keras.layers.Conv2D(5, 3)(x))))


def of_the_batch():
    x = keras.layers.Conv2D(5, 3)(image_ := image())
    return drawn(keras.Model(image_, BatchNormalization()(x, training=True)))


def called_by_name():
    x = keras.layers.Conv2D(5, 3)(image_ := image())
    return drawn(keras.Model(image_, BatchNormalization()(inputs=x)))


def adapted():
    layer = keras.layers.Dense(5)
    model = graph(image(), layer, BatchNormalization())
    layer.enable_lora(2)
    return drawn(model)


@pytest.mark.parametrize(
    "made",
    [
        lambda: graph(
            image(), keras.layers.Conv2D(5, 3, activation="relu"), BatchNormalization()
        ),
        lambda: graph(image(), keras.layers.Conv2D(8, 3), BatchNormalization(axis=1)),
        lambda: graph(
            image(), keras.layers.Conv2D(5, 3), BatchNormalization(renorm=True)
        ),
        lambda: graph(
            image(), keras.layers.Conv2D(5, 3, dtype="bfloat16"), BatchNormalization()
        ),
        lambda: graph(
            image(), keras.layers.Conv2DTranspose(5, 3), BatchNormalization()
        ),
        lambda: graph(image(), OwnConvolution(5, 3), BatchNormalization()),
        lambda: graph(image(), keras.layers.Conv2D(5, 3), OwnNormalisation()),
        lambda: graph(image(), BatchNormalization(), keras.layers.Conv2D(5, 3)),
        *(of_two_uses, of_two_outputs, of_a_shared_layer),
        *(
            of_a_shared_normalisation,
            of_the_batch,
            called_by_name,
            adapted,
        ),
    ],
)
def test_what_would_not_be_the_same_stays(made):
    model = made()
    result = models.fold_batch_norm(model)
    assert num_normalisations(result) == num_normalisations(model) > 0
    np.testing.assert_array_equal(answers(result, images()), answers(model, images()))


def test_networks_within_networks_are_folded_too():
    inside = keras.Sequential(
        [image(), keras.layers.Conv2D(5, 3), BatchNormalization()], name="inside"
    )
    model = graph(image(), inside, keras.layers.Conv2D(4, 3), BatchNormalization())
    result = models.fold_batch_norm(model)
    assert (num_normalisations(model), num_normalisations(result)) == (2, 0)
    assert_near(answers(result, images()), answers(model, images()))


def test_layers_may_be_called_by_name():
    x = BatchNormalization()(keras.layers.Conv2D(5, 3)(image_ := image()))
    attention = keras.layers.MultiHeadAttention(num_heads=2, key_dim=3)
    model = drawn(keras.Model(image_, attention(query=x, value=x)))
    result = models.fold_batch_norm(model)
    assert (num_normalisations(model), num_normalisations(result)) == (1, 0)
    assert_near(answers(result, images()), answers(model, images()))


def test_a_model_without_normalisations_is_the_result_itself():
    model = graph(image(), keras.layers.Conv2D(5, 3))
    assert models.fold_batch_norm(model) is model


def test_a_model_with_code_of_its_own_is_the_result_itself():
    class Own(keras.Model):
        def call(self, x):
            return 2 * super().call(x)

    class Subclass(keras.Model):
        def call(self, x):
            return x

    a = image()
    for model in (
        Own(a, BatchNormalization()(keras.layers.Conv2D(5, 3)(a))),
        Subclass(),
    ):
        assert models.fold_batch_norm(model) is model


def test_the_model_stays_as_it_is(tmp_path):
    model = graph(
        image(),
        *(keras.layers.Conv2D(5, 3), BatchNormalization(), keras.layers.Conv2D(4, 3)),
    )
    expected, weights = answers(model, images()), models.fingerprint(model)
    result = models.fold_batch_norm(model)
    assert models.fingerprint(model) == weights
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    for same in (model, loaded):
        np.testing.assert_array_equal(answers(same, images()), expected)
    # What nothing is folded into is in memory once.
    assert result.layers[-1] is model.layers[-1]
    assert not result.layers[1].trainable


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    settings = config.load("configs/mnist_mini.toml", [])
    return whole_run.session(settings, tmp_path_factory.mktemp("run"), strategy_of(1))


def test_the_students_of_a_run_share_the_folded_teacher(session):
    teacher = graph(image(), keras.layers.Conv2D(5, 3), BatchNormalization())
    assert num_normalisations(session.networks.fold(teacher)) == 0
    # Layers keep all graphs that they are in: another would stay in memory too.
    assert session.networks.fold(teacher) is session.networks.fold(teacher)


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_every_replica_has_the_folded_teacher(num_replicas):
    strategy = strategy_of(num_replicas)
    with strategy.scope():
        teacher = graph(
            image(),
            *(keras.layers.Conv2D(5, 3), BatchNormalization(), keras.layers.Flatten()),
        )
        signal = soft_targets.online(models.fold_batch_norm(teacher))
    x = images()

    def on_replica():
        return signal({"input": tf.constant(x)}).at(1.0).logits

    results = strategy.experimental_local_results(
        tf.function(lambda: strategy.run(on_replica))()
    )
    assert len(results) == num_replicas
    for result in results:
        assert_near(result, answers(teacher, x))


def nested_teacher():
    """A convolution, its normalisation and a ReLU, outside and in a network."""
    keras.utils.set_random_seed(4)
    inside = keras.Sequential(
        [
            keras.Input((9, 8, 4)),
            keras.layers.Conv2D(5, 3, name="conv"),
            BatchNormalization(name="norm"),
            keras.layers.ReLU(name="relu"),
        ],
        name="inside",
    )
    return graph(
        image(),
        keras.layers.Conv2D(4, 3, padding="same", name="conv"),
        BatchNormalization(name="norm"),
        keras.layers.ReLU(name="relu"),
        inside,
        keras.layers.GlobalAveragePooling2D(name="pool"),
        keras.layers.Dense(6, name="hidden"),
        BatchNormalization(name="hidden_norm"),
        keras.layers.Dense(3, name="last"),
    )


@pytest.mark.parametrize(
    ("names", "left"),  # normalisations that are not folded, of three
    [
        (["conv"], 1),
        (["norm"], 0),
        (["relu"], 0),
        (["conv", "norm", "relu"], 1),
        (["inside/conv"], 1),
        (["inside/norm"], 0),
        (["inside/conv", "inside/norm", "norm"], 1),
        (["conv", "inside/conv", "hidden"], 3),
        (["inside", "inside/relu", "pool"], 0),
        (["hidden_norm", "embedding"], 0),
        (["hidden"], 1),
    ],
    ids=str,
)
def test_what_is_tapped_is_that_of_the_model_that_is_not_folded(session, names, left):
    model = nested_teacher()
    taps = models.find_taps(model, names, setting="teacher_layer")
    # Values before a ReLU below 0 too, or a wrong place would look right.
    x = 5 * images()
    expected = models.call_tapped(model, x, training=False, taps=taps)
    folded, moved = fold_tapped(session.networks, model, taps)
    assert num_normalisations(folded) == left
    assert moved.keys() == taps.keys()
    found = models.call_tapped(folded, x, training=False, taps=moved)
    assert_near(found[0], expected[0])
    for name in names:
        assert_near(found[1][name], expected[1][name])


def test_a_tapped_layer_without_its_fold_would_be_another_value():
    model = nested_teacher()
    taps = models.find_taps(model, ["conv"], setting="teacher_layer")
    expected, wrong = (
        models.call_tapped(network, images(), training=False, taps=taps)[1]["conv"]
        for network in (model, models.fold_batch_norm(model))
    )
    assert np.abs(expected - wrong).max() > 0.1 * np.abs(expected).max()


def test_one_fold_is_kept_for_each_set_of_taps(session):
    model = nested_teacher()
    kept = {}
    for names in (["conv"], ["norm"], ["inside/conv", "conv"], ["relu"], ["conv"]):
        taps = models.find_taps(model, names, setting="teacher_layer")
        folded, _ = fold_tapped(session.networks, model, taps)
        assert kept.setdefault(tuple(names), folded) is folded
    assert len({id(folded) for folded in kept.values()}) == len(kept)


def test_the_signal_of_each_live_teacher_has_what_terms_compare(tmp_path):
    members = "{model='cnn', weights='a.keras'}, {model='cnn', weights='b.keras'}"
    compared = (["conv", "inside/norm"], ["norm", "embedding"])
    terms = ", ".join(
        f"{{loss='hint', teacher='members[{i}]', student_layer=['a', 'b'], "
        f"teacher_layer={names}}}"
        for i, names in enumerate(compared)
    )
    settings = config.load(
        "configs/mnist_mini.toml",
        [f"teacher={{members=[{members}]}}", f"distill={{terms=[{terms}]}}"],
    )
    run = whole_run.session(settings, tmp_path, strategy_of(1))
    teachers = [nested_teacher(), nested_teacher()]
    signals = online(run.networks, teachers)
    for names, teacher, signal in zip(compared, teachers, signals, strict=True):
        member = signal({"input": tf.constant(images())})
        assert member.features.keys() == set(names)
        assert_near(member.at(1.0).logits, answers(teacher, images()))
        taps = models.find_taps(teacher, names, setting="teacher_layer")
        _, expected = models.call_tapped(teacher, images(), training=False, taps=taps)
        for name, value in expected.items():
            assert_near(member.features[name], value)
