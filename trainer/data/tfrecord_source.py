"""Datasets of record files of a user's own, in memory or streamed."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from etils import epath

from trainer.config import DataConfig, TfrecordOptions
from trainer.data import keeping, splits, tfrecord_files
from trainer.data.examples import DataError
from trainer.data.given_form import Form
from trainer.data.host_memory import empty
from trainer.data.keeping import PIXELS
from trainer.data.part_source import PartSource, numbered_classes, rows_too_large
from trainer.data.parts import ArrayPart, RecordPart, text_of_contents
from trainer.data.records import RecordExamples
from trainer.data.tfrecord_files import TfrecordFormat

_FEWEST_CHANNELS = 3  # of images whose shape does not say


def open_tfrecord(
    data: DataConfig, index_dir: epath.Path, *, may_write: bool
) -> PartSource:
    """Finds the files of the splits in use, and counts their records once.

    Raises:
      DataError: there are none, a split is unknown, empty or overlaps another, or a
        record is not as data.options describes it.
    """
    options = data.options
    if not isinstance(options, TfrecordOptions):
        raise TypeError(f"{data.dataset!r} must have TfrecordOptions, got {options!r}")
    form = _form(data, options)
    known = TfrecordFormat(
        options=options,
        form=form,
        background=data.background_colour,
        title=f"data.dataset {data.dataset!r}",
        num_classes=options.num_classes,
        view=data.view,
    )
    found = tfrecord_files.find(data)
    names = splits.used_splits(data, found)
    parts = {
        name: _part(name, found[name], known, index_dir, may_write) for name in names
    }
    held: Mapping[str, ArrayPart | RecordPart] = parts
    total = sum(map(len, parts.values())) * form.num_bytes
    class_names = numbered_classes(data, parts, options.num_classes)
    splits.check(data, splits.whole({name: len(part) for name, part in parts.items()}))
    keeping.check(data, total)
    if keeping.resolve(data, total) == PIXELS:
        held = {
            name: _read(part, form, len(class_names), data.num_threads)
            for name, part in parts.items()
        }
    elif form.is_row:
        raise rows_too_large(data, total)
    return PartSource(data=data, form=form, held=held, class_names=class_names)


def _form(data: DataConfig, options: TfrecordOptions) -> Form:
    shape, size = tuple(options.shape), data.image_size
    if options.encoding == "image":
        channels = shape[-1] if shape else _FEWEST_CHANNELS
        shape = (size, size, channels) if size else shape
    dtype = np.dtype("uint8" if options.encoding == "image" else options.dtype)
    if len(shape) == 1:
        dtype = np.dtype("float32")  # models standardise rows
    return Form(
        found=shape,
        found_dtype=dtype,
        shape=shape,
        dtype=dtype,
        notes=(),
        image_size=size,
        background=data.background_colour,
        view=data.view,
    )


def _part(
    name: str,
    paths: Sequence[str],
    known: TfrecordFormat,
    index_dir: epath.Path,
    may_write: bool,
) -> RecordPart:
    counted = tfrecord_files.count(paths, known, index_dir, may_write=may_write)
    paths = [path for path, one in zip(paths, counted, strict=True) if sum(one.labels)]
    counted = [one for one in counted if sum(one.labels)]
    if not counted:
        raise DataError(
            f"{name} of {known.title} must hold records, got empty files; fill them"
        )
    totals = np.zeros(max(len(one.labels) for one in counted), np.int64)
    for one in counted:
        totals[: len(one.labels)] += one.labels
    digest = hashlib.sha256("".join(one.sha256 for one in counted).encode())
    return RecordPart(
        contents=text_of_contents(
            int(totals.sum()), known.form, digest.hexdigest(), ""
        ),
        compared="",
        label_counts=totals,
        value_range=(min(x.low for x in counted), max(x.high for x in counted)),
        where="streamed",
        files=functools.partial(
            tfrecord_files.record_files,
            paths,
            counted,
            known,
        ),
    )


def _read(
    part: RecordPart, form: Form, num_classes: int, num_threads: int
) -> ArrayPart:
    examples = RecordExamples(
        files=part.files(form, num_classes=num_classes),
        rows=np.arange(len(part)),
        window=1,
        num_threads=num_threads,
    )
    inputs = empty((len(part), *form.shape), form.dtype)
    inputs[:] = examples.read(np.arange(len(part)))
    common = {
        field.name: getattr(part, field.name)
        for field in dataclasses.fields(part)
        if field.name not in ("where", "files")
    }
    return ArrayPart(**common, inputs=inputs, labels=examples.labels)
