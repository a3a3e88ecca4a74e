"""Examples of Python objects as they come, one block after another. K = of a block."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from trainer.data.decode import reason
from trainer.data.examples import DataError

_BLOCK = 64  # examples
_MOST = 2**40  # examples; what counts more of them is endless

# Inputs and labels, [K, ...] each, or lists of K where shapes may differ.
Block = tuple[Any, Any]


class Items(Protocol):
    """A part of a dataset, which can be read any number of times."""

    @property
    def most(self) -> int:
        """The number of examples, or what it cannot exceed."""

    def blocks(self) -> Iterator[Block]:
        """All examples in order."""

    def places(self, count: int) -> np.ndarray:
        """Picks `count` examples that tell the part from others: ascending numbers."""

    def take(self, places: np.ndarray) -> Iterator[Block]:
        """The examples at `places`; those past the end are left out."""


def items_of(part: Any, columns: Sequence[str] | None, *, title: str) -> Items:
    """The examples of a part of trainer.data.GivenData, which messages call `title`.

    Raises:
      DataError: it is of no kind that can be read.
    """
    if isinstance(part, tf.data.Dataset):
        return _open_dataset(part, columns, title)
    if columns and isinstance(part, Mapping) and set(columns) <= set(part):
        part = tuple(part[column] for column in columns)
    if isinstance(part, tuple | list) and len(part) == 2 and not _are_examples(part):
        return _open_arrays(part, title)
    has_items = hasattr(part, "__len__") and hasattr(part, "__getitem__")
    are_arrays = isinstance(part, tuple) and not _are_examples(part)
    none = Mapping | str | bytes | np.ndarray | tf.Tensor
    if not has_items or are_arrays or isinstance(part, none):
        raise DataError(
            f"{title} must be a pair of arrays (x, y), a tf.data.Dataset, or have "
            f"__len__ and __getitem__, got {_kind(part)}; give one of these"
        )
    if isinstance(part, keras.utils.PyDataset):
        raise DataError(
            f"{title} must give one example for each number, got a {_kind(part)}, "
            "whose items are batches; give the arrays in it, or a tf.data.Dataset"
        )
    if not _num_items(part, title):
        raise _empty(title)
    return _Indexed(part=part, columns=columns, title=title)


def _are_examples(things: Sequence[Any]) -> bool:
    """Whether they are one example each, and not all inputs and all labels."""
    return all(isinstance(one, tuple | Mapping) for one in things)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Arrays:
    """Inputs [M, ...] and labels [M] in memory."""

    inputs: np.ndarray
    labels: np.ndarray

    @property
    def most(self) -> int:
        return len(self.inputs)

    def blocks(self) -> Iterator[Block]:
        for first in range(0, self.most, _BLOCK):
            rows = slice(first, first + _BLOCK)
            yield self.inputs[rows], self.labels[rows]

    def places(self, count: int) -> np.ndarray:
        return _spread(self.most, count)

    def take(self, places: np.ndarray) -> Iterator[Block]:
        yield self.inputs[places], self.labels[places]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Indexed:
    """Items by their numbers."""

    part: Any
    columns: Sequence[str] | None
    title: str

    @property
    def most(self) -> int:
        return len(self.part)

    def blocks(self) -> Iterator[Block]:
        for first in range(0, self.most, _BLOCK):
            yield from self.take(np.arange(first, min(first + _BLOCK, self.most)))

    def places(self, count: int) -> np.ndarray:
        return _spread(self.most, count)

    def take(self, places: np.ndarray) -> Iterator[Block]:
        if len(places):
            pairs = [self._example(int(place)) for place in places]
            yield [x for x, _ in pairs], [y for _, y in pairs]

    def _example(self, place: int) -> tuple[Any, Any]:
        where = f"item {place} of {self.title}"
        try:
            item = self.part[place]
        except Exception as error:
            raise DataError(
                f"{where} must be readable, got {type(error).__name__}: {error}; mend "
                "it or leave it out"
            ) from error
        return pair_of(item, self.columns, title=where)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Dataset:
    """A tf.data.Dataset, whose elements are examples or batches of them."""

    pairs: tf.data.Dataset
    is_batched: bool
    most: int
    title: str

    def blocks(self) -> Iterator[Block]:
        pairs, shape = self.pairs, self.pairs.element_spec[0].shape
        is_one = not self.is_batched
        if is_one and shape.is_fully_defined():
            pairs, is_one = pairs.batch(_BLOCK), False
        try:
            for x, y in pairs.prefetch(1).as_numpy_iterator():
                yield ([x], [y]) if is_one else (x, y)
        except tf.errors.OpError as error:
            raise DataError(
                f"{self.title} must be readable, got an error: {reason(error)}; mend "
                "the dataset"
            ) from error

    def places(self, count: int) -> np.ndarray:
        return np.arange(min(self.most, count))

    def take(self, places: np.ndarray) -> Iterator[Block]:
        left = len(places)
        for x, y in self.blocks():
            yield x[:left], y[:left]
            left -= len(y)
            if left <= 0:
                return


def pair_of(item: Any, columns: Sequence[str] | None, *, title: str) -> tuple[Any, Any]:
    """Input and label of an example, of a batch, or of what describes them.

    Raises:
      DataError: it is of another structure.
    """
    if isinstance(item, Mapping):
        known = ", ".join(map(repr, item))
        if not columns:
            raise DataError(
                f"{title} must be a pair (x, y), got a dict of {known}; name its input "
                "and its label in columns=(...)"
            )
        missing = [column for column in columns if column not in item]
        if missing or len(columns) != 2:
            raise DataError(
                f"columns must name an input and a label of {title}, got "
                f"{list(columns)}; known: {known}"
            )
        return item[columns[0]], item[columns[1]]
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    found = f"{len(item)} values" if isinstance(item, tuple | list) else _kind(item)
    raise DataError(
        f"{title} must be a pair (x, y), or a dict with columns=(...), got {found}; "
        "map it to such pairs"
    )


def _open_arrays(pair: Sequence[Any], title: str) -> _Arrays:
    try:
        inputs, labels = (np.asarray(one) for one in pair)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{title} must be a pair of arrays (x, y), got what makes no array "
            f"({error}); stack it, or give something with __len__ and __getitem__"
        ) from error
    if not (inputs.ndim and labels.ndim) or len(inputs) != len(labels):
        raise DataError(
            f"x and y of {title} must have an entry for each example, got shapes "
            f"{list(inputs.shape)} and {list(labels.shape)}; give as many of both"
        )
    if not len(labels):
        raise _empty(title)
    return _Arrays(inputs=inputs, labels=labels)


def _open_dataset(
    dataset: tf.data.Dataset, columns: Sequence[str] | None, title: str
) -> _Dataset:
    pairs = pair_of(dataset.element_spec, columns, title=f"an element of {title}")
    if not all(isinstance(spec, tf.TensorSpec) for spec in pairs):
        raise DataError(
            f"an element of {title} must be a pair of tensors, got {pairs}; map it to "
            "dense ones"
        )
    shapes = [spec.shape for spec in pairs]
    if None in (shapes[0].rank, shapes[1].rank):
        raise DataError(
            f"{title} must have tensors of known rank, got shapes {shapes[0]} and "
            f"{shapes[1]}; set them with tf.ensure_shape in a map"
        )
    length = int(dataset.cardinality())
    if length == tf.data.INFINITE_CARDINALITY:
        raise _endless(title, "an endless one; leave repeat() out, or add take(N)")
    if length == tf.data.UNKNOWN_CARDINALITY:
        raise _endless(
            title,
            "an unknown one; add .apply(tf.data.experimental.assert_cardinality(N))",
        )
    if not length:
        raise _empty(title)
    x, y = shapes
    is_batched = bool(y.rank and x.rank) and x[:1].is_compatible_with(y[:1])
    # Of one label as [1] beside an input whose first side is not known.
    is_batched = is_batched and not (y == [1] and x[0] is None)
    chosen = dataset.map(
        lambda *e: pair_of(e if len(e) > 1 else e[0], columns, title=title)
    )
    most = length
    if is_batched:
        most *= next(len(y) for _, y in chosen.take(1).as_numpy_iterator())
    return _Dataset(pairs=chosen, is_batched=is_batched, most=most, title=title)


def _num_items(part: Any, title: str) -> int:
    try:
        length = len(part)
    except (ValueError, TypeError, OverflowError) as error:
        raise _endless(title, f"an error: {error}") from error
    if length > _MOST:
        raise _endless(title, f"{length}; leave repeat() out")
    return length


def _endless(title: str, got: str) -> DataError:
    return DataError(f"{title} must have a known, finite length, got {got}")


def _empty(title: str) -> DataError:
    return DataError(f"{title} must hold examples, got none; leave it out, or fill it")


def _spread(length: int, count: int) -> np.ndarray:
    places = np.linspace(0, length - 1, min(length, count))
    return np.unique(places.astype(np.int64))


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    of = f" of shape {list(shape)}" if isinstance(shape, tuple) else ""
    return f"{type(value).__name__}{of}"
