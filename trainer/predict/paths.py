"""Files to predict: by their names, and all those of a kind in folders."""

import dataclasses
from collections.abc import Iterable, Iterator

from etils import epath

from trainer import data
from trainer.config import places
from trainer.predict.example_reader import Reader
from trainer.storage import files


@dataclasses.dataclass(frozen=True, kw_only=True)
class Skipped:
    """A file that is left out, and the reason."""

    path: str
    reason: str


def list_files(words: Iterable[str], reader: Reader) -> tuple[list[str], list[Skipped]]:
    """The files that `words` name, each once, and what cannot be looked into.

    They are in the order of the words. Those in a folder, and in all folders below it,
    are the reader's by their extension and in the order of their names; what is hidden
    does not count. A file is as it is named.

    Raises:
      StorageError: a word names a store that cannot be reached from here.
    """
    found: dict[str, None] = {}
    skipped: list[Skipped] = []
    for word in words:
        if not _is_text(word):
            skipped.append(Skipped(path=word, reason="its name is not UTF-8"))
            continue
        path = files.path_of(word, setting="what is to be predicted")
        if not files.is_folder(path):
            found[places.expand_home(word)] = None
            continue
        before = len(found)
        found |= dict.fromkeys(_walk(path, reader, skipped))
        if len(found) == before:
            extensions = ", ".join(reader.extensions)
            reason = f"it is a folder without {reader.unit}s ({extensions})"
            skipped.append(Skipped(path=word, reason=reason))
    return list(found), skipped


def _walk(folder: epath.Path, reader: Reader, skipped: list[Skipped]) -> Iterator[str]:
    try:
        names = sorted(path.name for path in files.list_folder(folder))
    except OSError as error:
        reason = error.strerror or str(error)
        skipped.append(Skipped(path=str(folder), reason=reason))
        return
    for name in filter(data.is_visible, names):
        path = folder / name
        # To ask a store what each of many files is would take hours.
        is_known = reader.is_one(name) and files.is_remote(folder)
        if not is_known and files.is_folder(path):
            yield from _walk(path, reader, skipped)
        elif not _is_text(name):
            skipped.append(Skipped(path=str(path), reason="its name is not UTF-8"))
        elif reader.is_one(name):
            yield str(path)


def _is_text(name: str) -> bool:
    """Whether TensorFlow, and a text file, can have the name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
