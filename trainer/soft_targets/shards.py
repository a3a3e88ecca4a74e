"""The files of a cache: one for each shard and view, with checksums on every record."""

import errno
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from etils import epath

from trainer.data.decode import reason
from trainer.soft_targets.errors import SoftTargetsError
from trainer.soft_targets.manifest import FRAMING_BYTES, ID_BITS, Manifest, Shard
from trainer.storage import files, folders

READ_BUFFER_BYTES = 2**20  # of a file
_READ_BATCH = 2048  # records handed over at a time


def shard_path(folder: epath.Path, view: int, shard: int) -> epath.Path:
    """The file of the records of a shard's examples in one view."""
    return folder / f"view-{view:04d}" / f"shard-{shard:05d}.tfrecord"


def write_shard(path: epath.Path, records: np.ndarray) -> None:
    """Writes a shard whole, or not at all: records [M].

    Raises:
      StorageError: the disk is full, or the folder cannot be written.
    """
    with files.atomic_path(path) as temporary:
        try:
            with tf.io.TFRecordWriter(str(temporary)) as writer:
                for record in records:
                    writer.write(record.tobytes())
        except tf.errors.ResourceExhaustedError as error:
            raise OSError(errno.ENOSPC, "No space left on device") from error
        except tf.errors.OpError as error:
            raise OSError(errno.EIO, error.message) from error


def missing(folder: epath.Path, manifest: Manifest) -> dict[int, list[int]]:
    """The views that are not there in their full length, of each shard with such."""
    found = {
        shard: [
            view
            for view in range(manifest.views)
            if _problem(shard_path(folder, view, shard), manifest, shard)
        ]
        for shard in range(len(manifest.shards))
    }
    return {shard: views for shard, views in found.items() if views}


def check_there(folder: epath.Path, manifest: Manifest, *, views: int) -> None:
    """Looks for every shard of the first `views` views, and at its length.

    Raises:
      SoftTargetsError: one is missing or has another length.
    """
    for view in range(views):
        for shard in range(len(manifest.shards)):
            path = shard_path(folder, view, shard)
            problem = _problem(path, manifest, shard)
            if problem:
                raise _unusable(path, problem)


def read_shard(
    folder: epath.Path,
    manifest: Manifest,
    *,
    view: int,
    number: int,
    is_compared: bool = True,
) -> np.ndarray:
    """The records of a shard, in the order of their ids.

    The file is read once more where it `is_compared` with its checksum.

    Raises:
      SoftTargetsError: one is damaged or missing, or another example's, view's or
        cache's.
    """
    path, shard = shard_path(folder, view, number), manifest.shards[number]
    dataset = tf.data.TFRecordDataset(str(path), buffer_size=READ_BUFFER_BYTES)
    parts: list[bytes] = []
    try:
        for batch in dataset.batch(_READ_BATCH).as_numpy_iterator():
            parts += list(batch)
    except tf.errors.OpError as error:
        raise _unusable(path, reason(error)) from error
    record = manifest.format.record
    if len(parts) != shard.count or any(len(x) != record.itemsize for x in parts):
        raise _unusable(path, f"{len(parts)} of {shard.count} records are there")
    records = np.frombuffer(b"".join(parts), record).copy()
    ids = records["id"]
    tags = ids >> ID_BITS << ID_BITS
    ids &= 2**ID_BITS - 1
    if (np.diff(ids) <= 0).any() or (ids < shard.first).any() or _past(ids, shard):
        raise _unusable(path, "its records are those of other examples")
    if (tags != manifest.tag(view)).any():
        raise _unusable(path, f"its records are those of {_whose(tags, manifest)}")
    known = manifest.sha256(view, number) if is_compared else ""
    if known and folders.checksum(path) != known:
        raise _unusable(path, "its checksum is not the one in the manifest")
    return records


def damage(folder: epath.Path, manifest: Manifest, *, views: int) -> str:
    """Describes the first shard that cannot be read whole; "" where all can."""
    try:
        check_there(folder, manifest, views=views)
        for view in range(views):
            for number in range(len(manifest.shards)):
                read_shard(folder, manifest, view=view, number=number)
    except SoftTargetsError as error:
        return str(error)
    return ""


def _whose(tags: np.ndarray, manifest: Manifest) -> str:
    views = [i for i in range(manifest.views) if (tags == manifest.tag(i)).all()]
    return f"view {views[0]}" if views else "another view or cache"


def _past(ids: Iterable[int], shard: Shard) -> bool:
    return any(i >= shard.last for i in ids)


def _problem(path: epath.Path, manifest: Manifest, shard: int) -> str:
    """The reason why the file at `path` is no such shard; "" where it may be one."""
    if not files.exists(path):
        return "no such file"
    size = manifest.format.record.itemsize + FRAMING_BYTES
    expected, found = manifest.shards[shard].count * size, files.num_bytes(path)
    return "" if found == expected else f"{found} bytes instead of {expected}"


def _unusable(path: epath.Path, problem: str) -> SoftTargetsError:
    return SoftTargetsError(
        f"{path} must be a whole shard of soft targets, got a damaged or missing one: "
        f"{problem}; remove it where it is there and run `python -m trainer "
        "soft-targets build` again, which makes the missing shards alone"
    )
