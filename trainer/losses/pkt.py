"""Probabilistic knowledge transfer. Shapes: B = examples, D = values, G = of a group.

D may differ between student and teacher.
"""

import tensorflow as tf

from trainer.losses.features import to_float32
from trainer.losses.groups import spread, to_groups
from trainer.losses.vectors import cosines

_SMALLEST = 1e-7  # beside a probability, as in the authors' code


def pkt_loss(student: tf.Tensor, teacher: tf.Tensor, *, group_size: int) -> tf.Tensor:
    """A divergence of the neighbours' probabilities: [B, D], [B, D] -> [B], in nats.

    The probability p of a neighbour is (cosine + 1) / 2, divided by the sum over the
    `group_size` examples of the group, the example itself among them. The loss is the
    mean over all G**2 pairs of p_t log(p_t / p_s), the same for all examples of a group
    (Passalis and Tefas 2018, Learning Deep Representations with Probabilistic Knowledge
    Transfer, section 3, with the mean and the 1e-7 of the authors' code: such values
    are small, and go with weights such as 30000). B is a multiple of G. A vector of
    zeros has the cosine 0 with all. No gradient reaches the teacher.
    """
    ours, theirs = (
        _neighbor_probs(to_groups(embeddings, group_size=group_size))
        for embeddings in to_float32(student, teacher)
    )
    terms = theirs * tf.math.log((theirs + _SMALLEST) / (ours + _SMALLEST))
    return spread(tf.reduce_mean(terms, axis=[1, 2]), group_size=group_size)


def _neighbor_probs(embeddings: tf.Tensor) -> tf.Tensor:
    """Each row sums to 1: [N, G, D] -> [N, G, G]."""
    # Tensor cores round cosines to below -1.
    shares = tf.maximum((cosines(embeddings, embeddings) + 1.0) / 2.0, 0.0)
    return shares / tf.reduce_sum(shares, axis=-1, keepdims=True)
