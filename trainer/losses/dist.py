"""Distillation by correlations. Shapes: B = examples, C = classes, G = of a group."""

import tensorflow as tf

from trainer.losses.correlation import pearson
from trainer.losses.groups import spread, to_groups
from trainer.losses.targets import Scalar


def dist_loss(
    student_logits: tf.Tensor,
    teacher_logits: tf.Tensor,
    *,
    temperature: Scalar,
    example_weight: float,
    class_weight: float,
    group_size: int,
) -> tf.Tensor:
    """Distances of correlation between both models' probabilities: [B, C] -> [B].

    For each example T**2 (example_weight (1 - rho of its row) + class_weight times the
    mean over classes of 1 - rho in its group of `group_size` neighbours). rho is
    Pearson's, of probabilities at T (Huang et al. 2022, Knowledge Distillation from a
    Stronger Teacher, section 3). B is a multiple of G. No gradient reaches the teacher.
    """
    student, teacher = (
        tf.nn.softmax(tf.cast(logits, tf.float32) / temperature)
        for logits in (student_logits, tf.stop_gradient(teacher_logits))
    )
    by_example = 1.0 - pearson(student, teacher, axis=-1)
    groups = (to_groups(probs, group_size=group_size) for probs in (student, teacher))
    by_class = tf.reduce_mean(1.0 - pearson(*groups, axis=1), axis=-1)
    by_group = spread(by_class, group_size=group_size)
    return temperature**2 * (example_weight * by_example + class_weight * by_group)
