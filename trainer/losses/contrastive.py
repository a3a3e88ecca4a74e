"""A contrastive loss. Shapes: B = examples, D = values, G = examples of a group."""

import tensorflow as tf

from trainer.losses.features import to_float32
from trainer.losses.groups import to_groups
from trainer.losses.vectors import cosines


def contrastive_loss(
    student: tf.Tensor, teacher: tf.Tensor, *, tau: float, group_size: int
) -> tf.Tensor:
    """InfoNCE of the teacher's embeddings in a group: both [B, D] -> [B], in nats.

    -log of the softmax, over the teacher's embeddings of the `group_size` neighbours of
    an example's group, of their cosine with the student's embedding divided by `tau`,
    at that of the example itself (van den Oord et al. 2018, Representation Learning
    with Contrastive Predictive Coding, equation 4; between teacher and student Tian et
    al. 2020, Contrastive Representation Distillation, whose many negatives come from a
    bank instead). A student's embedding of zeros has log G, without a gradient. B is a
    multiple of G. No gradient reaches the teacher.
    """
    ours, theirs = (
        to_groups(embeddings, group_size=group_size)
        for embeddings in to_float32(student, teacher)
    )
    log_probs = tf.nn.log_softmax(cosines(ours, theirs) / tau)
    return -tf.reshape(tf.linalg.diag_part(log_probs), [-1])
