"""The squared distance of logits. Shapes: B = examples, C = classes."""

import tensorflow as tf


def logit_mse_loss(
    student_logits: tf.Tensor, teacher_logits: tf.Tensor, *, centered: bool
) -> tf.Tensor:
    """The mean over classes of the squared difference: [B, C], [B, C] -> [B].

    Where `centered`, each model's mean logit is taken off first, since softmax does not
    see it: that is twice the limit of T**2 KL for T to infinity (Ba and Caruana
    2014, Do Deep Nets Really Need to Be Deep?; Kim et al. 2021, Comparing
    Kullback-Leibler Divergence and Mean Squared Error Loss). No gradient reaches the
    teacher.
    """
    teacher_logits = tf.cast(tf.stop_gradient(teacher_logits), tf.float32)
    difference = tf.cast(student_logits, tf.float32) - teacher_logits
    if centered:
        difference -= tf.reduce_mean(difference, axis=-1, keepdims=True)
    return tf.reduce_mean(tf.square(difference), axis=-1)
