"""Kept lists of files that outlive a run: taken over, and continued.

An id is a line of the list, so that lists are only ever appended to.
"""

import os
from collections.abc import Collection

import numpy as np
from etils import epath

from trainer.config import DataConfig
from trainer.data import file_list, list_check, splits, transparency
from trainer.data.begun import KEPT
from trainer.data.damage import check_damaged
from trainer.data.examples import DataError
from trainer.data.layout import in_one_form, layout_of
from trainer.data.listed_files import (
    EXAMPLE,
    GONE,
    OVERWRITTEN,
    ListedFile,
    ListedFiles,
)
from trainer.data.listing import new_list
from trainer.data.streaming import STREAMED
from trainer.data.unlabeled import parts
from trainer.storage import files


def take_over(
    data: DataConfig, kept: epath.Path, index_dir: epath.Path, *, are_own: bool
) -> None:
    """Copies the lists in the folder `kept` to `index_dir`, where they are not.

    Those that are not this run's own are compared with the files, which are all read.

    Raises:
      DataError: they list the files of another dataset, or a file has changed.
      StorageError: they cannot be read or written.
    """
    for name in (KEPT, STREAMED) if are_own else ():
        begun = kept / name
        if files.exists(begun) and not files.exists(index_dir / name):
            files.write_text(index_dir / name, begun.read_text(encoding="utf-8"))
    folders = zip(parts(data, kept), parts(data, index_dir), strict=True)
    for (part, source), (_, copies) in folders:
        with files.wrap_read_errors(source):
            found = [
                path for path in files.list_folder(source) if path.suffix == ".jsonl"
            ]
        for path in found:
            if not files.exists(copies / path.name):
                lines = file_list.read(path)
                if not are_own:
                    _check_same(part, path, lines)
                file_list.write(copies / path.name, lines)


def _check_same(data: DataConfig, path: epath.Path, lines: ListedFiles) -> None:
    """Refuses a list of which hardly any file is there; some may have gone."""
    # What is known to be gone says nothing of the others.
    examples = lines.take(lines.are_examples)
    images = set(layout_of(data).images.get(path.stem, ()))
    there = examples.take(_are_in(images, examples))
    if len(there) < len(examples) / 2:
        raise DataError(
            f"{path} must list the files of {data.setting} {data.dataset!r}, got a "
            f"list of which {len(there)} of {len(examples)} are there; these are soft "
            "targets of another dataset: choose another distill.soft_targets_dir"
        )
    now = list_check.compare(data.path, there)
    others = there.paths.take(now.states.equals(OVERWRITTEN))
    if len(others):
        raise DataError(
            f"{path} must list the files of {data.setting} {data.dataset!r}, got a "
            f"list in which {others[0]} has another content ({len(others)} such "
            "files); put them back, or choose another distill.soft_targets_dir"
        )


def check_taken_over(data: DataConfig, kept: epath.Path, index_dir: epath.Path) -> None:
    """Compares a list of data.unlabeled that was taken over with what it is by now.

    Raises:
      DataError: an example of the one in `index_dir` is none any more by that in the
        folder `kept`.
    """
    (part, source), (_, copies) = parts(data, kept)[-1], parts(data, index_dir)[-1]
    name = part.splits[part.learned_from]
    before = file_list.read(file_list.list_path(source, name))
    states = dict(zip(before.paths, before.states, strict=True))
    path = file_list.list_path(copies, name)
    lines = file_list.read(path)
    for example in lines.paths.take(lines.are_examples):
        state = states.get(example, GONE)
        if state != EXAMPLE:
            raise DataError(
                f"{os.path.join(part.path, example)} must be as {path} lists it, "
                f"with which its student has begun, got one that is {state}"
            )


def extend_lists(data: DataConfig, index_dir: epath.Path) -> list[str]:
    """Continues the lists of what students see by the files that came since.

    Those that are gone keep their line and their id. Says what came and went.

    Raises:
      DataError: no folder is among the datasets, or it has no list yet, or new images
        are of other classes, or damaged unless data.skip_corrupt.
    """
    folders = [(part, kept) for part, kept in parts(data, index_dir) if part.is_folder]
    if not folders:
        raise DataError(
            "data.dataset or data.unlabeled.dataset must be a 'folder:PATH' to grow, "
            f"got {data.dataset!r}; other sets stay as they are"
        )
    return [_grow(part, kept) for part, kept in folders]


def admit_files(
    data: DataConfig, index_dir: epath.Path, paths: Collection[str]
) -> list[ListedFile]:
    """Continues the list of data.unlabeled by the files `paths`, or begins it.

    Others that came are left to later. New files that are gone are left out. Known ones
    that are gone or overwritten are no examples any more: all are read.

    Returns:
      The lines of the list that are of `paths`, and of all files overwritten so far.

    Raises:
      DataError: a file is there and cannot be read, or no image is there although the
        list has some.
      StorageError: the list cannot be read or written.
    """
    part, kept = parts(data, index_dir)[-1]
    name = part.splits[part.learned_from]
    path = file_list.list_path(kept, name)
    lines = _read(part, path) if files.exists(path) else ListedFiles.of(())
    # A disk that is not mounted has no images, and would take all of them with it.
    layout = layout_of(part, may_be_empty=not lines.are_examples.any())
    found = dict(layout.images.get(name, {}))
    known = set(lines.paths)
    came = {file: found[file] for file in paths if file in found and file not in known}
    new = new_list(part, came, split=name, may_go=True)
    now = list_check.compare(part.path, _as_found(lines, found))
    continued = _continue(path, lines, now, new)
    are_asked = _are_in(set(paths), continued) | continued.states.equals(OVERWRITTEN)
    return list(continued.take(are_asked))


def _grow(data: DataConfig, index_dir: epath.Path) -> str:
    images = layout_of(data).images
    setting = data.learned_from
    name = splits.named_splits(data, images, setting)[0]
    path = file_list.list_path(index_dir, name)
    if not files.exists(path):
        raise DataError(
            f"{path} must list the files of {setting} that have soft targets, got no "
            "such file; run `python -m trainer soft-targets build` first"
        )
    found = dict(images.get(name, {}))
    lines = _read(data, path)
    known = set(lines.paths)
    came = {file: kind for file, kind in found.items() if file not in known}
    if data.is_labeled:
        _check_classes(data, lines.classes.used, set(came.values()))
    new = new_list(data, came, split=name)
    check_damaged(data, {name: new})
    now = _as_found(lines, found)
    _continue(path, lines, now, new)
    num_gone = int((lines.are_examples & ~now.are_examples).sum())
    return f"{data.dataset}: {len(new)} files have come, {num_gone} are gone"


def _read(data: DataConfig, path: epath.Path) -> ListedFiles:
    """The list at `path`, whose images lie on data.background."""
    kept, paths = {path.stem: file_list.read(path)}, {path.stem: path}
    return transparency.settle(data, data.path, kept, paths, may_write=True)[path.stem]


def _continue(
    path: epath.Path, lines: ListedFiles, now: ListedFiles, new: ListedFiles
) -> ListedFiles:
    """Writes what becomes of the list at `path`, of `lines`; returns that."""
    continued = ListedFiles.concatenate([now, new])
    if len(new) or list(now.states) != list(lines.states):
        file_list.write(path, continued)
    return continued


def _check_classes(data: DataConfig, known: set[str], came: set[str]) -> None:
    new = sorted(came - set(map(in_one_form, known)))
    if new:
        raise DataError(
            f"new files of {data.dataset!r} must be of its classes, got "
            f"{', '.join(new)}, which the teacher does not know; remove them, or "
            "build the soft targets of another teacher in another "
            "distill.soft_targets_dir"
        )


def _as_found(lines: ListedFiles, found: Collection[str]) -> ListedFiles:
    gone = np.flatnonzero(lines.are_examples & ~_are_in(found, lines))
    return lines.with_states(gone, [GONE] * len(gone))


def _are_in(paths: Collection[str], lines: ListedFiles) -> np.ndarray:
    """The lines that are of some paths: bool [M]."""
    return np.fromiter((path in paths for path in lines.paths), bool, len(lines))
