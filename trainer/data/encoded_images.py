"""Images of any size in records, brought to the size of a model."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from trainer.data.box_decoder import BoxDecoder
from trainer.data.examples import Batch


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodedImages:
    """Reads them in two steps, between which a crop may be drawn."""

    # From a raw record to {"contents": an encoded image, "label": an integer}.
    parse: Callable[[tf.Tensor], Batch]
    decoder: BoxDecoder

    def decode(self, example: Batch) -> Batch:
        """A parsed record with "input", as evaluation shows it, for its contents."""
        image = self.decoder.evaluation(example.pop("contents"))
        return example | {"input": image}
