"""Tensors that batches bring beside the inputs, by example and view. B = examples."""

import dataclasses
from typing import Protocol

import tensorflow as tf

from trainer.data.examples import Batch


@dataclasses.dataclass(frozen=True, kw_only=True)
class Views:
    """The random view of each example that an epoch shows.

    A view is a pure function of `seed`, its number and the example's id.
    """

    seed: int
    count: int | None  # epoch e shows view e modulo count; None: every epoch a new one

    def at_epochs(self, epochs: tf.Tensor) -> tf.Tensor:
        """The number of the view that each epoch shows: int64 [B] -> int64 [B]."""
        return epochs if self.count is None else epochs % self.count


class AuxiliaryFeatures(Protocol):
    """Tensors by example and view, such as the teacher's logits."""

    @property
    def is_in_memory(self) -> bool:
        """Whether they are gathered from memory, or else streamed from files."""

    def gather(self, ids: tf.Tensor, views: tf.Tensor) -> Batch:
        """From memory those of some examples: int64 [B], int64 [B] -> [B, ...] each."""

    def stream(
        self, view: tf.Tensor, first: tf.Tensor, last: tf.Tensor
    ) -> tf.data.Dataset:
        """From files the raw records of consecutive ids, from `first` to `last` - 1."""

    def decode(self, records: tf.Tensor, ids: tf.Tensor, views: tf.Tensor) -> Batch:
        """Decodes raw records: string [B] -> [B, ...] each.

        The records say whose they are, which has to be `ids` and `views`, int64 [B].
        """

    def damage(self) -> str:
        """Describes the first file that cannot be read; "" where all can."""
