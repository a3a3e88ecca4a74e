"""Kept lists of files that outlive a run: taken over, and continued.

An id is a line of the list, so that lists are only ever appended to.
"""

import dataclasses
import os
from collections.abc import Collection

from etils import epath

from trainer.config import DataConfig
from trainer.data import file_list, splits, transparency
from trainer.data.begun import KEPT
from trainer.data.damage import check_damaged
from trainer.data.examples import DataError
from trainer.data.file_list import EXAMPLE, GONE, OVERWRITTEN, ListedFile
from trainer.data.layout import in_one_form, layout_of
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


def _check_same(data: DataConfig, path: epath.Path, lines: list[ListedFile]) -> None:
    """Refuses a list of which hardly any file is there; some may have gone."""
    # What is known to be gone says nothing of the others.
    examples = [line for line in lines if line.state == EXAMPLE]
    layout = layout_of(data)
    images = layout.images.get(path.stem, {})
    there = [line for line in examples if line.path in images]
    if len(there) < len(examples) / 2:
        raise DataError(
            f"{path} must list the files of {data.setting} {data.dataset!r}, got a "
            f"list of which {len(there)} of {len(examples)} are there; these are soft "
            "targets of another dataset: choose another distill.soft_targets_dir"
        )
    others = [
        line.path
        for line in file_list.compare(data.path, there)
        if line.state == OVERWRITTEN
    ]
    if others:
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
    states = {
        x.path: x.state for x in file_list.read(file_list.list_path(source, name))
    }
    path = file_list.list_path(copies, name)
    for line in file_list.read(path):
        state = states.get(line.path, GONE)
        if line.state == EXAMPLE and state != EXAMPLE:
            raise DataError(
                f"{os.path.join(part.path, line.path)} must be as {path} lists it, "
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
    lines = _read(part, path) if files.exists(path) else []
    # A disk that is not mounted has no images, and would take all of them with it.
    is_begun = any(line.state == EXAMPLE for line in lines)
    layout = layout_of(part, may_be_empty=not is_begun)
    found = layout.images.get(name, {})
    known = {line.path for line in lines}
    came = {file: found[file] for file in paths if file in found and file not in known}
    new = file_list.new_list(
        part.path, came, split=name, background=part.background_name, may_go=True
    )
    now = file_list.compare(part.path, [_as_found(line, found) for line in lines])
    continued = _continue(path, lines, [*now, *new])
    return [x for x in continued if x.path in paths or x.state == OVERWRITTEN]


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
    found = images.get(name, {})
    lines = _read(data, path)
    known = {line.path for line in lines}
    came = {file: kind for file, kind in found.items() if file not in known}
    if data.is_labeled:
        _check_classes(data, {line.class_name for line in lines}, set(came.values()))
    new = file_list.new_list(
        data.path, came, split=name, background=data.background_name
    )
    check_damaged(data, {name: new})
    now = [_as_found(line, found) for line in lines]
    continued = _continue(path, lines, [*now, *new])
    num_gone = sum(a != b for a, b in zip(lines, continued, strict=False))
    return f"{data.dataset}: {len(new)} files have come, {num_gone} are gone"


def _read(data: DataConfig, path: epath.Path) -> list[ListedFile]:
    """The list at `path`, whose images lie on data.background."""
    kept, paths = {path.stem: file_list.read(path)}, {path.stem: path}
    return transparency.settle(data, data.path, kept, paths, may_write=True)[path.stem]


def _continue(
    path: epath.Path, lines: list[ListedFile], continued: list[ListedFile]
) -> list[ListedFile]:
    """Writes what the list at `path`, of `lines`, is `continued` to; returns that."""
    if continued != lines:
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


def _as_found(line: ListedFile, found: Collection[str]) -> ListedFile:
    if line.state == EXAMPLE and line.path not in found:
        return dataclasses.replace(line, state=GONE)
    return line
