"""Boxes of encoded images at the size of a model. B = images.

A box is its top, left, height and width, int32 [4], in the pixels of the file.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from trainer.config import EvaluateView
from trainer.data.branches import seldom
from trainer.data.decode import pixels, to_grey
from trainer.data.image_box import BoxOf, Whole, evaluation_box
from trainer.data.jpeg_pixels import decode_part, is_jpeg
from trainer.data.resizing import (
    BETWEEN,
    EXACT,
    MEAN,
    ROUNDED,
    Fit,
    fit,
    resize_between,
    resize_place,
)

# What libjpeg can leave out while it decodes; 2 stands for every second pixel.
_RATIOS = (1, 2, 4, 8)
# Of so many pixels for one a side at least: of photographs within 0.7 of 255, in the
# mean, of what all pixels give, and with fewer within 2, which is a quarter quicker.
_SPARE, _LESS = 2.0, 1.3


class Cut(NamedTuple):
    """A box, and how it comes out of its file; of many each field has an axis more."""

    box: tf.Tensor  # int32 [4]
    ratio: tf.Tensor  # int32: which of those that libjpeg decodes at
    window: tf.Tensor  # int32 [4]: the pixels of a JPEG at that ratio that touch it
    fit: Fit  # of the box in the window


def crop_cuts(boxes: tf.Tensor, size: tuple[int, int], *, antialias: bool) -> Cut:
    """Random boxes, int32 [..., 4], as they come out of their files quickly.

    Of photographs the pixels are within 2 of 255, in the mean, of exact ones. Without
    `antialias` all pixels of a file are decoded.
    """
    return _cuts(boxes, size, spare=_LESS if antialias else None, quickly=True)


def evaluation_cuts(sizes: tf.Tensor, view: EvaluateView, size: tuple[int, int]) -> Cut:
    """The boxes that evaluation shows of images of such heights and widths."""
    return _cuts(evaluation_box(view)(sizes), size, spare=_SPARE, quickly=False)


def _cuts(
    boxes: tf.Tensor, size: tuple[int, int], *, spare: float | None, quickly: bool
) -> Cut:
    """Boxes that are decoded no finer than `spare` pixels a side for one of a model."""
    corners, sides = boxes[..., :2], boxes[..., 2:]
    index = tf.zeros_like(sides[..., 0])
    if spare is not None:
        ratios = tf.cast(sides, tf.float32) / size / spare
        is_left = tf.reduce_min(ratios, axis=-1, keepdims=True) >= _RATIOS[1:]
        index = tf.reduce_sum(tf.cast(is_left, tf.int32), axis=-1)
    ratio = tf.gather(tf.constant(_RATIOS), index)[..., tf.newaxis]
    first, last = corners // ratio, -(-(corners + sides) // ratio)
    place = tf.concat([corners - first * ratio, sides], axis=-1)
    place = tf.cast(place, tf.float32) / tf.cast(ratio, tf.float32)
    if quickly:
        way = tf.where(sides[..., 1] < size[1], BETWEEN, MEAN)
    else:
        way = tf.where(tf.reduce_all(sides == size, axis=-1), BETWEEN, EXACT)
    return Cut(
        box=boxes,
        ratio=index,
        window=tf.concat([first, last - first], axis=-1),
        fit=fit(place, size, tf.where(index == 0, way, ROUNDED)),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoxDecoder:
    """Decodes parts of encoded images as models take them.

    They are resized once. Of a JPEG no more is decoded than the part, and no finer than
    is asked for; `whole` decodes others. Both give as many `channels`, of which 3
    become grey where the shape has one.
    """

    shape: tuple[int, int, int]  # of what models take
    view: EvaluateView  # where no crop is drawn
    whole: Whole = pixels
    channels: int = 3

    def evaluation(self, contents: tf.Tensor, cut: Cut | None = None) -> tf.Tensor:
        """The part that is shown in evaluation: bytes -> uint8 of `shape`.

        A cut that is not given is found by the size in the file.

        Raises:
          tf.errors.InvalidArgumentError: the file is damaged, no image, or too small.
        """

        def cut_of() -> Cut:
            if cut is not None:
                return cut
            sizes = tf.io.extract_jpeg_shape(contents)[:2]
            return evaluation_cuts(sizes, self.view, self.shape[:2])

        box_of = evaluation_box(self.view)
        return self._shown(contents, cut_of, box_of, resize_place)

    def crop(self, contents: tf.Tensor, cut: Cut, *, antialias: bool) -> tf.Tensor:
        """A part as `crop_cuts` tells of it: bytes -> uint8 of `shape`.

        Raises:
          tf.errors.InvalidArgumentError: the file is damaged, no image, or too small.
        """

        def between(part: tf.Tensor, fit: Fit, size: tuple[int, int]) -> tf.Tensor:
            del fit
            return resize_between(part, size)

        resized = resize_place if antialias else between
        return self._shown(contents, lambda: cut, lambda _: cut.box, resized)

    def _shown(
        self,
        contents: tf.Tensor,
        cut_of: Callable[[], Cut],
        box_of: BoxOf,
        resized: Callable[[tf.Tensor, Fit, tuple[int, int]], tf.Tensor],
    ) -> tf.Tensor:
        """A JPEG's cut, or a box of all pixels of another image."""
        size = self.shape[:2]

        def of_jpeg() -> tf.Tensor:
            cut = cut_of()
            part = tf.switch_case(cut.ratio, self._at_ratios(contents, cut))
            return resized(self._coloured(part), cut.fit, size)

        @seldom
        def of_other() -> tf.Tensor:
            image = self.whole(contents)
            top, left, height, width = tf.unstack(box_of(tf.shape(image)[:2]))
            part = image[top : top + height, left : left + width]
            box = tf.stack([0, 0, height, width])
            cut = _cuts(box, size, spare=None, quickly=False)
            return resized(self._coloured(part), cut.fit, size)

        image = tf.cond(is_jpeg(contents), of_jpeg, of_other)
        return tf.ensure_shape(image, self.shape)

    def _at_ratios(
        self, contents: tf.Tensor, cut: Cut
    ) -> list[Callable[[], tf.Tensor]]:
        """The decodings of a JPEG at each of the ratios."""
        # Nothing but the decoding, as of branches that are not taken each operation
        # takes time.
        return [
            functools.partial(
                decode_part,
                contents,
                cut.window,
                channels=self.channels,
                ratio=ratio,
            )
            for ratio in _RATIOS
        ]

    def _coloured(self, part: tf.Tensor) -> tf.Tensor:
        """A part in the colours of models."""
        part = tf.ensure_shape(part, (None, None, self.channels))
        return to_grey(part) if (self.shape[2], self.channels) == (1, 3) else part
