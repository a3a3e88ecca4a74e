"""The form in which examples of Python objects become batches. K = of a block.

uint8 and float32 stay as they are; what else can be kept without loss is converted, and
said; the rest is refused.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.config import Colour, DataConfig, EvaluateView
from trainer.data.decode import blend
from trainer.data.examples import DataError
from trainer.data.image_box import evaluation_box
from trainer.data.resizing import resize

MOST_CLASSES = 10**5  # without names
_GREY_MODES = ("1", "L", "LA", "I;16")  # of PIL
_CHANNELS = (1, 3, 4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """Shape and type of the examples, as they come and as models take them."""

    found: tuple[int, ...]  # the shape of one as it comes
    found_dtype: np.dtype
    shape: tuple[int, ...]
    dtype: np.dtype  # uint8 or float32; float64 of rows, until all of them are known
    notes: tuple[str, ...]  # what is done to them, and what looks odd
    image_size: int
    background: Colour | None  # behind transparent pixels of images of PIL
    view: EvaluateView  # the part of an image that is resized

    @property
    def is_row(self) -> bool:
        """Whether an example is a row of features."""
        return len(self.shape) == 1

    @property
    def num_bytes(self) -> int:
        """The size of one example."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def inputs(self, block: Any, *, numbers: np.ndarray, title: str) -> np.ndarray:
        """A block of inputs, of the examples with these `numbers`: [K, *shape].

        Raises:
          DataError: one has another shape or type, or a value that cannot be used.
        """
        values = block
        if (
            not isinstance(block, np.ndarray)
            or block.dtype != self.found_dtype
            or (block.shape[1:] != self.found or self.image_size)
        ):
            arrays = [as_array(one, self.background) for one in block]
            for i, one in enumerate(arrays):
                self._check(one, f"example {numbers[i]} of {title}")
            values = np.stack([self._resized(one) for one in arrays])
        with np.errstate(over="ignore"):  # which gives what is not finite
            converted: np.ndarray = values.astype(self.dtype, copy=False)
        _check_values(values, converted, numbers=numbers, title=title)
        return converted.reshape(-1, *self.shape)

    def _check(self, one: np.ndarray, where: str) -> None:
        if one.dtype != self.found_dtype:
            raise DataError(
                f"{where} must be {self.found_dtype} as the first one, got "
                f"{one.dtype}; convert all to one type"
            )
        is_sized = self.image_size and one.ndim == len(self.found)
        if one.shape != self.found and not (
            is_sized and one.shape[2:] == self.found[2:]
        ):
            sizes = ", or set data.image_size" if len(self.shape) == 3 else ""
            raise DataError(
                f"{where} must have the shape {list(self.found)} of the first one, got "
                f"{list(one.shape)}; bring all to one shape{sizes}"
            )

    def _resized(self, one: np.ndarray) -> np.ndarray:
        size = (self.image_size, self.image_size)
        if self.image_size:
            box_of = evaluation_box(self.view)
            top, left, height, width = box_of(tf.constant(one.shape[:2])).numpy()
            one = one[top : top + height, left : left + width]
        if not self.image_size or one.shape[:2] == size:
            return one
        image = one if one.ndim == 3 else one[..., np.newaxis]
        if image.dtype == np.uint8:
            return np.asarray(resize(tf.constant(image), size))
        return np.asarray(
            tf.image.resize(image.astype(np.float32), size, antialias=True)
        )


def form_of(first: Any, data: DataConfig, *, title: str) -> Form:
    """The form of a dataset whose first input is `first`.

    Raises:
      DataError: there is none for inputs of its type and shape.
    """
    background, notes = data.background_colour, []
    one = as_array(first, background)
    _check_numbers(one, title)
    shape = one.shape
    if data.image_size:
        if len(shape) == 2 and one.dtype.kind in "ui":
            shape = (*shape, 1)
            notes.append("images in grey have got a channel")
        if len(shape) != 3:
            raise DataError(
                f"data.image_size must be 0 for {title}, whose examples have the shape "
                f"{list(shape)}, got {data.image_size}; remove it"
            )
        shape = (data.image_size, data.image_size, shape[-1])
    if len(shape) == 3 and shape[0] in _CHANNELS and shape[2] not in _CHANNELS:
        notes.append("channels seem to come first, and are taken to come last")
    dtype = _dtype(one.dtype, len(shape), title)
    if dtype != one.dtype and len(shape) > 1:
        notes.append(f"converted from {one.dtype}")
    return Form(
        found=one.shape,
        found_dtype=one.dtype,
        shape=shape,
        dtype=dtype,
        notes=tuple(notes),
        image_size=data.image_size,
        background=background,
        view=data.view,
    )


def _check_numbers(one: np.ndarray, title: str) -> None:
    is_number = one.dtype.kind in "buif" or one.dtype == tf.bfloat16.as_numpy_dtype
    if not is_number or not one.ndim or not one.size:
        raise DataError(
            f"inputs of {title} must be arrays of numbers, [H, W, C], [H, W], "
            f"[features] or others, got {one.dtype} of shape {list(one.shape)}; "
            "convert them"
        )


def as_array(value: Any, background: Colour | None) -> np.ndarray:
    """An input as an array; an image of PIL in grey or in colours."""
    if not (hasattr(value, "convert") and hasattr(value, "getbands")):
        return np.asarray(value)
    has_alpha = "A" in value.getbands() or "transparency" in value.info
    if has_alpha and background is not None:
        image = tf.constant(np.asarray(value.convert("RGBA")))
        return np.asarray(blend(image, background))
    if value.mode in _GREY_MODES:
        return np.asarray(value.convert("L"))[..., np.newaxis]
    return np.asarray(value.convert("RGB"))


def labels_of(
    block: Any, *, numbers: np.ndarray, title: str, names: Sequence[str] | None
) -> np.ndarray:
    """A block of labels, of the examples with these `numbers`: int32 [K].

    Raises:
      DataError: one is no number of a class.
    """
    labels = np.asarray(block)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(
            f"labels of {title} must be numbers of classes, one an example, got the "
            f"shape {list(labels.shape[1:])} for one; of one-hot labels take "
            "argmax(axis=-1)"
        )
    if labels.dtype.kind not in "buif":
        raise DataError(
            f"labels of {title} must be numbers of classes, got {labels.dtype}; number "
            "them from 0 on, and give their names in class_names"
        )
    most = len(names) - 1 if names else MOST_CLASSES
    # NaN is not equal to itself.
    is_known = (labels >= 0) & (labels <= most) & (labels == np.floor(labels))
    if not is_known.all():
        place = int(np.flatnonzero(~is_known)[0])
        rule = f"0 to {most}" if names else f"whole numbers from 0 to {most}"
        raise DataError(
            f"labels of {title} must be {rule}, got {labels[place]} of example "
            f"{numbers[place]}; number the classes so"
            + (", or name all of them in class_names" if names else "")
        )
    return labels.astype(np.int32)


def _dtype(found: np.dtype, rank: int, title: str) -> np.dtype:
    if rank == 1:
        # Rows are brought to one scale by the model, whatever their type.
        return np.dtype(np.float64 if found != np.float32 else np.float32)
    if found.kind == "b":
        raise DataError(
            f"inputs of {title} must be uint8 or float32, got bool; convert them, "
            "as in x.astype('uint8') * 255"
        )
    return np.dtype(np.uint8 if found.kind in "ui" else np.float32)


def _check_values(
    values: np.ndarray, converted: np.ndarray, *, numbers: np.ndarray, title: str
) -> None:
    """Refuses numbers that are not finite, or that 8 bits do not hold."""
    if converted.dtype != np.uint8:
        is_known = np.isfinite(converted)
        rule = f"finite as {converted.dtype}"
    elif values.dtype != np.uint8:
        is_known = (values >= 0) & (values <= 255)
        rule = f"0 to 255 where they are {values.dtype}, which become uint8"
    else:
        return
    if not is_known.all():
        place = tuple(int(i[0]) for i in np.nonzero(~is_known))
        raise DataError(
            f"inputs of {title} must be {rule}, got {values[place]} in example "
            f"{numbers[place[0]]} at {list(place[1:])}; mend it, or convert them "
            "yourself, as in x.astype('float32')"
        )
