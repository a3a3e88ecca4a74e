"""Random numbers as a pure function of integers.

A draw is a hash of a key, and a key is folded from what identifies the draw: the seed,
the step or epoch, the example. So every number is the same for any count of replicas,
for any order of execution, under XLA and without it: all operations are exact 32-bit
integer arithmetic. Design: Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3"; the mixer's constants are those of C. Wellons' `lowbias32`.

Shapes: B = examples, N = draws for each example.
"""

import tensorflow as tf

# 2**32 divided by the golden ratio: no small integer maps to the mixer's fixed point 0.
_GOLDEN = 0x9E3779B9


def key(seed: int, *words: tf.Tensor | int) -> tf.Tensor:
    """Folds `words` into `seed`: integers that broadcast to [B] -> uint32 keys [B]."""
    # Twice, for a seed is no word: key(1, 2) and key(2, 1) are different keys.
    return fold(_mix(_mix(_word(seed))), *words)


def fold(keys: tf.Tensor, *words: tf.Tensor | int) -> tf.Tensor:
    """Folds `words` into keys: integers that broadcast to [B] -> uint32 keys [B]."""
    for word in words:
        keys = _mix(tf.bitwise.bitwise_xor(keys, _mix(_word(word))))
    return keys


def bits(keys: tf.Tensor, num_draws: int) -> tf.Tensor:
    """Uniform 32-bit integers: uint32 keys [B] -> uint32 [B, N]."""
    columns = _mix(_word(tf.range(num_draws)))
    return _mix(tf.bitwise.bitwise_xor(keys[:, tf.newaxis], columns[tf.newaxis, :]))


def integers(keys: tf.Tensor, num_draws: int, *, low: int, high: int) -> tf.Tensor:
    """Uniform integers in [low, high]: uint32 keys [B] -> int32 [B, N]."""
    span = tf.constant(high - low + 1, tf.uint32)
    return tf.cast(bits(keys, num_draws) % span, tf.int32) + low


def uniforms(keys: tf.Tensor, num_draws: int) -> tf.Tensor:
    """Uniform multiples of 2**-24 in [0, 1): uint32 keys [B] -> float32 [B, N]."""
    # As many bits as a float32 holds, so that no conversion rounds.
    high = tf.bitwise.right_shift(bits(keys, num_draws), tf.constant(8, tf.uint32))
    return tf.cast(high, tf.float32) * 2.0**-24


def bernoulli(keys: tf.Tensor, num_draws: int, *, probability: float) -> tf.Tensor:
    """Independent events: uint32 keys [B] -> bool [B, N], true with `probability`."""
    # In 64 bits, because probability 1 is 2**32.
    threshold = tf.constant(round(probability * 2**32), tf.int64)
    return tf.cast(bits(keys, num_draws), tf.int64) < threshold


def _word(value: tf.Tensor | int) -> tf.Tensor:
    return tf.cast(tf.cast(value, tf.int64) + _GOLDEN, tf.uint32)


def _mix(x: tf.Tensor) -> tf.Tensor:
    x = _xor_shift(x, 16) * tf.constant(0x7FEB352D, tf.uint32)
    x = _xor_shift(x, 15) * tf.constant(0x846CA68B, tf.uint32)
    return _xor_shift(x, 16)


def _xor_shift(x: tf.Tensor, places: int) -> tf.Tensor:
    shifted = tf.bitwise.right_shift(x, tf.constant(places, tf.uint32))
    return tf.bitwise.bitwise_xor(x, shifted)
