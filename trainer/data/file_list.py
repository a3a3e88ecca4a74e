"""The kept list of a split's files: what gives each file its id.

One JSON object a line, such as

    {"path": "train/cat/1.png", "bytes": 8123, "sha256": "9f86...", "class": "cat",
     "state": "example", "changed_nsec": 1760000000123456789, "background": "opaque",
     "height": 400, "width": 500}

but on one line. Line i, counted from 0, is the file of id i for as long as the list is
kept: lines may be appended and their states change, but none is taken away or moved.
The checksum is SHA-256, which no two different files share by chance or by intent, and
which costs less than decoding them. The first line has one of the whole list besides.
An image of which only the header and the end were looked at is "verified": "ends".
"""

import hashlib
import io
import itertools
import json
from collections.abc import Sequence
from typing import IO, Any

from etils import epath

from trainer.data.examples import DataError
from trainer.data.listed_files import ListedFile, ListedFiles
from trainer.storage import files, json_text, seal

_PARSED = 10_000  # lines at a time
_PARTS = 32  # of as many lines, before they become one
_ENDS = "ends"

# Of a line that is none.
_ERRORS = (ValueError, KeyError, TypeError, AttributeError, OverflowError)


def list_path(folder: epath.Path, split: str) -> epath.Path:
    """The file of the list of a whole split, in the folder of all lists."""
    return folder / f"{split}.jsonl"


def write(path: epath.Path, lines: ListedFiles) -> None:
    """Replaces the list at `path`."""
    digest = hashlib.sha256()
    with files.atomic_path(path) as temporary, open(temporary, "wb") as file:
        first = ""
        for line in lines:
            text = _text(line)
            if first:
                digest.update(b"\n")
                file.write(text.encode() + b"\n")
            else:
                first = text
                # Of the length that it has in the end.
                sealed = seal.add_list_checksum(text, digest.hexdigest())
                file.write(sealed.encode() + b"\n")
            digest.update(text.encode())
        if first:
            file.seek(0)
            sealed = seal.add_list_checksum(first, digest.hexdigest())
            file.write(sealed.encode())


def read(path: epath.Path) -> ListedFiles:
    """The list at `path`, in the order of the ids.

    Raises:
      DataError: it is not such a list, or it was cut or changed.
    """
    found: list[ListedFiles] = []
    count, digest, known, first = 0, hashlib.sha256(), None, ""
    with files.wrap_read_errors(path), _open(path) as file:
        # Lines as the file has them: to Python's text more characters end a line.
        while texts := list(itertools.islice(file, _PARSED)):
            found.append(_parse(texts, path, count))
            if not count:
                first = texts[0].decode().removesuffix("\n")
                unsealed, known = seal.take_off_list_checksum(first)
                texts[0] = texts[0].replace(first.encode(), unsealed.encode())
            # Each line break belongs to the line after it.
            joined = b"".join(texts).removesuffix(b"\n")
            digest.update(b"\n" + joined if count else joined)
            count += len(texts)
            if len(found) == _PARTS:  # of which the memory is used again
                found = [ListedFiles.concatenate(found)]
        if not count:
            _parse([b""], path, 0)
    if known is not None:
        unsealed, _ = seal.take_off_list_checksum(first)
        if seal.add_list_checksum(unsealed, digest.hexdigest()) != first:
            raise DataError(
                f"{path} must be the list that was written there, got {count} lines "
                "of another checksum: it was cut or damaged; put it back, or choose "
                "another --workdir, which lists the folder anew"
            )
    return ListedFiles.concatenate(found)


def _open(path: epath.Path) -> IO[bytes]:
    if files.is_remote(path):
        return io.BytesIO(path.read_bytes())  # line by line would ask for each
    return files.open_for_reading(path)


def _parse(texts: Sequence[bytes], path: epath.Path, before: int) -> ListedFiles:
    """The lines of some texts, before which there are others."""
    try:
        fields = json_text.parse(b"[" + b",".join(texts) + b"]")
        if len(fields) != len(texts):
            raise ValueError(f"{len(fields)} objects in {len(texts)} lines")
        return _columns(fields)
    except _ERRORS:
        found = []
        for number, text in enumerate(texts, before + 1):
            try:
                found.append(_columns([json_text.parse(text)]))
            except _ERRORS as error:
                raise DataError(
                    f"{path}, line {number}, must be a file of the dataset, got "
                    f"something else ({error!r}); put it back, or choose another "
                    "--workdir, which lists the folder anew"
                ) from error
        return ListedFiles.concatenate(found)


def _columns(fields: Sequence[dict[str, Any]]) -> ListedFiles:
    return ListedFiles.of_columns(
        path=[x["path"] for x in fields],
        num_bytes=[x["bytes"] for x in fields],
        sha256=[x["sha256"] for x in fields],
        class_name=[x["class"] for x in fields],
        state=[x["state"] for x in fields],
        changed_nsec=[x.get("changed_nsec") for x in fields],
        background=[x.get("background", "") for x in fields],
        height=[x.get("height", 0) for x in fields],
        width=[x.get("width", 0) for x in fields],
        is_decoded=[x.get("verified") != _ENDS for x in fields],
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
    if not line.is_decoded:
        fields["verified"] = _ENDS
    return json.dumps(fields, ensure_ascii=False)
