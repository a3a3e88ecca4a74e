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
    WEIGHTED,
    quick_way,
    resize_between,
    resize_place,
    resize_to_means,
    whole_place,
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
    place: tf.Tensor  # float32 [4]: the box in the window
    way: tf.Tensor  # int32: to the size of a model, of trainer.data.resizing


def cuts(boxes: tf.Tensor, size: tuple[int, int], *, antialias: bool) -> Cut:
    """Boxes, int32 [..., 4], as they come out of their files at a size quickly.

    Without `antialias` all pixels are decoded, and those of a model lie between the
    nearest ones.
    """
    if antialias:
        cut = _coarse(boxes, size, spare=_LESS)
        return cut._replace(way=quick_way(boxes[..., 2:], size))
    zeros = tf.zeros_like(boxes[..., 0])
    place = tf.cast(boxes, tf.float32)
    return Cut(box=boxes, ratio=zeros, window=boxes, place=place, way=zeros)


def _coarse(boxes: tf.Tensor, size: tuple[int, int], *, spare: float) -> Cut:
    """Boxes that are decoded no finer than `spare` pixels a side for one of a model."""
    corners, sides = boxes[..., :2], boxes[..., 2:]
    ratios = tf.cast(sides, tf.float32) / size / spare
    is_left = tf.reduce_min(ratios, axis=-1, keepdims=True) >= _RATIOS[1:]
    index = tf.reduce_sum(tf.cast(is_left, tf.int32), axis=-1)
    ratio = tf.gather(tf.constant(_RATIOS), index)[..., tf.newaxis]
    first, last = corners // ratio, -(-(corners + sides) // ratio)
    place = tf.concat([corners - first * ratio, sides], axis=-1)
    return Cut(
        box=boxes,
        ratio=index,
        window=tf.concat([first, last - first], axis=-1),
        place=tf.cast(place, tf.float32) / tf.cast(ratio, tf.float32),
        way=tf.fill(tf.shape(index), WEIGHTED),
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

    def evaluation(self, contents: tf.Tensor) -> tf.Tensor:
        """The part that is shown in evaluation: bytes -> uint8 of `shape`.

        Raises:
          tf.errors.InvalidArgumentError: the file is damaged, no image, or too small.
        """
        box_of, size = evaluation_box(self.view), self.shape[:2]

        def of_jpeg() -> tuple[tf.Tensor, tf.Tensor]:
            box = box_of(tf.io.extract_jpeg_shape(contents)[:2])
            cut = _coarse(box, size, spare=_SPARE)
            at_ratios = self._at_ratios(contents, cut)
            return tf.switch_case(cut.ratio, at_ratios), cut.place

        @seldom
        def of_other() -> tuple[tf.Tensor, tf.Tensor]:
            part = self._part_of_whole(contents, box_of)
            return part, whole_place(part)

        part, place = tf.cond(is_jpeg(contents), of_jpeg, of_other)
        return resize_place(self._coloured(part), place, size)

    def crop(self, contents: tf.Tensor, cut: Cut, *, antialias: bool) -> tf.Tensor:
        """A part as `cuts` tells of it: bytes -> uint8 of `shape`.

        Raises:
          tf.errors.InvalidArgumentError: the file is damaged, no image, or too small.
        """
        size, found = self.shape[:2], is_jpeg(contents)

        @seldom
        def of_other() -> tf.Tensor:
            return self._part_of_whole(contents, lambda _: cut.box)

        if not antialias:
            part = tf.cond(found, self._at_ratios(contents, cut)[0], of_other)
            return self._shaped(resize_between(self._coloured(part), size))
        index = tf.where(found, cut.ratio, len(_RATIOS))
        branches = [*self._at_ratios(contents, cut), of_other]
        part = self._coloured(tf.switch_case(index, branches))

        @seldom
        def weighted() -> tf.Tensor:
            place = tf.where(found, cut.place, whole_place(part))
            return resize_place(part, place, size)

        # In the order of the ways.
        between, to_means = (
            functools.partial(resized, part, size)
            for resized in (resize_between, resize_to_means)
        )
        return self._shaped(tf.switch_case(cut.way, [between, to_means, weighted]))

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

    def _part_of_whole(self, contents: tf.Tensor, box_of: BoxOf) -> tf.Tensor:
        image = self.whole(contents)
        top, left, height, width = tf.unstack(box_of(tf.shape(image)[:2]))
        return image[top : top + height, left : left + width]

    def _coloured(self, part: tf.Tensor) -> tf.Tensor:
        """A part in the colours of models."""
        part = tf.ensure_shape(part, (None, None, self.channels))
        return to_grey(part) if (self.shape[2], self.channels) == (1, 3) else part

    def _shaped(self, image: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(image, self.shape)
