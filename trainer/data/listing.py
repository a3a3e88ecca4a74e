"""The first listing of files, each of which is read once."""

import hashlib
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from etils import epath

from trainer import console
from trainer.config import DataConfig
from trainer.data import file_list, looks
from trainer.data.examples import DataError
from trainer.data.file_bytes import bytes_of, is_gone, unreadable
from trainer.data.listed_files import OPAQUE, ListedFile, ListedFiles
from trainer.data.readers import as_they_come, in_blocks
from trainer.data.signature import Signature, signature
from trainer.progress import is_terminal
from trainer.storage import files

_DECODED_BYTES = 2**30  # of a split; of more the ends are looked at
_KEPT_EVERY_SECS = 20.0  # what is listed
_TOLD_EVERY_SECS = 60.0  # how far it is, where there is no bar

_Found = dict[str, Signature]  # by path


def new_list(
    data: DataConfig,
    classes: Mapping[str, str],
    *,
    split: str,
    kept_in: epath.Path | None = None,
    may_go: bool = False,
) -> ListedFiles:
    """Reads every file of {path: class name} once, and lists them in their order.

    That order has nothing to do with names, folders or ages, so that any stretch of it
    is a fair sample; two files are in the same order whatever files are beside them.
    Files that `may_go` may be gone by now. What is listed is kept in the folder
    `kept_in` now and then, from where a listing that was killed goes on.

    Raises:
      DataError: a file cannot be read. A damaged image is listed as such.
    """
    found = _signatures(data.path, list(classes), split=split, may_go=may_go)
    num_bytes = sum(each.num_bytes for each in found.values())
    look = looks.decoded if _are_decoded(data, split, num_bytes) else looks.at_ends
    before = _listed_before(data, classes, found, look, kept_in)
    known = set(before.paths)
    rest = sorted((path for path in found if path not in known), key=_place)

    def listed(path: str) -> ListedFile | None:
        try:
            return _line(data, path, classes[path], found[path], look)
        except DataError as error:
            if may_go and is_gone(error):
                return None
            raise

    sizes = np.array([found[path].num_bytes for path in rest], np.int64)
    title = f"listing {split}"
    lines = as_they_come(listed, rest, title=title, num_bytes=sizes)
    parts = _collect(_tell_progress(lines, sizes, title), kept_in)
    whole = ListedFiles.concatenate([before, *parts])
    return _in_order(whole) if len(before) else whole


def _place(path: str) -> bytes:
    return hashlib.sha256(path.encode()).digest()


def _in_order(lines: ListedFiles) -> ListedFiles:
    places = list(map(_place, lines.paths))
    return lines.take(np.array(sorted(range(len(places)), key=places.__getitem__)))


def _signatures(root: str, paths: Sequence[str], *, split: str, may_go: bool) -> _Found:
    """The signatures of files, read before their contents.

    So that what is written meanwhile is seen later.
    """

    def found(rows: np.ndarray) -> _Found:
        return {paths[row]: of for row in rows if (of := of_file(paths[row]))}

    def of_file(path: str) -> Signature | None:
        whole = os.path.join(root, path)
        try:
            return signature(whole)
        except tf.errors.OpError as error:
            if may_go and isinstance(error, tf.errors.NotFoundError):
                return None
            raise unreadable(whole, error) from error

    blocks = in_blocks(found, np.arange(len(paths)), title=f"finding {split}")
    return dict(itertools.chain.from_iterable(block.items() for block in blocks))


def _are_decoded(data: DataConfig, split: str, num_bytes: int) -> bool:
    if data.verify != "auto":
        return data.verify == "decode"
    if num_bytes > _DECODED_BYTES:
        console.log(
            f"{split} of {data.dataset!r} has {num_bytes / 1e9:.1f} GB of files, which "
            "are read and hashed, and of which headers and ends are looked at in place "
            'of decoding all (data.verify = "decode" does)'
        )
    return num_bytes <= _DECODED_BYTES


def _line(
    data: DataConfig,
    path: str,
    class_name: str,
    now: Signature,
    look: Callable[[bytes, str], looks.Look],
) -> ListedFile:
    contents = bytes_of(os.path.join(data.path, path))
    seen = look(contents, data.background_name)
    height, width = seen.size
    return ListedFile(
        path=path,
        num_bytes=len(contents),
        sha256=hashlib.sha256(contents).hexdigest(),
        class_name=class_name,
        state=seen.state,
        background=seen.background,
        changed_nsec=now.changed_nsec,
        height=height,
        width=width,
        is_decoded=seen.is_decoded,
    )


def _listed_before(
    data: DataConfig,
    classes: Mapping[str, str],
    found: _Found,
    look: Callable[[bytes, str], looks.Look],
    kept_in: epath.Path | None,
) -> ListedFiles:
    """The lines of a listing that was killed, of files that are as they were."""
    kept = sorted(files.list_folder(kept_in)) if kept_in else []
    lines = ListedFiles.concatenate([file_list.read(path) for path in kept])
    are_known = lines.backgrounds.where({OPAQUE, data.background_name}.__contains__)
    if look is looks.decoded:
        are_known &= lines.are_decoded
    columns = (lines.paths, lines.classes, lines.num_bytes, lines.changed_nsec)
    for row, (path, name, *before) in enumerate(zip(*columns, strict=True)):
        is_same = found.get(path) == tuple(before) and classes.get(path) == name
        are_known[row] &= is_same
    return lines.take(are_known)


def _collect(
    lines: Iterator[ListedFile | None], kept_in: epath.Path | None
) -> list[ListedFiles]:
    """The lines, in parts that are kept as soon as they are there."""
    parts: list[ListedFiles] = []
    pending: list[ListedFile] = []
    begun = len(files.list_folder(kept_in)) if kept_in else 0
    since = time.monotonic()

    def end_part() -> None:
        parts.append(ListedFiles.of(pending))
        if kept_in and pending:
            name = f"{begun + len(parts):06}.jsonl"
            file_list.write(kept_in / name, parts[-1])
        pending.clear()

    for line in lines:
        pending += [line] if line else []
        if time.monotonic() - since >= _KEPT_EVERY_SECS:
            end_part()
            since = time.monotonic()
    if parts:  # else it took no time that is worth a file
        end_part()
    return [*parts, ListedFiles.of(pending)]


def _tell_progress(
    lines: Iterator[ListedFile | None], sizes: np.ndarray, title: str
) -> Iterator[ListedFile | None]:
    """Passes lines on, and tells how far they are where nobody sees a bar."""
    begun = told = time.monotonic()
    for count, line in enumerate(lines, 1):
        yield line
        now = time.monotonic()
        is_due = now - told > _TOLD_EVERY_SECS or count == len(sizes)
        if is_due and now - begun > _TOLD_EVERY_SECS and not is_terminal():
            told, done = now, float(sizes[:count].sum()) / 1e9
            console.log(
                f"{title}: {count:,} of {len(sizes):,} files, {done:.1f} of "
                f"{sizes.sum() / 1e9:.1f} GB, {done / (now - begun):.2f} GB/s"
            )
