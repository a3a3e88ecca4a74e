"""Importing the answers of a teacher that is elsewhere, from files to caches."""

import contextlib
import dataclasses
import itertools
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np
from etils import epath

from trainer import console, data, soft_targets
from trainer.config import Config, ConfigError
from trainer.devices import memory
from trainer.session import Session, imported
from trainer.session.qualification import (
    IMPORTED,
    accuracy_warning,
    measure_classes,
)
from trainer.soft_targets import Shard, SoftTargetsError, answer_files
from trainer.stages.soft_targets import caches
from trainer.stages.soft_targets.answered_parts import AnsweredPart, answered_parts
from trainer.stages.soft_targets.collecting import Collected, Collector
from trainer.storage import files, folders, seal, workdir

_FEW = 8  # stretches of ids, more than there are shards

# What is not known of a teacher without answers on a part.
_ABSENT = {
    "validation": "students are not compared with their teacher as they learn, and it "
    "is judged by what they learn from",
    "test": "the results have no row of the teacher, and no agreement with it",
}


def import_answers(session: Session, tell: Callable[[str], None] = console.log) -> None:
    """Checks the files of answers, and makes caches of them; what is there stays.

    It will `tell` of them in lines.

    Raises:
      ConfigError: the config asks for no such answers, or the teacher is not as good as
        its min_accuracy asks for.
      SoftTargetsError, DataError: a file cannot be used, or is another one than was
        imported.
      StorageError: the disk is full.
    """
    _check_asked(session)
    workers, folder = session.devices.workers, _folder(session)
    root = caches.root(session.config, session.path)
    names = workers.broadcast(lambda: _left_to_import(folder, root))
    if names:
        # Reading examples is for all workers.
        parts = answered_parts(session, names)
        if workers.is_chief:
            with soft_targets.alone(root):
                _import(session, parts, folder, root, tell)
        # Others read what the chief has written.
        workers.barrier()


def plan_import(session: Session) -> None:
    """Prints what `import_answers` would tell and write; writes nothing."""
    _check_asked(session)
    folder = _folder(session)
    parts = answered_parts(session, answer_files.find(folder))
    with _collected(session, parts, folder) as (every, class_map_text):
        for line in _told(session.config, every, class_map_text):
            print(line)
        for each in every.values():
            count = int(each.is_held.sum()) * each.manifest.views
            record = each.manifest.format.record.itemsize + soft_targets.FRAMING_BYTES
            place = caches.root(session.config, session.path) / each.part.transfer.name
            print(f"{place}: {count:,} records, {memory.text(count * record)}")


def _check_asked(session: Session) -> None:
    if not session.config.distill.is_imported:
        raise ConfigError(
            "distill.soft_targets must be 'imported' for answers from files, got "
            f"{session.config.distill.soft_targets!r}; set it, and "
            "distill.soft_targets_dir"
        )


def _folder(session: Session) -> epath.Path:
    name = session.config.distill.soft_targets_dir
    return files.path_of(name, setting="distill.soft_targets_dir")


def _check_unchanged(folder: epath.Path, root: epath.Path) -> None:
    """Refuses files of answers, where they are there, that are not those imported."""
    path = root / workdir.IMPORTED
    try:
        known = dict(seal.parse(path.read_bytes())["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise SoftTargetsError(
            f"{path} must tell of imported answers, got something else ({error!r}); "
            f"remove {root} and import them again"
        ) from error
    if folder == root or not files.exists(folder):
        return
    there = {file.name: file for file in files.list_folder(folder)}
    changed = sorted(
        name
        for name, checksum in known.items()
        if name in there and folders.checksum(there[name]) != checksum
    )
    added = sorted(there.keys() - known.keys()) if there.keys() & known.keys() else []
    added = [name for name in added if answer_files.part_of(name)]
    if changed or added:
        what = (
            f"{(changed or added)[0]}, which {'changed' if changed else 'came'} since"
        )
        raise SoftTargetsError(
            f"{folder} must hold the answers that {root} was imported from, got "
            f"{what}; put it back, take another --workdir, or, where nothing has "
            f"learned from them, remove {root}"
        )


def _left_to_import(folder: epath.Path, root: epath.Path) -> list[str]:
    """The parts that `folder` has answers on; none where all are imported."""
    if files.exists(root / workdir.IMPORTED):
        _check_unchanged(folder, root)
        every = {part: soft_targets.read(root / part) for part in answer_files.PARTS}
        if not any(
            soft_targets.missing(root / part, manifest)
            for part, manifest in every.items()
            if manifest
        ):
            return []
    return list(answer_files.find(folder))


def _import(
    session: Session,
    parts: Mapping[str, AnsweredPart],
    folder: epath.Path,
    root: epath.Path,
    tell: Callable[[str], None],
) -> None:
    with _collected(session, parts, folder) as (every, class_map_text):
        for line in _told(session.config, every, class_map_text):
            tell(line)
        _clear(root, every)
        for part, each in every.items():
            _write(root / part, each)
        checksums = {k: v for each in every.values() for k, v in each.checksums.items()}
    # Ids are lines of these: a run that shares the caches needs the same.
    kept = caches.index_dir(session.config, session.path)
    data.take_over(session.config.data, session.index_dir, kept, are_own=True)
    # Last: it says that all is there.
    files.write_json(root / workdir.IMPORTED, seal.add_checksum({"files": checksums}))


@contextlib.contextmanager
def _collected(
    session: Session, parts: Mapping[str, AnsweredPart], folder: epath.Path
) -> Iterator[tuple[dict[str, Collected], str]]:
    """Yields the answers of each part, in files that are gone after the body."""
    found = answer_files.find(folder)
    with tempfile.TemporaryDirectory(prefix="alambic-") as scratch:
        collector = Collector(session.config, session.datasets, epath.Path(scratch))
        every = {
            name: collector.collect(part, found[name]) for name, part in parts.items()
        }
        class_map = collector.class_map
        yield every, f"distill.class_map: {class_map.text}" if class_map else ""


def _told(
    config: Config, every: Mapping[str, Collected], class_map_text: str
) -> Iterator[str]:
    """Lines on the answers, and the teacher's accuracy; refuses one that guesses."""
    judged = "validation" if "validation" in every else "train"
    if class_map_text:
        yield class_map_text
    for part, each in every.items():
        labeled, line = each.part.labeled, f"{part}: {each.text}"
        if labeled is None:
            yield line
            continue
        predicted = each.predicted[labeled.ids]
        found = measure_classes(IMPORTED, predicted, labeled.labels)
        yield f"{line}; right on {100 * found.accuracy:.2f} % of the labels"
        if part == judged and (warning := accuracy_warning(found, config.distill)):
            yield warning
    for part, what in _ABSENT.items():
        if part not in every:
            yield f"{part}: no answers, so {what}"


def _clear(root: epath.Path, every: Collection[str]) -> None:
    """Removes what an import that was killed has left; refuses another's caches."""
    for part in answer_files.PARTS:
        found = soft_targets.read(root / part)
        if found and found.teacher.get("model") != imported.MODEL:
            raise SoftTargetsError(
                f"{root / part} must be free for imported answers, got the soft "
                f"targets of a teacher {found.teacher.get('model')!r}; remove it, or "
                "take another --workdir"
            )
        if found and part not in every:
            with files.wrap_write_errors(root / part):
                (root / part).rmtree()


def _write(folder: epath.Path, each: Collected) -> None:
    planned = dataclasses.replace(each.manifest, shards=_shards(each.is_held))
    manifest = soft_targets.mark(planned)
    soft_targets.write(folder, manifest)
    for number, shard in enumerate(manifest.shards):
        rows = shard.first + np.flatnonzero(each.is_held[shard.first : shard.last])
        for view in range(manifest.views):
            records = np.array(each.records[view, rows])
            records["id"] += manifest.tag(view)
            path = soft_targets.shard_path(folder, view, number)
            soft_targets.write_shard(path, records)
    soft_targets.keep(folder)


def _shards(is_held: np.ndarray) -> tuple[Shard, ...]:
    """The shards of the ids, bool [R] of which have a record.

    Where these are some stretches, each shard has records of all of its ids or of none,
    as those need that are streamed.
    """
    plain = soft_targets.shards_of(is_held.tolist())
    bounds = [0, *(np.flatnonzero(np.diff(is_held)) + 1).tolist(), len(is_held)]
    if len(bounds) > 2 * len(plain) + _FEW:
        return plain
    shards: list[Shard] = []
    for first, last in itertools.pairwise(bounds):
        count = last - first
        if is_held[first]:
            shards += soft_targets.shards_of([True] * count, first=first)
        else:
            shards.append(Shard(first=first, num_ids=count, count=0))
    return tuple(shards)
