"""Examples mixed in pairs, each pair with a coefficient of its own.

The partners are positions 2j and 2j + 1 of the global batch. Design: Zhang et al. 2018,
"mixup: Beyond empirical risk minimization"; Yun et al. 2019, "CutMix: Regularization
strategy to train strong classifiers with localizable features". For a teacher that is
asked between its training images: Beyer et al. 2021, "Knowledge distillation: A good
teacher is patient and consistent", section 3.

Shapes: B = examples on this replica, an even number from an even position on;
H, W = pixels of an image.
"""

import numpy as np
import tensorflow as tf

from trainer import prng
from trainer.config import MixConfig
from trainer.data.beta import LEVELS, quantiles

# Stands where other uses of a seed have a step or an epoch, none of which is negative.
_USE = -1


def mix(
    inputs: tf.Tensor,
    batch_positions: tf.Tensor,
    step: tf.Tensor,
    *,
    mixing: MixConfig,
    seed: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixes inputs, [B, ...] -> [B, ...]; gives each one's own share too: float32 [B].

    `batch_positions`, integers [B], are those in the global batch. Which pairs are
    mixed, and how, is drawn anew in each step. A share is 1 where nothing is mixed.
    """
    keys = prng.key(seed, _USE, step, batch_positions // 2)
    draws = prng.uniforms(keys, 2)
    drawn, choice = tf.cast(draws[:, 0] * LEVELS, tf.int32), draws[:, 1]
    mixed, share = inputs, tf.ones_like(choice)
    if mixing.mixup:
        levels = tf.gather(quantiles(mixing.mixup_beta), drawn)
        own = tf.cast(levels, tf.float32) / LEVELS
        share = tf.where(choice < mixing.mixup, own, share)
        mixed = _blend(inputs, share)
    if mixing.cutmix:
        is_cut = choice >= mixing.mixup
        is_cut &= choice < mixing.mixup + mixing.cutmix
        in_box, own = _boxes(keys, drawn, inputs.shape[1:3], beta=mixing.cutmix_beta)
        in_box &= is_cut[:, tf.newaxis, tf.newaxis]
        mixed = tf.where(in_box[..., tf.newaxis], partners(inputs), mixed)
        share = tf.where(is_cut, own, share)
    return mixed, share


def partners(values: tf.Tensor) -> tf.Tensor:
    """The value of each example's partner in its place: [B, ...] -> [B, ...]."""
    pairs = tf.reshape(values, [-1, 2, *values.shape[1:]])
    return tf.reshape(pairs[:, ::-1], tf.shape(values))


def _blend(inputs: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
    """Partners a, b become m a + (1 - m) b and m b + (1 - m) a, for m = `own`.

    Images, uint8, are rounded to whole numbers; the numbers of a table are not.
    """
    own = tf.reshape(own, [-1, *[1] * (inputs.shape.rank - 1)])
    values = tf.cast(inputs, tf.float32)
    mixture = own * values + (1.0 - own) * partners(values)
    if inputs.dtype.is_integer:
        mixture = tf.round(mixture)
    return tf.cast(mixture, inputs.dtype)


def _boxes(
    keys: tf.Tensor, drawn: tf.Tensor, size: tf.TensorShape, *, beta: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """The pixels that each image gets of its partner: bool [B, H, W]; and own shares.

    A box has the image's form and the share 1 - m of its pixels. Its centre is any
    pixel, and what lies outside of the image is cut off and in no share.
    """
    inside, lengths = [], []
    for axis, side in enumerate(size):
        centre = prng.integers(keys, 3 + axis, low=0, high=side - 1)[:, 2 + axis]
        half = tf.gather(_half_lengths(beta, side), drawn)
        first, end = tf.maximum(centre - half, 0), tf.minimum(centre + half, side)
        places = tf.range(side)[tf.newaxis]
        inside.append((places >= first[:, tf.newaxis]) & (places < end[:, tf.newaxis]))
        lengths.append(end - first)
    pixels = size.num_elements()
    # In float64, so that no compiler's division moves the last bit.
    kept = tf.cast(pixels - lengths[0] * lengths[1], tf.float64) / pixels
    rows, columns = inside
    return rows[:, :, tf.newaxis] & columns[:, tf.newaxis], tf.cast(kept, tf.float32)


def _half_lengths(beta: float, side: int) -> np.ndarray:
    """Half of a box's length along a `side` of the image for each draw: int32 [LEVELS].

    A table, since square roots differ between devices.
    """
    cut = 1.0 - quantiles(beta) / LEVELS
    return np.floor(side * np.sqrt(cut) / 2).astype(np.int32)
