"""Predictions over a teacher's own classes as those over the classes of the data.

Shapes: B = examples on this replica, K = the teacher's classes, C = the data's, G = the
most of the teacher's that one of these stands for.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from trainer.losses.targets import Scalar

# In the place of minus infinity, of which there is no logarithm of a sum.
_MASKED_LOGIT = -1e30


def join_classes(
    logits: tf.Tensor, groups: Sequence[Sequence[int]], *, temperature: Scalar
) -> tf.Tensor:
    """Logits of which softmax at T sums the teacher's probabilities: [B, K] -> [B, C].

    `groups` are the numbers of the teacher's classes, for each of the data's. What is
    in none counts for nothing: the others are normalised without it.
    """
    places, is_there = _padded(groups)
    found = tf.gather(tf.cast(logits, tf.float32), places, axis=1)
    if is_there.shape[1] == 1:  # as they are, to the last bit
        return found[:, :, 0]
    scaled = tf.where(is_there, found / temperature, _MASKED_LOGIT)
    return temperature * tf.reduce_logsumexp(scaled, axis=2)


def _padded(groups: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """The groups in equal lengths: int32 [C, G], and what is of them: bool [C, G]."""
    longest = max(map(len, groups))
    places = np.zeros((len(groups), longest), np.int32)
    is_there = np.zeros(places.shape, bool)
    for i, group in enumerate(groups):
        places[i, : len(group)] = group
        is_there[i, : len(group)] = True
    return places, is_there
