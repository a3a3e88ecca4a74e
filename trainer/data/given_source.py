"""Datasets of Python objects, in memory or in record files of the workdir."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from etils import epath

from trainer.config import DataConfig
from trainer.data import given_parts, splits
from trainer.data.examples import DataError
from trainer.data.given import GivenData, call_function
from trainer.data.given_form import Form, form_of
from trainer.data.given_items import Items
from trainer.data.given_parts import Names
from trainer.data.part_source import PartSource, numbered_classes, rows_too_large
from trainer.data.parts import ArrayPart, RecordPart
from trainer.data.tables import fits_float32
from trainer.storage.workdir import RECORDS


def open_given(
    data: DataConfig,
    given: GivenData | None,
    index_dir: epath.Path,
    *,
    may_write: bool,
) -> PartSource:
    """Reads the objects, or writes them to record files where they are too large.

    Raises:
      ConfigError: data.dataset names no function, or none that takes its options.
      DataError: an object, an example or a label cannot be used, a split is unknown,
        or the examples are not those with which the run began.
      StorageError: the record files cannot be written.
    """
    given = call_function(data) if data.kind == "function" else given
    if given is None:
        raise _not_given(data)
    names = _class_names(data, given)
    opened = given_parts.open_items(data, given)
    splits.check(data, splits.whole({name: x.most for name, x in opened.items()}))
    _check_used(data, opened)
    form = form_of(given_parts.first_input(opened), data, title=_title(data))
    total = sum(items.most for items in opened.values()) * form.num_bytes
    held: Mapping[str, ArrayPart | RecordPart]
    if total <= data.memory_budget_bytes:
        held, form = _in_memory(opened, form, data, names)
    elif form.is_row:
        raise rows_too_large(data, total)
    else:
        folder = index_dir.parent / RECORDS
        held = given_parts.in_records(
            opened, form, data, names, folder, index_dir, may_write=may_write
        )
    if names is None:
        _check_labels(data, held)
        names = numbered_classes(data, held)
    source = PartSource(data=data, form=form, held=held, class_names=names)
    splits.check(data, source.whole_splits)
    return source


def _in_memory(
    opened: Mapping[str, Items], form: Form, data: DataConfig, names: Names
) -> tuple[Mapping[str, ArrayPart], Form]:
    """The parts; rows in float32 where that tells their values apart."""
    held = given_parts.in_memory(opened, form, data, names)
    if not form.is_row:
        return held, form
    if all(fits_float32(part.inputs) for part in held.values()):
        form = dataclasses.replace(form, dtype=np.dtype(np.float32))
        held = {name: part.as_type(form.dtype) for name, part in held.items()}
    if form.dtype != form.found_dtype:
        form = dataclasses.replace(form, notes=(f"converted from {form.found_dtype}",))
    return held, form


def _not_given(data: DataConfig) -> DataError:
    return DataError(
        f"{_title(data)} must be given its objects in Python, got none; call "
        "trainer.distill or trainer.run with them, or name package.module:function"
    )


def _title(data: DataConfig) -> str:
    return f"data.dataset {data.dataset!r}"


def _class_names(data: DataConfig, given: GivenData) -> tuple[str, ...] | None:
    if given.class_names is None:
        return None
    names = tuple(map(str, given.class_names))
    if len(set(names)) < len(names):
        raise DataError(
            f"class_names of {_title(data)} must name each class once, got "
            f"{list(names)}; give the classes names of their own"
        )
    return names


def _check_labels(data: DataConfig, held: Mapping[str, ArrayPart | RecordPart]) -> None:
    """Refuses a class that only other parts than those that train have."""
    whole = splits.whole({name: len(part) for name, part in held.items()})
    trained = {name for name, _, _ in splits.parts_of(whole, data.train_split)}
    # A part counts its labels up to the largest.
    largest = max(len(held[name].label_counts) for name in trained) - 1
    for name, part in held.items():
        label = len(part.label_counts) - 1
        if label > largest:
            raise DataError(
                f"labels of {name} of {_title(data)} must be 0 to {largest}, as those "
                f"of {' and '.join(sorted(trained))} are, got {label}; mend the "
                "labels, or name all classes in class_names"
            )


def _check_used(data: DataConfig, parts: Mapping[str, object]) -> None:
    """Refuses a part that no split takes examples of."""
    used = splits.used_splits(data, parts)
    for name in parts:
        if name not in used:
            raise DataError(
                f"a split must take examples of the part {name!r} of {_title(data)}, "
                f"got {', '.join(data.splits.values())}; set for example "
                f"data.{name}_split = {name!r} and data.train_split, or leave the part "
                "out"
            )
