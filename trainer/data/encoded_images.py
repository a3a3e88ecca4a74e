"""Images of any size in records, brought to the size of a model."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from trainer.config import EvaluateView
from trainer.data.examples import Batch
from trainer.data.image_box import BoxOf, Whole, decode_box, evaluation_box


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodedImages:
    """Reads them in two steps, between which a crop may be drawn."""

    # From a raw record to {"contents": an encoded image, "label": an integer}.
    parse: Callable[[tf.Tensor], Batch]
    whole: Whole  # pixels of other images than JPEG
    channels: int  # of these
    shape: tuple[int, int, int]  # that models take
    view: EvaluateView  # where no crop is drawn

    def decode(
        self, example: Batch, box_of: BoxOf | None = None, *, quickly: bool = False
    ) -> Batch:
        """See trainer.data.cropping.Decode."""
        if box_of is None:
            box_of = evaluation_box(self.view)
        image = decode_box(
            example.pop("contents"),
            box_of,
            self.shape,
            whole=self.whole,
            channels=self.channels,
            quickly=quickly,
        )
        return example | {"input": image}
