"""Operations on the pixels of images against Pillow and NumPy."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from trainer import prng
from trainer.config import (
    ColorJitterOptions,
    RandAugmentOptions,
    RandomErasingOptions,
    TrivialAugmentOptions,
)
from trainer.data import image_operations as operations
from trainer.data import random_operations
from trainer.data.augment import random_erasing
from trainer.data.image_operations import ONE
from trainer.data.operation_variants import Ranges, variants
from trainer.data.random_operations import color_jitter, rand_augment, trivial_augment

HEIGHT, WIDTH = 45, 61
RANGES = {
    "rand": Ranges(
        shear=0.3,
        width=150 / 331 * WIDTH,
        height=150 / 331 * HEIGHT,
        degrees=30,
        factor=0.9,
        bits=4,
    ),
    "trivial": Ranges(
        shear=0.99, width=32, height=32, degrees=135, factor=0.99, bits=6
    ),
}


def image_of(channels: int) -> np.ndarray:
    """A smooth picture with noise, whose channels have other ranges."""
    rng = np.random.default_rng(3)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), int)
    noisy = np.clip(smooth + rng.integers(-20, 21, smooth.shape), 0, 255)
    ranged = 20 + noisy * [150, 200, 230] // 255
    return ranged[..., :channels].astype(np.uint8)


def pillow_of(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def array_of(image: Image.Image) -> np.ndarray:
    array = np.asarray(image)
    return array if array.ndim == 3 else array[..., np.newaxis]


def moved(image: Image.Image, coefficients: tuple[float, ...]) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, coefficients)


def shifted(image: Image.Image, x: float, y: float) -> Image.Image:
    return moved(image, (1, 0, int(x), 0, 1, int(y)))


# The names of the 14 in their order, the most levels that a value may be off, and the
# work of Pillow; `s` is the strength with its sign.
OPERATIONS = {
    "shear_x": (0, lambda x, s, most: moved(x, (1, most.shear * s, 0, 0, 1, 0))),
    "shear_y": (0, lambda x, s, most: moved(x, (1, 0, 0, most.shear * s, 1, 0))),
    "translate_x": (0, lambda x, s, most: shifted(x, most.width * s, 0)),
    "translate_y": (0, lambda x, s, most: shifted(x, 0, most.height * s)),
    "rotate": (0, lambda x, s, most: x.rotate(most.degrees * s)),
    "brightness": (1, lambda x, s, most: enhanced("Brightness", x, s, most)),
    "contrast": (1, lambda x, s, most: enhanced("Contrast", x, s, most)),
    "color": (1, lambda x, s, most: enhanced("Color", x, s, most)),
    "sharpness": (1, lambda x, s, most: enhanced("Sharpness", x, s, most)),
    "posterize": (0, lambda x, s, most: ImageOps.posterize(x, bits(abs(s), most))),
    "solarize": (0, lambda x, s, most: ImageOps.solarize(x, 255 * (1 - abs(s)))),
    "autocontrast": (1, lambda x, s, most: ImageOps.autocontrast(x)),
    "equalize": (0, lambda x, s, most: ImageOps.equalize(x)),
    "identity": (0, lambda x, s, most: x),
}


def enhanced(kind: str, image: Image.Image, strength: float, most: Ranges):
    return getattr(ImageEnhance, kind)(image).enhance(1 + most.factor * strength)


def bits(strength: float, most: Ranges) -> int:
    return 8 - int(np.round(strength * most.bits))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("place", range(14), ids=list(OPERATIONS))
def test_the_fourteen_operations_are_those_of_pillow(place, channels):
    image = image_of(channels)
    tolerance, by_pillow = OPERATIONS[list(OPERATIONS)[place]]
    strengths = [0.3, 0.6, 1.0]
    for most in RANGES.values():
        every = variants(most, strengths=strengths, height=HEIGHT, width=WIDTH)[place]
        numbers = random_operations._numbers(every, tf.range(len(every)))
        signed = [sign * strength for sign in (1, -1) for strength in strengths]
        for strength, *of_one in zip(signed, *numbers, strict=True):
            shown = random_operations._change(tf.constant(image), *of_one, fill=0)
            expected = array_of(by_pillow(pillow_of(image), strength, most))
            difference = np.abs(shown.numpy().astype(int) - expected)
            assert difference.max() <= tolerance
            # Of what is off by one, no more than where Pillow's floats fall short.
            assert (difference > 0).mean() <= 0.02


def test_pixels_from_outside_are_filled():
    image = np.full((4, 5, 3), 9, np.uint8)
    coefficients = tf.constant([ONE, 0, 2 * ONE, 0, ONE, 0])  # two to the left
    shown = operations.move(tf.constant(image), coefficients, fill=128).numpy()
    assert shown[..., 0].tolist() == [[9, 9, 9, 128, 128]] * 4


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (3, 3)])
@pytest.mark.parametrize("value", [0, 77, None])
def test_small_and_flat_images_are_those_of_pillow(size, value):
    image = np.random.default_rng(5).integers(0, 256, (*size, 3), dtype=np.uint8)
    image = image if value is None else np.full_like(image, value)
    for change, by_pillow in (
        (operations.equalize, ImageOps.equalize),
        (operations.stretch, ImageOps.autocontrast),
        (
            lambda x: operations.sharpen(x, tf.constant(int(0.5 * ONE))),
            lambda x: ImageEnhance.Sharpness(x).enhance(0.5),
        ),
    ):
        shown = change(tf.constant(image)).numpy().astype(int)
        assert np.abs(shown - np.asarray(by_pillow(pillow_of(image)))).max() <= 1


def turned(image: np.ndarray, turn: int) -> np.ndarray:
    hsv = np.array(pillow_of(image).convert("HSV"))
    hsv[..., 0] += np.array(turn).astype(np.uint8)  # around the circle
    return np.asarray(Image.fromarray(hsv, "HSV").convert("RGB"), int)


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@pytest.mark.parametrize("turn", [-100, -1, 13, 127])
def test_a_hue_is_turned_as_pillow_does(turn):
    image = np.random.default_rng(5).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    image[:20] = image[:20, :, :1]  # grey
    image[20] = np.arange(300)[:, np.newaxis] % 256 // [1, 2, 300]
    shown = operations.turn_hue(tf.constant(image), tf.constant(turn)).numpy()
    difference = np.abs(shown - turned(image, turn)).max(axis=-1)
    # Where a hue is a whole number Pillow's floats fall below it, by one step of six
    # levels.
    assert (difference > 0).mean() < 0.01
    assert difference.max() <= 6


# What is drawn.


def keys_of(num: int) -> tf.Tensor:
    return prng.key(5, 0, tf.range(num))


def images_of(num: int, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(4)
    return np.stack(
        [np.roll(image_of(channels), rng.integers(40), axis=1) for _ in range(num)]
    )


def close(shown: np.ndarray, expected: Image.Image, tolerance: int) -> bool:
    return bool(np.abs(shown.astype(int) - array_of(expected)).max() <= tolerance)


@pytest.mark.parametrize("channels", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_two_operations_of_rand_augment_follow_each_other(channels):
    images, keys = images_of(120, channels), keys_of(120)
    draws = prng.bits(keys, 4).numpy().astype(int)
    shown = rand_augment(images, keys, RandAugmentOptions(magnitude=6)).numpy()
    for image, draw, view in zip(images, draws, shown, strict=True):
        expected, exact = pillow_of(image), True
        for which, sign in (draw[:2], draw[2:]):
            tolerance, by_pillow = list(OPERATIONS.values())[which % 14]
            expected = by_pillow(expected, 0.6 * (-1) ** sign, RANGES["rand"])
            exact, last = exact and not tolerance, tolerance if exact else 255
        assert close(view, expected, last)
    assert len({which % 14 for which in draws[:, ::2].ravel()}) == 14


def test_trivial_augment_draws_operation_strength_and_direction():
    images, keys = images_of(200), keys_of(200)
    which, variant = (prng.bits(keys, 2).numpy().astype(int) % [14, 62]).T
    shown = trivial_augment(images, keys, TrivialAugmentOptions()).numpy()
    strengths = [step / 30 for step in range(31)]
    every = variants(RANGES["trivial"], strengths=strengths, height=HEIGHT, width=WIDTH)
    for i, (image, view) in enumerate(zip(images, shown, strict=True)):
        # With XLA and without it all bits are the same.
        (numbers,) = zip(
            *random_operations._numbers([every[which[i]][variant[i]]], tf.range(1)),
            strict=True,
        )
        alone = random_operations._change(tf.constant(image), *numbers, fill=0)
        np.testing.assert_array_equal(view, alone)
        strength = (variant[i] % 31) / 30 * (1 if variant[i] < 31 else -1)
        tolerance, by_pillow = list(OPERATIONS.values())[which[i]]
        expected = by_pillow(pillow_of(image), strength, RANGES["trivial"])
        assert close(view, expected, tolerance)


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("brightness", "Brightness"),
        ("contrast", "Contrast"),
        ("saturation", "Color"),
    ],
)
def test_one_colour_is_jittered_alone(setting, kind):
    strengths = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0)
    options = ColorJitterOptions(**strengths | {setting: 0.5})
    images, keys = images_of(60), keys_of(60)
    shown = color_jitter(images, keys, options).numpy()
    half = ONE // 2
    factors = prng.integers(prng.fold(keys, 0), 1, low=half, high=3 * half).numpy()
    for image, factor, view in zip(images, factors[:, 0] / ONE, shown, strict=True):
        expected = getattr(ImageEnhance, kind)(pillow_of(image)).enhance(factor)
        assert close(view, expected, 1)
    assert factors.min() < 0.55 * ONE
    assert factors.max() > 1.45 * ONE


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
def test_colours_are_jittered_in_all_orders():
    images, keys = images_of(80), keys_of(80)
    shown = color_jitter(images, keys, ColorJitterOptions()).numpy()
    most = (26214, 26214, 26214, 25)  # 0.4 of ONE, 0.1 of 255
    amounts = np.stack(
        [
            prng.integers(prng.fold(keys, i), 1, low=-high, high=high).numpy()[:, 0]
            for i, high in enumerate(most)
        ],
        axis=1,
    )
    orders = list(itertools.permutations(range(4)))
    drawn = prng.integers(keys, 1, low=0, high=23).numpy()[:, 0]
    kinds = ("Brightness", "Contrast", "Color")
    for image, order, amount, view in zip(images, drawn, amounts, shown, strict=True):
        expected = pillow_of(image)
        for i in orders[order]:
            if i == 3:
                expected = Image.fromarray(
                    turned(np.asarray(expected), amount[i]).astype(np.uint8)
                )
            else:
                enhance = getattr(ImageEnhance, kinds[i])(expected)
                expected = enhance.enhance(1 + amount[i] / ONE)
        difference = np.abs(view.astype(int) - np.asarray(expected))
        assert difference.mean() < 0.5  # each of four rounds by itself
    assert len(set(drawn)) > 20


def test_grey_images_have_no_saturation_and_no_hue():
    images = images_of(8, channels=1)
    options = ColorJitterOptions(brightness=0.0, contrast=0.0)
    np.testing.assert_array_equal(color_jitter(images, keys_of(8), options), images)


def erased(num: int, size: tuple[int, int], **options) -> np.ndarray:
    images = np.full((num, *size, 2), 255, np.uint8)
    options = RandomErasingOptions(**options)
    return random_erasing(images, keys_of(num), options).numpy()


def test_a_rectangle_of_the_drawn_area_and_shape_is_erased():
    shown = erased(2000, (60, 80), probability=1.0)
    hit = shown[..., 0] == 0
    np.testing.assert_array_equal(shown[..., 1] == 0, hit)  # in all channels
    tall, wide = hit.any(axis=2).sum(axis=1), hit.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(hit.sum(axis=(1, 2)), tall * wide)  # a rectangle
    share = tall * wide / (60 * 80)
    assert share.min() >= 0.02 - 0.005
    assert share.max() <= 0.33 + 0.01
    quarters = np.quantile(share, [0.25, 0.5, 0.75])
    assert np.abs(quarters - (0.02 + 0.31 * np.array([0.25, 0.5, 0.75]))).max() < 0.02
    assert ((wide + 1) / (tall - 1)).min() < 1 / 3
    assert ((wide - 0.5) / (tall + 0.5)).max() < 3.3
    assert ((tall - 0.5) / (wide + 0.5)).max() < 3.3
    assert 0.45 < (wide > tall).mean() < 0.6


def test_as_many_images_are_erased_as_asked_for():
    hit = (erased(2000, (16, 16), probability=0.3, fill=7) == 7).any(axis=(1, 2, 3))
    assert abs(hit.mean() - 0.3) < 5 * 0.5 / 2000**0.5
    assert (erased(20, (16, 16), probability=0.0) == 255).all()


def test_noise_is_drawn_for_each_value_of_the_rectangle():
    box = erased(500, (16, 16), probability=1.0) == 0
    noise = erased(500, (16, 16), probability=1.0, fill="noise")
    assert (noise[~box] == 255).all()
    assert abs(noise[box].mean() - 127.5) < 2
    assert len(set(noise[box].tolist())) == 256
