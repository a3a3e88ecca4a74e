"""The teacher's prediction as a label. Shapes: B = examples, C = classes."""

import tensorflow as tf

from trainer.losses.hard import hard_loss


def hard_target_loss(student_logits: tf.Tensor, teacher_logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy with the teacher's prediction: [B, C], [B, C] -> [B], in nats.

    Touvron et al. 2021, Training Data-Efficient Image Transformers, section 4.
    """
    predictions = tf.argmax(teacher_logits, axis=-1, output_type=tf.int32)
    return hard_loss(student_logits, predictions, label_smoothing=0.0)
