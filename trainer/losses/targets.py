"""Soft targets of a batch. B = examples, C = classes, K = buckets."""

import dataclasses
from typing import TypeAlias

import tensorflow as tf

# A number, or a tensor that changes from step to step: float32 [].
Scalar: TypeAlias = float | tf.Tensor

# Of what has no probability. Infinity would make the gradients that stop at it NaN.
_MASKED_LOGIT = -1e30


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoftTargets:
    """The teacher's predictions at one temperature T, whatever gave them.

    softmax(logits / T) are its probabilities of K buckets. Without `classes` each class
    is a bucket. With them bucket i holds the class classes[b, i], or none where that is
    -1, and the last bucket holds all other classes.
    """

    logits: tf.Tensor  # float32 [B, K]
    classes: tf.Tensor | None = None  # int32 [B, K - 1], no class twice

    def to_buckets(self, logits: tf.Tensor, *, temperature: Scalar) -> tf.Tensor:
        """Projects another model's logits onto the buckets at T: [B, C] -> [B, K]."""
        if self.classes is None:
            return logits
        return to_buckets(logits, self.classes, temperature=temperature)

    @property
    def predicted(self) -> tf.Tensor:
        """The class with the largest probability: integers [B]."""
        if self.classes is None:
            return tf.argmax(self.logits, axis=-1, output_type=tf.int32)
        largest = tf.argmax(self.logits[:, :-1], axis=-1, output_type=tf.int32)
        return tf.gather(self.classes, largest, batch_dims=1)


def to_buckets(
    logits: tf.Tensor, classes: tf.Tensor, *, temperature: Scalar
) -> tf.Tensor:
    """Some classes by themselves, the others together: [B, C], [B, K - 1] -> [B, K].

    softmax(result / T) are the sums of softmax(logits / T) over the buckets, which
    holds at this temperature alone: the mass of many small classes grows faster with T
    than that of any one of them.
    """
    logits = tf.cast(logits, tf.float32)
    alone = tf.gather(logits, tf.maximum(classes, 0), batch_dims=1)
    alone = tf.where(classes < 0, _MASKED_LOGIT, alone)
    rest = temperature * tf.reduce_logsumexp(
        _without(logits, classes) / temperature, axis=-1, keepdims=True
    )
    return tf.concat([alone, rest], axis=1)


def _without(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """Nothing in the place of `classes`: [B, C], [B, K - 1] -> [B, C + 1]."""
    # One column more, for what is no class to go to.
    wider = tf.pad(logits, [[0, 0], [0, 1]], constant_values=_MASKED_LOGIT)
    columns = tf.where(classes < 0, logits.shape[-1], classes)
    rows = tf.zeros_like(classes) + tf.range(tf.shape(classes)[0])[:, tf.newaxis]
    return tf.tensor_scatter_nd_update(
        wider,
        tf.stack([rows, columns], axis=-1),
        tf.fill(tf.shape(classes), _MASKED_LOGIT),
    )
