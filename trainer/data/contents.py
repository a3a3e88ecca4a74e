"""Summaries of a run's data, which may move but not change once it has begun."""

from collections.abc import Mapping

from etils import epath

from trainer.data import file_contents
from trainer.data.examples import DataError
from trainer.data.source import Source
from trainer.data.tables import TableSource
from trainer.data.tfds_source import TfdsSource
from trainer.storage import files, seal
from trainer.storage.workdir import CONTENTS, TABLES

_WRITTEN = "prepared.json"  # when the files of a prepared set were, that are compared


def hold_contents(source: Source, index_dir: epath.Path, *, may_write: bool) -> None:
    """Compares the data in use with what is kept of it in `index_dir`.

    What is new is kept too. Files of a prepared set that nobody has written since they
    were compared are not read again.

    Raises:
      DataError: a part has other contents than it had, or the file is damaged.
    """
    kept_in = index_dir / (TABLES if isinstance(source, TableSource) else CONTENTS)
    kept = _read(kept_in) if files.exists(kept_in) else {}
    written = _written(source)
    if written and _holds(kept, written, index_dir / _WRITTEN):
        return
    found = source.contents
    if not found:
        return
    for name, contents in found.items():
        if kept.get(name, contents) != contents:
            raise _changed(source, name, kept[name], contents, kept_in)
    if may_write and kept | dict(found) != kept:
        files.write_json(kept_in, seal.add_checksum(kept | dict(found)))
    if may_write and written:
        files.write_json(index_dir / _WRITTEN, seal.add_checksum(written))


def _written(source: Source) -> dict[str, str]:
    """The sizes and times of the files of a prepared set, by whole splits."""
    if not (isinstance(source, TfdsSource) and source.data.kind == "tfds"):
        return {}
    return {name: file_contents.written(paths) for name, paths in source.files.items()}


def _holds(
    kept: Mapping[str, str], written: Mapping[str, str], path: epath.Path
) -> bool:
    """Whether the files are as they were when what is kept of them was found."""
    if not (written.keys() <= kept.keys() and files.exists(path)):
        return False
    try:
        with files.wrap_read_errors(path):
            return seal.parse(path.read_bytes()) == written
    except ValueError:
        return False  # damaged: they are compared again


def _changed(
    source: Source, name: str, before: str, now: str, kept_in: epath.Path
) -> DataError:
    if isinstance(source, TableSource):
        return DataError(
            f"{source.tables[name].path} must hold the rows with which this run "
            f"began, whose SHA-256 is {before} in {kept_in}, got {now}; "
            "put them back, or start anew in another --workdir"
        )
    return DataError(
        f"{name} of {source.data.setting} {source.data.dataset!r} must hold the "
        f"examples with which this run began, in this order, {before} in {kept_in}, "
        f"got {now}; give the same, without shuffling, or start anew in another "
        "--workdir"
    )


def _read(path: epath.Path) -> dict[str, str]:
    try:
        with files.wrap_read_errors(path):
            kept = seal.parse(path.read_bytes())
        return {str(name): str(sha256) for name, sha256 in kept.items()}
    except (ValueError, AttributeError) as error:
        raise DataError(
            f"{path} must hold the SHA-256 of each part of the run's data, got "
            f"something else ({error}); remove it where the data are unchanged"
        ) from error
