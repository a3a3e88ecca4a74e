"""Record files of a user's own: counted once, and described by data.options."""

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from etils import epath

from trainer.config import Colour, DataConfig, EvaluateView, TfrecordOptions, places
from trainer.data.box_decoder import BoxDecoder
from trainer.data.decode import pixels, reason, to_grey, with_alpha_blended
from trainer.data.encoded_images import EncodedImages
from trainer.data.examples import Batch, DataError
from trainer.data.given_form import MOST_CLASSES, Form
from trainer.data.readers import for_each
from trainer.data.record_files import RecordFiles
from trainer.data.signature import signature
from trainer.storage import files, seal

_BATCH = 256  # records
_COUNTED = "tfrecords.json"  # among the lists of a run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counted:
    """The facts on a file."""

    signature: tuple[int, int]
    sha256: str  # of its records
    labels: tuple[int, ...]  # records of each class
    low: float  # the smallest value, where inputs are float32
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class TfrecordFormat:
    """Records of tf.train.Example; see trainer.data.record_files.RecordFormat."""

    options: TfrecordOptions
    form: Form
    background: Colour | None
    title: str
    num_classes: int  # 0: not known yet
    view: EvaluateView  # of images that are brought to another size

    @property
    def encoded(self) -> EncodedImages | None:
        """The reading of images that are brought to another size; None: of none."""
        if not (self.form.image_size and self.options.encoding == "image"):
            return None
        height, width, channels = self.form.shape
        decoder = BoxDecoder(
            shape=(height, width, channels), view=self.view, whole=self._colours
        )
        return EncodedImages(parse=self._parse, decoder=decoder)

    def decode(self, record: tf.Tensor) -> Batch:
        """A raw record to input and label, which are checked."""
        example = self._parse(record)
        if images := self.encoded:
            return images.decode(example)
        return example | {"input": self._input(example.pop("contents"))}

    def _parse(self, record: tf.Tensor) -> Batch:
        example = tf.io.parse_single_example(record, self._features(with_input=True))
        label = example[self.options.label_key]
        last = self.num_classes - 1 if self.num_classes else tf.int64.max
        rule = f"labels of {self.title} must be 0 to {last}, got"
        tf.debugging.Assert((label >= 0) & (label <= last), [rule, label])
        return {"contents": example[self.options.image_key], "label": label}

    def decode_labels(self, records: tf.Tensor) -> tf.Tensor:
        """The labels alone: string [K] -> int64 [K]."""
        features = self._features(with_input=False)
        return tf.io.parse_example(records, features)[self.options.label_key]

    def check_labels(self, labels: np.ndarray) -> None:
        """Refuses labels of no class, and numbers that no class would have."""
        most = self.num_classes - 1 if self.num_classes else MOST_CLASSES
        outside = labels[(labels < 0) | (labels > most)]
        if len(outside):
            raise DataError(
                f"labels of {self.title} must be 0 to {most}, got {outside[0]}; number "
                "the classes so, or mend data.options.num_classes or label_key"
            )

    def damage_error(self, error: Exception) -> DataError:
        """The error to raise when reading ends in `error`."""
        return DataError(
            f"{self.title} must hold records as data.options describes them, got an "
            f"error: {reason(error)}; mend the files, or data.options"
        )

    def _features(self, *, with_input: bool) -> dict[str, Any]:
        found = {self.options.label_key: tf.io.FixedLenFeature((), tf.int64)}
        if with_input:
            is_list = self.options.encoding == "values"
            kind = tf.int64 if self.options.dtype == "uint8" else tf.float32
            found[self.options.image_key] = tf.io.FixedLenFeature(
                self.options.shape if is_list else (), kind if is_list else tf.string
            )
        return found

    def _input(self, stored: tf.Tensor) -> tf.Tensor:
        if self.options.encoding == "image":
            return self._image(stored)
        if self.options.encoding == "raw":
            dtype = tf.as_dtype(self.options.dtype)
            size = int(np.prod(self.options.shape)) * dtype.size
            rule = f"raw values of {self.title} must have {size} bytes, got"
            length = tf.strings.length(stored)
            tf.debugging.Assert(length == size, [rule, length])
            stored = tf.io.decode_raw(stored, dtype, fixed_length=size)
        if stored.dtype == tf.int64:
            rule = f"values of {self.title} must be 0 to 255, got"
            is_known = tf.reduce_all((stored >= 0) & (stored <= 255))
            tf.debugging.Assert(is_known, [rule, stored])
        values = tf.reshape(stored, self.form.shape)
        if values.dtype.is_floating:
            rule = f"values of {self.title} must be finite, got"
            others = tf.boolean_mask(values, ~tf.math.is_finite(values))
            tf.debugging.Assert(tf.size(others) == 0, [rule, others])
        return tf.cast(values, self.form.dtype)

    def _image(self, contents: tf.Tensor) -> tf.Tensor:
        image = self._colours(contents)
        height, width, channels = self.form.shape
        rule = f"images of {self.title} must have data.options.shape, or set "
        rule += "data.image_size; got the size"
        size = tf.shape(image)[:2]
        tf.debugging.Assert(tf.reduce_all(size == (height, width)), [rule, size])
        image.set_shape((height, width, 3))
        return to_grey(image) if channels == 1 else image

    def _colours(self, contents: tf.Tensor) -> tf.Tensor:
        if self.background is None:
            return pixels(contents)
        image = with_alpha_blended(
            contents, lambda: pixels(contents), channels=3, background=self.background
        )
        image.set_shape((None, None, 3))
        return image


def find(data: DataConfig) -> dict[str, list[str]]:
    """The files of each split, in the order of their names.

    Raises:
      DataError: there are none.
    """
    pattern = data.dataset.removeprefix(places.TFRECORD)
    try:
        paths = sorted(tf.io.gfile.glob(pattern.replace(places.SPLIT, "*")))
    except tf.errors.OpError as error:
        raise _none(data, pattern, reason(error)) from error
    known = re.escape(pattern).replace(re.escape(places.SPLIT), r"(?P<split>[\w-]+?)")
    known = known.replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    found: dict[str, list[str]] = {}
    for path in paths:
        match = re.fullmatch(known, path)
        is_named = match is not None and "split" in match.groupdict()
        split = match["split"] if match and is_named else "train"
        found.setdefault(split, []).append(path)
    if not found:
        raise _none(data, pattern, "no such file")
    return found


def count(
    paths: Sequence[str],
    form: TfrecordFormat,
    index_dir: epath.Path,
    *,
    may_write: bool,
) -> list[Counted]:
    """Reads each file once; those that have not been written since are known.

    Raises:
      DataError: a record cannot be used.
    """
    kept_in = index_dir / _COUNTED
    kept = _kept(kept_in)

    def of_file(path: str) -> Counted:
        known = kept.get(path)
        try:
            now = signature(path)
            if known and known.signature == tuple(now):
                return known
            return _count(path, tuple(now), form)
        except tf.errors.OpError as error:
            message = form.damage_error(error)
            raise DataError(f"{path}: {message}") from error

    counted = for_each(of_file, paths, title="counting records")
    told = dict(zip(paths, counted, strict=True))
    if may_write and kept | told != kept:
        plain = {name: dataclasses.asdict(x) for name, x in (kept | told).items()}
        files.write_json(kept_in, seal.add_checksum(plain))
    return counted


def record_files(
    paths: Sequence[str],
    counted: Sequence[Counted],
    format_of: TfrecordFormat,
    form: Form,
    num_classes: int,
) -> RecordFiles:
    """The files of a split as they are streamed."""
    described = dataclasses.replace(format_of, form=form, num_classes=num_classes)
    return RecordFiles.whole(
        paths,
        [sum(one.labels) for one in counted],
        described,
        num_bytes=sum(one.signature[0] for one in counted),
    )


def _count(path: str, now: tuple[int, ...], form: TfrecordFormat) -> Counted:
    digest, labels = hashlib.sha256(), [np.zeros(0, np.int64)]
    low, high = np.inf, -np.inf
    for records in tf.data.TFRecordDataset(path).batch(_BATCH):
        for record in records.numpy():
            digest.update(record)
        labels.append(form.decode_labels(records).numpy())
        form.check_labels(labels[-1])
    if form.form.dtype != np.uint8:
        inputs = tf.data.TFRecordDataset(path).map(lambda x: form.decode(x)["input"])
        for values in inputs.batch(_BATCH).as_numpy_iterator():
            low, high = min(low, values.min()), max(high, values.max())
    return Counted(
        signature=(now[0], now[1]),
        sha256=digest.hexdigest(),
        labels=tuple(np.bincount(np.concatenate(labels)).tolist()),
        low=float(low) if np.isfinite(low) else 0.0,
        high=float(high) if np.isfinite(high) else 0.0,
    )


def _kept(path: epath.Path) -> dict[str, Counted]:
    if not files.exists(path):
        return {}
    try:
        with files.wrap_read_errors(path):
            found = seal.parse(path.read_bytes())
        return {
            name: Counted(
                signature=(int(one["signature"][0]), int(one["signature"][1])),
                sha256=str(one["sha256"]),
                labels=tuple(map(int, one["labels"])),
                low=float(one["low"]),
                high=float(one["high"]),
            )
            for name, one in found.items()
        }
    except (ValueError, TypeError, KeyError, IndexError):
        return {}  # damaged: the files are counted again


def _none(data: DataConfig, pattern: str, got: str) -> DataError:
    return DataError(
        f"data.dataset {data.dataset!r} must match record files after 'tfrecord:', got "
        f"{got} for {pattern!r}; write for example "
        f"tfrecord:PATH/{places.SPLIT}-*.tfrecord"
    )
