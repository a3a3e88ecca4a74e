"""The lists of a folder's splits: those that are kept, and those made now."""

from collections.abc import Mapping, Sized

from etils import epath

from trainer.config import DataConfig
from trainer.data import (
    file_list,
    image_list,
    list_check,
    listing,
    splits,
    transparency,
)
from trainer.data.listed_files import ListedFiles
from trainer.storage import lists


def kept_and_new(
    data: DataConfig,
    found: Mapping[str, Mapping[str, str]],
    index_dir: epath.Path,
    may_write: bool,
) -> tuple[dict[str, ListedFiles], dict[str, ListedFiles]]:
    """The lists of the splits in use: those there are, and those made now.

    Raises:
      DataError: a file cannot be read, or is no longer as it was listed.
    """
    names = splits.used_splits(data, found)
    paths = {name: file_list.list_path(index_dir, name) for name in names}
    kept = {name: file_list.read(p) for name, p in paths.items() if p.exists()}
    # Before files are read, which may take hours.
    splits.check(data, whole({name: kept.get(name, found[name]) for name in names}))
    for name, lines in kept.items():
        if data.kind == "list":
            image_list.check_kept(data, found[name], lines)
        now = list_check.check_unchanged(data.path, lines, kept_in=paths[name])
        if data.verify == "decode":
            now = list_check.decode_rest(data, now, kept_in=paths[name])
        if now is not lines and may_write:
            file_list.write(paths[name], now)
        kept[name] = now
    kept = transparency.settle(data, data.path, kept, paths, may_write=may_write)
    new = {
        name: listing.new_list(
            data,
            found[name],
            split=name,
            kept_in=lists.partial_path(index_dir, name) if may_write else None,
        )
        for name in names
        if name not in kept
    }
    return kept, new


def whole(listed: Mapping[str, Sized]) -> splits.Whole:
    """The whole splits, and how many lines each has."""
    return splits.whole({name: len(lines) for name, lines in listed.items()})
