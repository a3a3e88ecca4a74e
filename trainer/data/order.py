"""The order of an epoch. M = examples of the set, B = positions.

A training run reads an endless sequence of positions. Position p is in epoch p // M,
and step k takes the positions from k * global_batch_size on, across the end of an epoch
where it falls inside a batch. The state of a pipeline is therefore the step, and
replicas share the same global batch however many they are.
"""

import tensorflow as tf

from trainer import prng


def shuffle(
    positions: tf.Tensor, *, num_examples: int, seed: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Epoch and row of each position: int64 [B] -> int64 [B], int64 [B]."""
    epochs = positions // num_examples
    largest = tf.zeros_like(epochs) + (num_examples - 1)
    return epochs, permute(
        positions % num_examples, prng.key(seed, epochs), largest=largest
    )


def permute(indices: tf.Tensor, keys: tf.Tensor, *, largest: tf.Tensor) -> tf.Tensor:
    """Maps each index by the permutation of 0 to `largest` of its key: all [B]."""
    # tf.random.experimental.index_shuffle is this operation, but TensorFlow 2.21 pads a
    # batch of its seeds along the wrong axis too. Up to 2**16 examples it uses the last
    # 8 bits of each of the seed's words, and its default of 4 rounds leaves traces of
    # the order; hence three words of random bits, and 8 rounds.
    return tf.raw_ops.RandomIndexShuffle(
        index=indices, seed=prng.bits(keys, 3), max_index=largest, rounds=8
    )
