"""The networks of the CIFAR tables, against counts made by hand and RepDistiller's."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import drawn_images
from tests.helpers.messages import refused
from tests.helpers.small_models import MNIST_SHAPE, build, num_normalisations
from tests.helpers.students import SGD, Run
from trainer import data, export, models
from trainer.config import (
    ConfigError,
    MobilenetV2CifarOptions,
    ResnetCifarOptions,
    ShufflenetV1Options,
    ShufflenetV2Options,
    TermConfig,
    VggCifarOptions,
    WideResnetOptions,
)
from trainer.config.losses import NoLossOptions

CIFAR_SHAPE = (32, 32, 3)

X4 = (32, 64, 128, 256)
SMALL = {
    "mobilenet_v2_cifar": MobilenetV2CifarOptions(width=0.125),
    "resnet_cifar": ResnetCifarOptions(depth=14, widths=(4, 6, 8, 10)),
    "shufflenet_v1": ShufflenetV1Options(widths=(36, 48, 72)),
    "shufflenet_v2": ShufflenetV2Options(widths=(8, 12, 16, 20)),
    "vgg_cifar": VggCifarOptions(depth=13, widths=(4, 6, 8, 10, 512)),
    "wide_resnet": WideResnetOptions(depth=16, width=1),
}


@functools.cache
def small(name, image_shape=CIFAR_SHAPE) -> keras.Model:
    """A network whose channels, biases and statistics differ."""
    model = build(name, SMALL[name], image_shape=image_shape)
    for i, weight in enumerate(sorted(model.weights, key=lambda weight: weight.path)):
        wave = np.sin(np.arange(np.prod(weight.shape)) ** 2 + i).reshape(weight.shape)
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(1 + 0.3 * wave)
        elif len(weight.shape) == 1:
            weight.assign(0.1 * wave)
        else:
            is_depthwise = len(weight.shape) == 4 and weight.shape[-1] == 1
            inputs = weight.shape[:2] if is_depthwise else weight.shape[:-1]
            weight.assign(2 / np.sqrt(np.prod(inputs)) * wave)
    return model


def images(shape=CIFAR_SHAPE, count=2) -> np.ndarray:
    numbers = np.arange(count * np.prod(shape)) ** 2 % 251
    return numbers.reshape(count, *shape).astype(np.uint8)


SLOW = pytest.mark.slow
# Again each is slow to build.
NAMES = [
    *("resnet_cifar", "vgg_cifar", "wide_resnet"),
    *(
        pytest.param(name, marks=SLOW)
        for name in ("mobilenet_v2_cifar", "shufflenet_v1", "shufflenet_v2")
    ),
]


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        # Of resnet8: stem 432 + 32; stages 4,608 + 64, then 4,608 + 9,216 + 512 + 192
        # and 18,432 + 36,864 + 2,048 + 384; logits 6,500.
        ("resnet_cifar", ResnetCifarOptions(depth=8), 83_892),
        ("resnet_cifar", ResnetCifarOptions(), 278_324),
        # Two blocks more, of 2 * (144 + 2) * 16 + 2 * (288 + 2) * 32 + 2 * (576 + 2) *
        # 64 parameters in the three stages, are 97,216.
        ("resnet_cifar", ResnetCifarOptions(depth=14), 181_108),
        pytest.param("resnet_cifar", ResnetCifarOptions(depth=32), 472_756, marks=SLOW),
        pytest.param("resnet_cifar", ResnetCifarOptions(depth=56), 861_620, marks=SLOW),
        pytest.param(
            "resnet_cifar", ResnetCifarOptions(depth=110), 1_736_564, marks=SLOW
        ),
        ("resnet_cifar", ResnetCifarOptions(depth=8, widths=X4), 1_233_540),
        pytest.param(
            *("resnet_cifar", ResnetCifarOptions(depth=32, widths=X4), 7_433_860),
            marks=SLOW,
        ),
        ("resnet_cifar", ResnetCifarOptions(depth=8, widths=(8, 8, 16, 32)), 22_924),
        ("resnet_cifar", ResnetCifarOptions(depth=8, widths=(4, 4, 8, 16)), 6_744),
        # Of wrn-16-1: stem 432; first blocks 4,672, 14,432 and 57,536 with shortcuts of
        # 512 and 2,048; second ones 4,672, 18,560 and 73,984; the last normalisation
        # 128; logits 6,500.
        ("wide_resnet", WideResnetOptions(width=1), 180_916),
        ("wide_resnet", WideResnetOptions(), 703_284),
        pytest.param(
            "wide_resnet", WideResnetOptions(depth=40, width=1), 569_780, marks=SLOW
        ),
        pytest.param("wide_resnet", WideResnetOptions(depth=40), 2_255_156, marks=SLOW),
        # Of vgg8: 1,792 + 128, 73,856 + 256, 295,168 + 512, 1,180,160 + 1,024,
        # 2,359,808 + 1,024; logits 51,300.
        ("vgg_cifar", VggCifarOptions(), 3_965_028),
        pytest.param("vgg_cifar", VggCifarOptions(depth=13), 9_462_180, marks=SLOW),
        pytest.param(
            "mobilenet_v2_cifar", MobilenetV2CifarOptions(), 812_836, marks=SLOW
        ),
        pytest.param("shufflenet_v1", ShufflenetV1Options(), 949_258, marks=SLOW),
        pytest.param("shufflenet_v2", ShufflenetV2Options(), 1_355_528, marks=SLOW),
    ],
)
def test_parameters_that_train_are_repdistillers(name, options, parameters):
    model = build(name, options, image_shape=CIFAR_SHAPE, num_classes=100)
    shapes = [weight.shape for weight in model.trainable_weights]
    assert sum(int(np.prod(shape)) for shape in shapes) == parameters


# What RepDistiller's own files compute in NumPy's float64 from these weights and
# images, in four classes of each image.
LOGITS = {
    "mobilenet_v2_cifar": [
        [-880.38579, 988.75894, -376.62125, -412.25938],
        [-501.78256, 531.3005, -278.51393, -275.11844],
    ],
    "resnet_cifar": [
        [1.67121, 2.48268, 0.40109, 0.13947],
        [1.77696, 2.50995, 0.69099, 0.03555],
    ],
    "shufflenet_v1": [
        [-7.52978, 8.00077, 1.69934, -12.54148],
        [-7.18786, 6.75588, 0.05825, -11.25039],
    ],
    "shufflenet_v2": [
        [-12.17025, 3.82187, -0.01509, 3.67311],
        [-14.37046, 6.81124, -1.56793, 3.04253],
    ],
    "vgg_cifar": [
        [0.65379, 1.43803, 2.42252, -1.9228],
        [0.57457, 1.42135, 2.32921, -1.94964],
    ],
    "wide_resnet": [
        [8.24174, -11.77784, -7.77092, 23.57781],
        [7.51994, -12.95484, -8.99885, 23.05986],
    ],
}


@pytest.mark.parametrize("name", SMALL)
def test_logits_are_repdistillers(name):
    logits = small(name)(images(), training=False)
    assert logits.dtype == tf.float32
    np.testing.assert_allclose(logits[:, :4], LOGITS[name], rtol=2e-5, atol=5e-5)


SHAPES = {
    "mobilenet_v2_cifar": [(16, 3), (8, 4), (4, 12), (2, 40)],
    "resnet_cifar": [(32, 6), (16, 8), (8, 10)],
    "shufflenet_v1": [(16, 36), (8, 48), (4, 72)],
    "shufflenet_v2": [(16, 8), (8, 12), (4, 16)],
    "vgg_cifar": [(32, 4), (16, 6), (8, 8), (4, 10), (4, 512)],
    "wide_resnet": [(32, 16), (16, 32), (8, 64)],
}
# Of 28 pixels: strides round up, pools down.
SIDES = {32: 28, 16: 14, 8: 7, 4: 4, 2: 2}


@pytest.mark.parametrize("name", NAMES)
def test_stages_can_be_tapped(name):
    check_stages(name, CIFAR_SHAPE)


@pytest.mark.parametrize("name", NAMES)
def test_stages_of_other_images_can_be_tapped(name):
    check_stages(name, MNIST_SHAPE)


def check_stages(name, image_shape):
    model = small(name, image_shape)
    stages = stages_of(name)
    stem = ["stem"] if name != "vgg_cifar" else []
    taps = models.find_taps(model, [*stem, *stages, "embedding"], setting="layers")
    shapes = models.shapes_of(model, taps, images(image_shape))
    sides = {**SIDES, 4: 3} if name == "vgg_cifar" else SIDES
    for stage, (side, channels) in zip(stages, SHAPES[name], strict=True):
        side = side if image_shape == CIFAR_SHAPE else sides[side]
        assert shapes[stage] == (side, side, channels)
    assert shapes["embedding"] == (model.get_layer("logits").kernel.shape[0],)
    assert models.embedding_path(model, images(image_shape)) == "logits"


# Those that are not folded: behind a sum in wide_resnet, or a stem that a sum sees.
LEFT = {"wide_resnet": 7}


def stages_of(name) -> list[str]:
    return [f"stage{i}" for i in range(1, len(SHAPES[name]) + 1)]


def tapped(model, paths):
    taps = models.find_taps(model, paths, setting="layers")
    logits, values = models.call_tapped(model, images(), training=False, taps=taps)
    return {"logits": logits, **values}


@pytest.mark.parametrize("name", SMALL)
def test_folded_networks_give_the_same(name):
    model, stages = small(name), stages_of(name)
    folded = models.fold_batch_norm(model, tapped=stages)
    assert num_normalisations(model) > num_normalisations(folded) == LEFT.get(name, 0)
    expected = tapped(model, stages)
    moved = {s: models.folded_path(model, s, tapped=stages) for s in stages}
    found = tapped(folded, list(moved.values()))
    for stage, value in expected.items():
        largest = np.abs(value).max()
        np.testing.assert_allclose(
            found[moved.get(stage, stage)],
            value,
            rtol=0,
            atol=1e-5 * largest,
            err_msg=stage,
        )


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_computes_in_bfloat16_up_to_the_logits(name):
    model = build(name, SMALL[name], precision="mixed_bfloat16")
    dtypes = {layer.name: layer.compute_dtype for layer in model.layers[1:]}
    in_float32 = {name for name, dtype in dtypes.items() if dtype == "float32"}
    assert in_float32 == {"preprocessing", "logits"}
    assert model.output.dtype == "float32"


@SLOW
@pytest.mark.parametrize("name", SMALL)
def test_an_exported_network_gives_the_same(name, tmp_path):
    model = small(name)
    x = images(count=3)
    expected = export.predict_function(model)(x)
    export.save(model, [str(i) for i in range(10)], tmp_path / "saved")
    np.testing.assert_allclose(export.load(tmp_path / "saved")(x), expected, atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-5, atol=1e-5)


@SLOW
@pytest.mark.parametrize("name", SMALL)
def test_a_network_learns_from_drawn_images(name):
    drawn = list(drawn_images.images(48, size=28))
    examples = data.ArrayExamples(
        inputs=np.stack([pixels for _, pixels in drawn]),
        labels=np.array([drawn_images.CLASSES.index(n) for n, _ in drawn], np.int32),
        ids=np.arange(len(drawn)),
    )

    def network(options, precision="float32"):
        del options
        return build(name, SMALL[name], image_shape=(28, 28, 3), precision=precision)

    def teacher(options, seed=0, precision="float32"):
        del options, seed, precision
        return build(
            "resnet_cifar", SMALL["resnet_cifar"], image_shape=(28, 28, 3), seed=1
        )

    stages = ("stage1", "stage2", "stage3")
    run = Run(
        train=dataclasses.replace(SGD, learning_rate=0.01),
        build=network,
        build_teacher=teacher,
        images=examples,
        terms=[
            TermConfig(
                loss="attention",
                options=NoLossOptions(),
                student_layer=stages,
                teacher_layer=stages,
            )
        ],
    )
    before = run.weights()
    epochs = np.array(run.losses(5 * 4)).reshape(5, 4).mean(axis=1)
    assert epochs[-1] < epochs[0]
    for old, new in zip(before, run.weights(), strict=True):
        assert (old != new).any()


def test_images_of_which_no_pixel_is_left_are_refused():
    build("vgg_cifar", VggCifarOptions(widths=(2,) * 5), image_shape=(8, 9, 1))
    with refused(ConfigError, "8 x 8", "7 x 9", "data.image_size"):
        build("vgg_cifar", VggCifarOptions(), image_shape=(7, 9, 1))


@SLOW
@pytest.mark.parametrize("name", sorted(SMALL.keys() - {"vgg_cifar"}))
def test_of_others_one_pixel_is_enough(name):
    model = build(name, SMALL[name], image_shape=(1, 1, 1))
    assert model(images((1, 1, 1))).shape == (2, 10)
