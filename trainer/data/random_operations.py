"""Random operations on the pixels of images: RandAugment and others like it.

Shapes: B = examples, H W = image, C = channels, 1 or 3, V = variants of an operation.
"""

import functools
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from trainer import prng
from trainer.config import (
    NOISE,
    ColorJitterOptions,
    RandAugmentOptions,
    TrivialAugmentOptions,
)
from trainer.data import image_operations as operations
from trainer.data.image_operations import ONE
from trainer.data.operation_variants import Ranges, Variant, variants

_MAGNITUDES = 10  # of RandAugment
_STEPS = 30  # of TrivialAugment

# Of the operations, as a switch knows them.
_NAMES = (
    *("keep", "move", "look_up", "brighten", "contrast", "saturate", "sharpen"),
    *("stretch", "equalize"),
)


def rand_augment(
    images: tf.Tensor, keys: tf.Tensor, options: RandAugmentOptions
) -> tf.Tensor:
    """Changes images by some of 14 operations: [B, H, W, C], keys [B] -> as images.

    Each is drawn by itself, so that one may come twice, and goes in one of its two
    directions by chance (Cubuk, Zoph, Shlens and Le, 2020). Ranges are torchvision's.
    """
    height, width = images.shape[1:3]
    share = 150 / 331  # of a side
    most = Ranges(
        shear=0.3,
        width=share * width,
        height=share * height,
        degrees=30,
        factor=0.9,
        bits=4,
    )
    return _operate(
        images,
        keys,
        most,
        strengths=[options.magnitude / _MAGNITUDES],
        number=options.number,
        fill=options.fill,
    )


def trivial_augment(
    images: tf.Tensor, keys: tf.Tensor, options: TrivialAugmentOptions
) -> tf.Tensor:
    """Changes images by one of 14 operations: [B, H, W, C], keys [B] -> as images.

    Its strength is drawn too, in 31 steps up to wide ranges (Mueller and Hutter, 2021).
    """
    return _operate(
        images,
        keys,
        Ranges(shear=0.99, width=32, height=32, degrees=135, factor=0.99, bits=6),
        strengths=[step / _STEPS for step in range(_STEPS + 1)],
        number=1,
        fill=options.fill,
    )


def color_jitter(
    images: tf.Tensor, keys: tf.Tensor, options: ColorJitterOptions
) -> tf.Tensor:
    """Changes colours in a random order: [B, H, W, C], keys [B] -> as images.

    Factors are uniform from 1 - strength to 1 + strength, and the hue turns by up to
    that share of the circle. Images of one channel have no saturation and no hue.
    """
    changes = [
        (operations.brighten, ONE, int(options.brightness * ONE)),
        (operations.change_contrast, ONE, int(options.contrast * ONE)),
        (operations.change_saturation, ONE, int(options.saturation * ONE)),
        (operations.turn_hue, 0, int(options.hue * 255)),
    ]
    changes = [change for change in changes if change[2]]
    if not changes:
        return images
    amounts = tf.concat(
        [
            prng.integers(prng.fold(keys, i), 1, low=middle - most, high=middle + most)
            for i, (_, middle, most) in enumerate(changes)
        ],
        axis=1,
    )
    orders = list(itertools.permutations(range(len(changes))))
    drawn = prng.integers(keys, 1, low=0, high=len(orders) - 1)[:, 0]
    order = tf.gather(tf.constant(orders), drawn)

    def change(image: tf.Tensor, number: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
        branches = [functools.partial(one, image, amount) for one, _, _ in changes]
        return tf.switch_case(number, branches)

    return _map(change, images, order, tf.gather(amounts, order, batch_dims=1))


def overwrite(
    images: tf.Tensor, boxes: tf.Tensor, keys: tf.Tensor, *, fill: int | str
) -> tf.Tensor:
    """Fills boxes [B, 4] of top, left, height and width: [B, H, W, C] -> as images.

    Noise is drawn for each value by the keys.
    """
    height, width, channels = images.shape[1:]

    @_compile
    def of_all(images: tf.Tensor, boxes: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        top, left, tall, wide = tf.unstack(boxes[..., tf.newaxis], axis=1)
        rows, columns = tf.range(height) - top, tf.range(width) - left
        rows, columns = (rows >= 0) & (rows < tall), (columns >= 0) & (columns < wide)
        inside = rows[:, :, tf.newaxis] & columns[:, tf.newaxis, :]
        filled = tf.constant(0 if fill == NOISE else fill, tf.uint8)
        if fill == NOISE:
            noise = prng.bits(prng.fold(keys, 0), height * width * channels)
            filled = tf.reshape(tf.cast(noise & 255, tf.uint8), tf.shape(images))
        return tf.where(inside[..., tf.newaxis], filled, images)

    return of_all(images, boxes, keys)


def _operate(
    images: tf.Tensor,
    keys: tf.Tensor,
    most: Ranges,
    *,
    strengths: Sequence[float],
    number: int,
    fill: int,
) -> tf.Tensor:
    """Changes each image by a `number` of operations, each in one of its variants."""
    height, width = images.shape[1:3]
    every = variants(most, strengths=strengths, height=height, width=width)
    draws = prng.bits(keys, 2 * number)
    chosen = draws[:, ::2] % len(every) * len(every[0])
    chosen = tf.cast(chosen + draws[:, 1::2] % len(every[0]), tf.int32)
    change = functools.partial(_change, fill=fill)
    return _map(change, images, *_numbers([*itertools.chain(*every)], chosen))


def _numbers(every: Sequence[Variant], chosen: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """The numbers of chosen variants, as _change takes them: [B, N, ...] each."""
    names = [_NAMES.index(variant.operation) for variant in every]
    return tuple(
        tf.gather(tf.constant(values), chosen)
        for values in (
            names,
            [variant.factor for variant in every],
            [variant.coefficients for variant in every],
            np.array([variant.table for variant in every], np.uint8),
        )
    )


def _change(
    image: tf.Tensor,
    name: tf.Tensor,
    factor: tf.Tensor,
    coefficients: tf.Tensor,
    table: tf.Tensor,
    *,
    fill: int,
) -> tf.Tensor:
    """Changes an image [H, W, C] by the operation of a place in _NAMES."""
    branches = {
        "keep": lambda: image,
        "move": lambda: operations.move(image, coefficients, fill=fill),
        "look_up": lambda: operations.look_up(image, table),
        "brighten": lambda: operations.brighten(image, factor),
        "contrast": lambda: operations.change_contrast(image, factor),
        "saturate": lambda: operations.change_saturation(image, factor),
        "sharpen": lambda: operations.sharpen(image, factor),
        "stretch": lambda: operations.stretch(image),
        "equalize": lambda: operations.equalize(image),
    }
    return tf.switch_case(name, [branches[name] for name in _NAMES])


def _map(
    change: Callable[..., tf.Tensor], images: tf.Tensor, *draws: tf.Tensor
) -> tf.Tensor:
    """Changes each image in turn by each of its draws: [B, H, W, C], [B, N, ...]."""
    signature = tf.TensorSpec(images.shape[1:], tf.uint8)
    number = draws[0].shape[1]

    def of_one(one: tuple[tf.Tensor, ...]) -> tf.Tensor:
        image, *of_image = one
        return tf.while_loop(
            lambda i, _: i < number,
            lambda i, image: (i + 1, change(image, *(draw[i] for draw in of_image))),
            (0, image),
        )[1]

    @_compile
    def of_all(*of_each: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(of_one, of_each, fn_output_signature=signature)

    return of_all(images, *draws)


def _compile(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """XLA takes a third of the time on the processors of a host; all is exact."""
    compiled: Callable[..., tf.Tensor] = tf.function(
        function, jit_compile=True, autograph=False
    )
    return compiled
