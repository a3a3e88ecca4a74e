"""Views of images against NumPy and Pillow."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.helpers.messages import refused
from trainer import data, prng
from trainer.config import (
    ConfigError,
    CropFlipOptions,
    InceptionCropOptions,
    ShiftOptions,
)
from trainer.data.augment import crop_flip, inception_crop, shift
from trainer.data.image_parts import enlarge, inception_boxes


def keys_of(num: int) -> tf.Tensor:
    return prng.key(5, 0, tf.range(num))


# A draw is fixed by its key: a bound on a statistic holds for good or not at all.
NUM_DRAWS = 20_000
# A sample of that size strays so far from its distribution once in a million times
# (Dvoretzky, Kiefer and Wolfowitz), and whole pixels add less than 1 / 224.
FAR = math.sqrt(math.log(2e6) / (2 * NUM_DRAWS)) + 1 / 224


def distance(sample: np.ndarray, low: float, high: float) -> float:
    """Of a sample from the uniform distribution: Kolmogorov's."""
    expected = np.clip((np.sort(sample) - low) / (high - low), 0, 1)
    return float(np.abs(expected - (np.arange(len(sample)) + 0.5) / len(sample)).max())


# Moving by whole pixels.


def moved_by_hand(images: np.ndarray, corners: np.ndarray, padding: int) -> np.ndarray:
    expected = np.zeros_like(images)
    height, width = images.shape[1:3]
    for image, (top, left), moved in zip(images, corners, expected, strict=True):
        for row, column in np.ndindex(height, width):
            old_row, old_column = row + top - padding, column + left - padding
            if 0 <= old_row < height and 0 <= old_column < width:
                moved[row, column] = image[old_row, old_column]
    return expected


@pytest.mark.parametrize("max_pixels", [1, 3, 7])
def test_shift_moves_pixels_and_fills_with_zeros(max_pixels):
    images = np.random.default_rng(2).integers(1, 256, (40, 6, 5, 2), dtype=np.uint8)
    corners = prng.integers(keys_of(40), 2, low=0, high=2 * max_pixels).numpy()
    np.testing.assert_array_equal(
        shift(images, keys_of(40), ShiftOptions(max_pixels=max_pixels)),
        moved_by_hand(images, corners, max_pixels),
    )


def places_of_a_pixel(moved: tf.Tensor) -> set[tuple[int, int]]:
    rows, columns = np.nonzero(moved.numpy())[1:3]
    return set(zip(rows.tolist(), columns.tolist(), strict=True))


def image_of_a_pixel(num: int) -> np.ndarray:
    image = np.zeros((num, 11, 9, 1), np.uint8)
    image[:, 5, 4] = 1
    return image


def test_all_shifts_along_both_axes_occur_and_no_others():
    moved = shift(image_of_a_pixel(1000), keys_of(1000), ShiftOptions())
    # 1000 random draws miss one of the 25 once in 10**16 times.
    around = set(itertools.product(range(3, 8), range(2, 7)))
    assert places_of_a_pixel(moved) == around


def test_shift_keeps_the_type_of_images():
    assert shift(np.ones((3, 4, 4, 1), np.uint8), keys_of(3), ShiftOptions()).dtype == (
        tf.uint8
    )


@pytest.mark.parametrize("padding", [1, 4])
def test_crop_without_flip_is_the_shift_of_its_padding(padding):
    images = np.random.default_rng(2).integers(1, 256, (40, 6, 5, 2), dtype=np.uint8)
    corners = prng.integers(keys_of(40), 2, low=0, high=2 * padding).numpy()
    options = CropFlipOptions(padding=padding, flip=False)
    cropped = crop_flip(images, keys_of(40), options)
    np.testing.assert_array_equal(cropped, moved_by_hand(images, corners, padding))


def test_a_crop_or_its_mirror_image_is_shown_equally_often():
    images = np.random.default_rng(2).integers(1, 256, (1000, 6, 5, 2), dtype=np.uint8)
    keys = keys_of(1000)
    plain = crop_flip(images, keys, CropFlipOptions(padding=2, flip=False)).numpy()
    shown = crop_flip(images, keys, CropFlipOptions(padding=2)).numpy()
    same = (shown == plain).all(axis=(1, 2, 3))
    mirrored = (shown == plain[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    # Five standard deviations of 1000 throws of a coin.
    assert abs(mirrored.mean() - 0.5) < 5 * 0.5 / math.sqrt(1000)


def test_mirrored_crops_are_at_the_places_of_the_others():
    """The flip is drawn apart from the place."""
    image = np.zeros((20_000, 11, 9, 1), np.uint8)
    image[:, 5, 4], image[:, 5, 3] = 1, 2  # the 2 is on the left
    shown = crop_flip(image, keys_of(20_000), CropFlipOptions(padding=2)).numpy()
    mirrored = (shown[:, :, 1:] == 2) & (shown[:, :, :-1] == 1)
    mirrored = mirrored.any(axis=(1, 2, 3))
    # Of 800 crops at each of 25 places.
    places = prng.integers(keys_of(20_000), 2, low=0, high=4).numpy()
    for place in itertools.product(range(5), repeat=2):
        here = mirrored[(places == place).all(axis=1)]
        assert abs(here.mean() - 0.5) < 5 * 0.5 / math.sqrt(len(here))


# Inception's crop.

SIZES = pytest.mark.parametrize(
    ("height", "width"), [(224, 224), (28, 28), (96, 64), (20, 60), (1, 1), (3, 100)]
)


def boxes_of(height: int, width: int, min_area: float = 0.08) -> np.ndarray:
    draws = prng.uniforms(keys_of(NUM_DRAWS), 4)
    return inception_boxes(draws, height=height, width=width, min_area=min_area).numpy()


@SIZES
def test_boxes_are_inside_the_image(height, width):
    top, left, tall, wide = boxes_of(height, width).T
    assert (tall >= 1).all()
    assert (wide >= 1).all()
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + tall <= height).all()
    assert (left + wide <= width).all()


def test_boxes_of_the_smallest_and_largest_draws_are_inside_the_image():
    draws = np.array(list(itertools.product([0, 1 - 2**-24], repeat=4)), np.float32)
    for size in range(1, 300, 7):
        boxes = inception_boxes(draws, height=size, width=size, min_area=0.08).numpy()
        assert boxes.min() >= 0
        assert (boxes[:, :2] + boxes[:, 2:]).max() == size


@pytest.mark.parametrize("min_area", [0.08, 0.5])
@pytest.mark.parametrize(("height", "width"), [(224, 224), (500, 300), (300, 900)])
def test_areas_are_uniform(height, width, min_area):
    _, _, tall, wide = boxes_of(height, width, min_area).T
    assert distance(tall * wide / (height * width), min_area, 1) < FAR


def test_shapes_of_small_boxes_are_log_uniform_from_3_to_4_to_4_to_3():
    _, _, tall, wide = boxes_of(2000, 2000).T
    small = tall * wide < 0.7 * 2000**2
    logs = np.log(wide[small] / tall[small])
    assert np.abs(logs).max() < math.log(4 / 3) + 0.005
    # The shape that is drawn uniformly is so in the logarithm to 2 %.
    assert distance(logs, -math.log(4 / 3), math.log(4 / 3)) < FAR + 0.01


def test_large_boxes_have_all_shapes_that_fit():
    _, _, tall, wide = boxes_of(2000, 2000).T
    area = tall * wide / 2000**2
    large = (area > 0.89) & (area < 0.91)
    logs = np.log(wide[large] / tall[large])
    assert -0.12 < logs.min() < -0.09
    assert 0.09 < logs.max() < 0.12


def test_shapes_of_an_image_longer_than_4_to_3_come_as_near_as_they_can():
    _, _, tall, wide = boxes_of(300, 900).T
    area = tall * wide / (300 * 900)
    # Of a third of the image a box of 4:3 may be had, but of more than 4/9 none.
    assert (tall[area > 0.46] == 300).all()
    assert np.abs(np.log(wide / tall))[area < 0.2].max() < math.log(4 / 3) + 0.02


def test_boxes_lie_anywhere():
    top, left, tall, wide = boxes_of(224, 224).T
    small = (tall < 112) & (wide < 112)
    for start, room in ((top, 224 - tall), (left, 224 - wide)):
        assert distance(start[small] / room[small], 0, 1) < 2 * FAR
        assert (start[small] == 0).any()
        assert (start[small] == room[small]).any()


def test_a_box_at_full_size_is_bilinear():
    image = np.zeros((1, 4, 4, 1), np.uint8)
    image[0, 1:3, 2:4, 0] = [[16, 48], [80, 240]]
    box = tf.constant([[1, 2, 2, 2]])
    expected = [
        [16, 24, 40, 48],
        [32, 48, 80, 96],
        [64, 96, 160, 192],
        [80, 120, 200, 240],
    ]
    for mirrored in (False, True):
        shown = enlarge(image, box, mirrored=tf.constant([mirrored]))
        assert shown.dtype == tf.uint8
        step = -1 if mirrored else 1
        assert shown[0, :, ::step, 0].numpy().tolist() == expected


def test_the_whole_image_as_a_box_is_the_image():
    images = np.random.default_rng(2).integers(0, 256, (3, 7, 5, 3), dtype=np.uint8)
    boxes = tf.constant([[0, 0, 7, 5]] * 3)
    shown = enlarge(images, boxes, mirrored=tf.zeros(3, tf.bool))
    np.testing.assert_array_equal(shown, images)


def test_views_are_those_of_pillow():
    images = np.random.default_rng(2).integers(0, 256, (50, 48, 40, 3), dtype=np.uint8)
    keys = keys_of(50)
    boxes = inception_boxes(prng.uniforms(keys, 4), height=48, width=40, min_area=0.08)
    shown = inception_crop(images, keys, InceptionCropOptions(flip=False)).numpy()
    for image, (top, left, height, width), view in zip(
        images, boxes.numpy().tolist(), shown, strict=True
    ):
        box = (left, top, left + width, top + height)
        part = Image.fromarray(image).crop(box)
        expected = np.asarray(part.resize((40, 48), Image.Resampling.BILINEAR), int)
        # Pillow rounds twice, after the columns and after the rows.
        assert np.abs(view - expected).max() <= 1


def test_half_of_the_views_are_mirrored():
    images = np.random.default_rng(2).integers(0, 256, (300, 9, 8, 1), dtype=np.uint8)
    keys = keys_of(300)
    plain = inception_crop(images, keys, InceptionCropOptions(flip=False)).numpy()
    shown = inception_crop(images, keys, InceptionCropOptions()).numpy()
    same = (shown == plain).all(axis=(1, 2, 3))
    mirrored = np.abs(shown.astype(int) - plain[:, :, ::-1]).max(axis=(1, 2, 3)) <= 1
    assert (same ^ mirrored).all()
    assert abs(mirrored.mean() - 0.5) < 5 * 0.5 / math.sqrt(300)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_a_view_is_the_same_in_any_batch(batch_size):
    """To the last bit, also where a batch is no multiple of a processor's vectors."""
    draws = prng.uniforms(keys_of(350), 4)
    sizes = {"height": 333, "width": 257, "min_area": 0.08}
    parts = [
        inception_boxes(draws[first : first + batch_size], **sizes)
        for first in range(0, 350, batch_size)
    ]
    np.testing.assert_array_equal(
        np.concatenate(parts), inception_boxes(draws, **sizes)
    )


# What cannot be shown.


@pytest.mark.parametrize(
    ("name", "options", "option", "got"),
    [
        ("crop_flip", CropFlipOptions(padding=5), "padding", 5),
        ("shift", ShiftOptions(max_pixels=9), "max_pixels", 9),
    ],
)
def test_moving_an_image_out_of_sight_is_refused(name, options, option, got):
    setting = f"teacher.train.augment_options.{option}"
    with refused(ConfigError, setting, "5 pixels", f"got {got}", "data.image_size"):
        data.augmentation(name, options, input_shape=(8, 5, 3), setting="teacher.train")


def test_moving_an_image_to_its_last_pixel_is_not_refused():
    options = CropFlipOptions(padding=4)
    data.augmentation("crop_flip", options, input_shape=(8, 5, 3), setting="data")


def test_views_of_a_table_are_refused():
    with refused(ConfigError, "data.augment", "'none'", "table", "'crop_flip'"):
        data.augmentation(
            "crop_flip", CropFlipOptions(), input_shape=(13,), setting="data"
        )
