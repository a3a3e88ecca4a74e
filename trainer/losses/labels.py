"""The labels of a batch. Shapes: B = examples."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labels:
    """The classes of examples, of which those of mixed pairs have two."""

    own: tf.Tensor  # integers [B]; -1: the example has no label
    # The class of each one's partner, and the share, float32 [B], of its own.
    mixed_with: tuple[tf.Tensor, tf.Tensor] | None = None

    def mean(self, measure: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """The values of `measure`, [B] -> [B], of all classes, by their shares."""
        if self.mixed_with is None:
            return measure(self.own)
        partner, share = self.mixed_with
        return share * measure(self.own) + (1.0 - share) * measure(partner)
