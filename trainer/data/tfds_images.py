"""Images of a set of TensorFlow Datasets, from what its records hold of them."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf
import tensorflow_datasets as tfds

from trainer.config import Colour, EvaluateView
from trainer.data import jpeg_pixels
from trainer.data.box_decoder import BoxDecoder
from trainer.data.decode import with_alpha_blended
from trainer.data.encoded_images import EncodedImages
from trainer.data.examples import Batch


@dataclasses.dataclass(frozen=True, kw_only=True)
class TfdsImages:
    """Decodes the images of a set."""

    key: str
    feature: tfds.features.Image
    background: Colour | None  # behind transparent pixels; None drops alpha
    shape: tuple[int, int, int]  # that models take
    view: EvaluateView | None  # None: all are stored in that shape
    has_jpegs: bool

    @property
    def decoders(self) -> dict[str, tfds.decode.Decoder]:
        """Leave images encoded, where `decode` does it and not the set itself."""
        is_left = self._are_encoded or self.view
        return {self.key: tfds.decode.SkipDecoding()} if is_left else {}

    def encoded(self, parse: Callable[[tf.Tensor], Batch]) -> EncodedImages | None:
        """The reading of those that are brought to another size; None: of none."""
        if self.view is None:
            return None
        decoder = BoxDecoder(
            shape=self.shape,
            view=self.view,
            whole=self._pixels,
            channels=self.shape[-1],
        )
        return EncodedImages(parse=parse, decoder=decoder)

    def decode(self, parsed: Batch) -> Batch:
        """An example with "contents", as the decoders leave it, to one with "input"."""
        if images := self.encoded(dict):
            return images.decode(parsed)
        stored = parsed.pop("contents")
        if self._are_encoded:
            stored = self._pixels(stored)
            stored.set_shape(self.shape)
        return parsed | {"input": stored}

    @property
    def _are_encoded(self) -> bool:
        """Whether the set itself would decode images otherwise."""
        return self.background is not None or self.has_jpegs

    def _pixels(self, contents: tf.Tensor) -> tf.Tensor:
        """All of an encoded image: bytes -> uint8 [H, W, C]."""

        def opaque() -> tf.Tensor:
            return tf.cond(
                jpeg_pixels.is_jpeg(contents),
                lambda: jpeg_pixels.decode(contents, channels=self.shape[-1]),
                lambda: self.feature.decode_example(contents),
            )

        if self.background is None:
            image = opaque()
        else:
            image = with_alpha_blended(
                contents, opaque, channels=self.shape[-1], background=self.background
            )
        image.set_shape((None, None, self.shape[-1]))
        return image
