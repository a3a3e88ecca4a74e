"""The kept list of a split's files: what gives each file its id.

One JSON object a line, such as

    {"path": "train/cat/1.png", "bytes": 8123, "sha256": "9f86...", "class": "cat",
     "state": "example", "height": 400, "width": 500, "background": "opaque",
     "changed_nsec": 1760000000123456789}

but on one line. Line i, counted from 0, is the file of id i for as long as the list is
kept: lines may be appended and their states change, but none is taken away or moved.
The checksum is SHA-256, which no two different files share by chance or by intent, and
which costs less than decoding them. The first line has one of the whole list besides.
"""

import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from etils import epath

from trainer.data.decode import decode_with_alpha, reason
from trainer.data.examples import DataError
from trainer.data.image_size import UNKNOWN, Size
from trainer.data.readers import for_each
from trainer.data.signature import signature
from trainer.storage import files, json_text, seal

# The states of a file that can be trained on, of one that was there once, of one that
# has another content than the one that was listed and predicted, and of one that cannot
# be decoded and says why.
EXAMPLE = "example"
GONE = "gone"
OVERWRITTEN = "overwritten with another content since it was listed"
_DAMAGED = "damaged: "

# Stands for the background of an image that has no transparent pixels.
OPAQUE = "opaque"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ListedFile:
    """A line of the list."""

    path: str  # relative to the dataset's folder, with / between its parts
    num_bytes: int
    sha256: str
    class_name: str  # "" in a folder without classes
    state: str  # EXAMPLE, or what keeps it from being one
    # The time of its last change, by the clock of its disk or store; None in a list of
    # an earlier version.
    changed_nsec: int | None = None
    # OPAQUE, or what its transparent pixels lie on, as data.background_name has it;
    # "" in a list of an earlier version, where it is not known whether it has any.
    background: str
    # In pixels, as decoded; 0 in a list of an earlier version, and of a damaged file.
    height: int = 0
    width: int = 0

    @property
    def is_damaged(self) -> bool:
        """Whether it is no image that can be decoded."""
        return self.state.startswith(_DAMAGED)


def list_path(folder: epath.Path, split: str) -> epath.Path:
    """The file of the list of a whole split, in the folder of all lists."""
    return folder / f"{split}.jsonl"


def new_list(
    root: str,
    classes: Mapping[str, str],
    *,
    split: str,
    background: str,
    may_go: bool = False,
) -> list[ListedFile]:
    """Reads every file of {path: class name} once, and lists them in their order.

    That order has nothing to do with names, folders or ages, so that any stretch of it
    is a fair sample; two files are in the same order whatever files are beside them.
    Transparent pixels lie on the `background`. Files that `may_go` may be gone by now.

    Raises:
      DataError: a file cannot be read. A damaged image is listed as such.
    """

    def listed(path: str) -> ListedFile | None:
        whole = os.path.join(root, path)
        try:
            changed_nsec, contents = _time_and_contents(whole)
        except DataError as error:
            if may_go and is_gone(error):
                return None
            raise
        seen = look_at(contents, background)
        height, width = seen.size
        return ListedFile(
            path=path,
            num_bytes=len(contents),
            sha256=hashlib.sha256(contents).hexdigest(),
            class_name=classes[path],
            state=seen.state,
            background=seen.background,
            changed_nsec=changed_nsec,
            height=height,
            width=width,
        )

    paths = sorted(classes, key=lambda path: hashlib.sha256(path.encode()).digest())
    lines = for_each(listed, paths, title=f"listing {split}")
    return [line for line in lines if line]


def check_unchanged(
    root: str, lines: Sequence[ListedFile], *, kept_in: epath.Path
) -> list[ListedFile]:
    """Compares the examples of a list with the files there are.

    Those that were written since, as copies are, are read.

    Returns:
      The lines with the times that the files have by now.

    Raises:
      DataError: one is gone, or has another size or content.
    """

    def as_it_is(line: ListedFile) -> ListedFile:
        if line.state != EXAMPLE:
            return line
        path = os.path.join(root, line.path)
        try:
            num_bytes, changed_nsec = signature(path)
        except tf.errors.OpError as error:
            raise _changes(path, reason(error), kept_in) from error
        if num_bytes != line.num_bytes:
            now = f"it has {num_bytes} bytes and had {line.num_bytes}"
            raise _changes(path, now, kept_in)
        if line.changed_nsec in (None, changed_nsec):
            return line
        if hashlib.sha256(contents_of(path)).hexdigest() != line.sha256:
            raise _changes(path, "it was written since, with another content", kept_in)
        return dataclasses.replace(line, changed_nsec=changed_nsec)

    return for_each(as_it_is, lines, title=f"comparing {kept_in.stem}")


def compare(root: str, lines: Sequence[ListedFile]) -> list[ListedFile]:
    """Reads the examples of a list; its lines with the states that they have by now.

    Raises:
      DataError: one is there and cannot be read.
    """

    def as_it_is(line: ListedFile) -> ListedFile:
        if line.state != EXAMPLE:
            return line
        try:
            contents = contents_of(os.path.join(root, line.path))
        except DataError as error:
            if is_gone(error):
                return dataclasses.replace(line, state=GONE)
            raise
        if hashlib.sha256(contents).hexdigest() != line.sha256:
            return dataclasses.replace(line, state=OVERWRITTEN)
        return line

    return for_each(as_it_is, lines, title="comparing contents")


def write(path: epath.Path, lines: Sequence[ListedFile]) -> None:
    """Replaces the list at `path`."""
    texts = seal.add_checksum_to_lines([_text(line) for line in lines])
    files.write_text(path, "".join(f"{text}\n" for text in texts))


def read(path: epath.Path) -> list[ListedFile]:
    """The list at `path`, in the order of the ids.

    Raises:
      DataError: it is not such a list, or it was cut or changed.
    """
    listed: list[ListedFile] = []
    with files.wrap_read_errors(path):
        text = path.read_bytes().decode(errors="replace")
    # Not splitlines, to which more characters end a line than JSON escapes.
    texts = text.removesuffix("\n").split("\n")
    for line in texts:
        try:
            listed.append(_parse_line(json_text.parse(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}, line {len(listed) + 1}, must be a file of the dataset, got "
                f"something else ({error!r}); choose another --workdir, which lists "
                "the folder anew"
            ) from error
    if not seal.are_whole(texts):
        raise DataError(
            f"{path} must be the list that was written there, got {len(texts)} lines "
            "of another checksum: it was cut or damaged; put it back, or choose "
            "another --workdir, which lists the folder anew"
        )
    return listed


def contents_of(path: str, num_bytes: int = -1) -> bytes:
    """The first bytes of a file, or all."""
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            contents: bytes = file.read(num_bytes)
    except tf.errors.OpError as error:
        raise _unreadable(path, error) from error
    return contents


def _time_and_contents(path: str) -> tuple[int, bytes]:
    try:
        # First the time, so that what is written meanwhile is seen later.
        _, changed_nsec = signature(path)
    except tf.errors.OpError as error:
        raise _unreadable(path, error) from error
    return changed_nsec, contents_of(path)


def _unreadable(path: str, error: tf.errors.OpError) -> DataError:
    return DataError(
        f"{path} must be a file that can be read, got an error: {reason(error)}; "
        "mend it or remove it from the folder"
    )


def is_gone(unread: DataError) -> bool:
    """Whether a file could not be read because it is not there."""
    return isinstance(unread.__cause__, tf.errors.NotFoundError)


class Seen(NamedTuple):
    """A file as it is found when it is decoded."""

    state: str
    background: str
    size: Size


def look_at(contents: bytes, background: str) -> Seen:
    """Decodes a file whose transparent pixels lie on the `background`."""
    try:
        image, is_transparent = decode_with_alpha(contents)
    except tf.errors.InvalidArgumentError as error:
        return Seen(_DAMAGED + reason(error), OPAQUE, UNKNOWN)
    height, width, _ = image.shape
    return Seen(EXAMPLE, background if is_transparent else OPAQUE, (height, width))


def _changes(path: str, now: str, kept_in: epath.Path) -> DataError:
    return DataError(
        f"{path} must be as {kept_in} lists it, got another: {now}; put it back, or "
        "start anew in another --workdir, because this run has begun with the old one; "
        "of a list from shared soft targets `python -m trainer soft-targets extend` "
        "takes out what is gone"
    )


def _text(line: ListedFile) -> str:
    fields: dict[str, Any] = {
        "path": line.path,
        "bytes": line.num_bytes,
        "sha256": line.sha256,
        "class": line.class_name,
        "state": line.state,
    }
    if line.changed_nsec is not None:
        fields["changed_nsec"] = line.changed_nsec
    if line.background:
        fields["background"] = line.background
    if line.height:
        fields |= {"height": line.height, "width": line.width}
    return json.dumps(fields, ensure_ascii=False)


def _parse_line(fields: dict[str, Any]) -> ListedFile:
    return ListedFile(
        path=str(fields["path"]),
        num_bytes=int(fields["bytes"]),
        sha256=str(fields["sha256"]),
        # One string for all lines that share it: there may be a million.
        class_name=sys.intern(fields["class"]),
        state=sys.intern(fields["state"]),
        changed_nsec=int(fields["changed_nsec"]) if "changed_nsec" in fields else None,
        background=sys.intern(fields.get("background", "")),
        height=int(fields.get("height", 0)),
        width=int(fields.get("width", 0)),
    )
