"""Kept lists compared with the files that there are."""

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from etils import epath

from trainer.config import DataConfig
from trainer.data import looks
from trainer.data.damage import such_files, without_kinds
from trainer.data.decode import reason
from trainer.data.examples import DataError
from trainer.data.file_bytes import bytes_of, in_folder, is_gone
from trainer.data.listed_files import GONE, OVERWRITTEN, ListedFiles
from trainer.data.readers import for_each, in_blocks
from trainer.data.signature import signature


def check_unchanged(
    root: str, lines: ListedFiles, *, kept_in: epath.Path
) -> ListedFiles:
    """Compares the examples of a list with the files there are.

    Those that were written since, as copies are, are read.

    Returns:
      The lines with the times that the files have by now; the same if all have them.

    Raises:
      DataError: one is gone, or has another size or content.
    """
    rows = np.flatnonzero(lines.are_examples)
    times = _times(root, lines, rows, kept_in)
    changed = lines.have_times[rows] & (times != lines.changed_nsec[rows])
    if not changed.any():
        return lines
    rows, times = rows[changed], times[changed]
    for row, digest in zip(rows, _digests(root, lines, rows, kept_in), strict=True):
        if digest != lines.sha256[row].tobytes():
            path = os.path.join(root, lines.paths[row])
            raise _changes(path, "it was written since, with another content", kept_in)
    now = lines.changed_nsec.copy()
    now[rows] = times
    return dataclasses.replace(lines, changed_nsec=now)


def decode_rest(
    data: DataConfig, lines: ListedFiles, *, kept_in: epath.Path
) -> ListedFiles:
    """Decodes the examples that only the header and the end of were looked at.

    Returns:
      The lines, which say that all were decoded; the same if there was none.

    Raises:
      DataError: one cannot be decoded.
    """
    rows = np.flatnonzero(lines.are_examples & ~lines.are_decoded)
    if not len(rows):
        return lines

    def state_of(path: str) -> str:
        contents = bytes_of(os.path.join(data.path, path))
        return looks.decoded(contents, data.background_name).state

    states = for_each(
        state_of, lines.paths.take(rows), title=f"decoding {kept_in.stem}"
    )
    decoded = lines.with_states(rows, states)
    if decoded.are_damaged[rows].any():
        count = int(decoded.are_damaged[rows].sum())
        first = int(rows[decoded.are_damaged[rows]][0])
        raise DataError(
            f"{os.path.join(data.path, lines.paths[first])} must be an image that can "
            f"be decoded, got {without_kinds(decoded.states[first])} "
            f"({such_files(count)}), which "
            f"{kept_in} has as examples because only headers and ends were looked at; "
            "start anew in another --workdir with data.verify = 'decode', and mend "
            "them or set data.skip_corrupt = true to leave them out"
        )
    return dataclasses.replace(lines, are_decoded=np.ones(len(lines), bool))


def compare(root: str, lines: ListedFiles) -> ListedFiles:
    """Reads the examples of a list; its lines with the states that they have by now.

    Raises:
      DataError: one is there and cannot be read.
    """
    rows = np.flatnonzero(lines.are_examples)

    def state_of(row: int) -> str:
        try:
            contents = bytes_of(os.path.join(root, lines.paths[row]))
        except DataError as error:
            if is_gone(error):
                return GONE
            raise
        is_same = hashlib.sha256(contents).digest() == lines.sha256[row].tobytes()
        return lines.states[row] if is_same else OVERWRITTEN

    states = for_each(state_of, rows, title="comparing contents")
    return lines.with_states(rows, states)


def _times(
    root: str, lines: ListedFiles, rows: np.ndarray, kept_in: epath.Path
) -> np.ndarray:
    """The times of files, whose sizes are those of the list: int64 [M]."""

    def times_of(block: np.ndarray) -> list[int]:
        chosen = lines.take(block)
        found = []
        for path, before in zip(chosen.paths, chosen.num_bytes.tolist(), strict=True):
            whole = in_folder(root, path)
            try:
                num_bytes, changed_nsec = signature(whole)
            except tf.errors.OpError as error:
                raise _changes(whole, reason(error), kept_in) from error
            if num_bytes != before:
                now = f"it has {num_bytes} bytes and had {before}"
                raise _changes(whole, now, kept_in)
            found.append(changed_nsec)
        return found

    found = in_blocks(times_of, rows, title=f"comparing {kept_in.stem}")
    return np.fromiter(itertools.chain.from_iterable(found), np.int64, len(rows))


def _digests(
    root: str, lines: ListedFiles, rows: np.ndarray, kept_in: epath.Path
) -> Iterable[bytes]:
    def digest(path: str) -> bytes:
        return hashlib.sha256(bytes_of(os.path.join(root, path))).digest()

    chosen = lines.paths.take(rows)
    return for_each(digest, chosen, title=f"comparing contents of {kept_in.stem}")


def _changes(path: str, now: str, kept_in: epath.Path) -> DataError:
    return DataError(
        f"{path} must be as {kept_in} lists it, got another: {now}; put it back, or "
        "start anew in another --workdir, because this run has begun with the old one; "
        "of a list from shared soft targets `python -m trainer soft-targets extend` "
        "takes out what is gone"
    )
