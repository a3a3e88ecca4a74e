"""Parts of a dataset of Python objects: read into memory, or written to records.

M = examples of a part.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
from etils import epath

from trainer.config import DataConfig
from trainer.data import given_records
from trainer.data.examples import DataError
from trainer.data.given import GivenData
from trainer.data.given_form import Form, labels_of
from trainer.data.given_items import Block, Items, items_of
from trainer.data.given_records import Written
from trainer.data.host_memory import empty
from trainer.data.parts import ArrayPart, RecordPart, text_of_contents
from trainer.storage import files
from trainer.storage.workdir import CONTENTS

_COMPARED = 256  # examples that tell a part from others before it is read
_COMPARED_BYTES = 2**26  # of them, at most
_HASHED_BYTES = 2**30  # of a part in memory; of larger ones each so many-th example

Names = tuple[str, ...] | None  # of the classes, where they are given


def open_items(data: DataConfig, given: GivenData) -> dict[str, Items]:
    """The examples of each part.

    Raises:
      DataError: a part is of no kind that can be read, empty or endless.
    """
    if "train" not in given.parts:
        raise DataError(f"{_title('train', data)} must be given, got none")
    return {
        name: items_of(part, given.columns, title=_title(name, data))
        for name, part in given.parts.items()
    }


def first_input(opened: Mapping[str, Items]) -> object:
    """The first input of all."""
    items = next(iter(opened.values()))
    inputs, _ = next(iter(items.take(items.places(1))))
    return inputs[0]


def in_memory(
    opened: Mapping[str, Items], form: Form, data: DataConfig, names: Names
) -> dict[str, ArrayPart]:
    """Reads each part.

    Raises:
      DataError: an example or a label cannot be used, or is another at each reading.
    """
    return {
        name: _read(_Reading(items, form, _title(name, data), names))
        for name, items in opened.items()
    }


def in_records(
    opened: Mapping[str, Items],
    form: Form,
    data: DataConfig,
    names: Names,
    folder: epath.Path,
    index_dir: epath.Path,
    *,
    may_write: bool,
) -> dict[str, RecordPart]:
    """Writes each part to `folder` where it is not there yet.

    Raises:
      DataError: as `in_memory`; or who may not write finds another part there, or the
        run whose lists are in `index_dir` has begun with another one.
      StorageError: the folder cannot be written.
    """
    may_replace = may_write and not files.exists(index_dir / CONTENTS)
    held = {}
    for name, items in opened.items():
        reading = _Reading(items, form, _title(name, data), names)
        sample = list(reading.sample())
        identity = given_records.sample_identity(form, items.most, iter(sample))
        written = given_records.read_kept(folder, name)
        if written and written.identity != identity:
            if not may_replace:
                raise _other_records(reading.title, folder, identity, written.identity)
            written = None
        if not (written and written.is_whole):
            if not may_write:
                raise _no_records(reading.title, folder)
            written = given_records.write(
                folder,
                name,
                reading.rows(sample),
                form=form,
                begun=written or Written(identity=identity),
            )
        held[name] = _written_part(folder, name, written, form)
    return held


def _no_records(title: str, folder: epath.Path) -> DataError:
    return DataError(
        f"{title} must be in {folder}, written by the process that trains there, got "
        "nothing; start again when it is"
    )


def _other_records(
    title: str, folder: epath.Path, identity: str, written: str
) -> DataError:
    return DataError(
        f"{title} must hold the examples that {folder} was written of, got others, or "
        f"in another order (SHA-256 {identity} of some of them, and not {written}); "
        "give the same, without shuffling, or start anew in another --workdir"
    )


@dataclasses.dataclass(frozen=True)
class _Reading:
    """The examples of a part in their form."""

    items: Items
    form: Form
    title: str
    names: Names

    def sample(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Some examples, which are compared with what is read later."""
        yield from self._converted(self.items.take(self.places), self.places)

    @property
    def places(self) -> np.ndarray:
        """The numbers of these examples."""
        most = max(1, _COMPARED_BYTES // self.form.num_bytes)
        return self.items.places(min(_COMPARED, most))

    def rows(
        self, sample: list[tuple[np.ndarray, np.ndarray]]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All examples; those of the sample must be the same again."""
        wanted = np.concatenate([inputs for inputs, _ in sample])
        places = self.places[: len(wanted)]
        labels = np.concatenate([labels for _, labels in sample])
        first = 0
        for inputs, found in self._converted(self.items.blocks()):
            here = (places >= first) & (places < first + len(found))
            rows = places[here] - first
            if not (
                np.array_equal(inputs[rows], wanted[here])
                and np.array_equal(found[rows], labels[here])
            ):
                raise DataError(
                    f"{self.title} must give the same examples at each reading, got "
                    f"others among {first} to {first + len(found) - 1} the second "
                    "time, so that a run could not be resumed; leave shuffle() and "
                    "random augmentation out (data.augment has its own), or set "
                    "reshuffle_each_iteration=False and a seed"
                )
            yield inputs, found
            first += len(found)

    def _converted(
        self, blocks: Iterator[Block], places: np.ndarray | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Blocks in the form; of the examples at `places`, or of all in order."""
        first = 0
        for x, y in blocks:
            if len(x) != len(y):
                raise DataError(
                    f"a batch of {self.title} must have a label for each input, got "
                    f"{len(x)} inputs and {len(y)} labels from example {first} on; of "
                    "one-hot labels take argmax(axis=-1)"
                )
            # First, as what is no single example shows in its label.
            last = first + len(y)
            numbers = np.arange(first, last) if places is None else places[first:last]
            labels = labels_of(y, numbers=numbers, title=self.title, names=self.names)
            yield self.form.inputs(x, numbers=numbers, title=self.title), labels
            first += len(y)


def _read(reading: _Reading) -> ArrayPart:
    form, most = reading.form, reading.items.most
    inputs = empty((most, *form.shape), form.dtype)
    labels = np.empty(most, np.int32)
    done = 0
    for x, y in reading.rows(list(reading.sample())):
        if done + len(y) > most:
            raise DataError(
                f"{reading.title} must hold at most {most} examples as its first batch "
                "and its length say, got more; give batches of one size"
            )
        inputs[done : done + len(y)], labels[done : done + len(y)] = x, y
        done += len(y)
    inputs, labels = inputs[:done], labels[:done]
    step = -(-inputs.nbytes // _HASHED_BYTES)
    digest = hashlib.sha256()
    for first in range(0, done, step * 1024):
        rows = slice(first, first + step * 1024, step)
        digest.update(np.ascontiguousarray(inputs[rows]).tobytes())
    digest.update(labels.tobytes())
    compared = f"compared by each {step}th example" if step > 1 else ""
    return ArrayPart(
        contents=text_of_contents(done, form, digest.hexdigest(), compared),
        compared=compared,
        label_counts=np.bincount(labels),
        value_range=(float(inputs.min()), float(inputs.max())),
        inputs=inputs,
        labels=labels,
    )


def _written_part(
    folder: epath.Path, name: str, written: Written, form: Form
) -> RecordPart:
    counts = np.array(written.labels, np.int64)
    compared = f"compared by at most {_COMPARED} examples of each part"
    total = int(counts.sum())
    return RecordPart(
        contents=text_of_contents(total, form, written.identity, compared),
        compared=compared,
        label_counts=counts,
        value_range=(written.low, written.high),
        where=f"streamed from {folder}",
        files=functools.partial(given_records.record_files, folder, name, written),
    )


def _title(name: str, data: DataConfig) -> str:
    return f"{name} of data.dataset {data.dataset!r}"
