"""Checks imported answers: their files are whole, and are as given a second time."""

import itertools
import tempfile
from collections.abc import Iterator

import numpy as np
from etils import epath

from trainer import soft_targets
from trainer.config import places
from trainer.exit_codes import CheckFailedError
from trainer.session import Session
from trainer.session.imported import Imported
from trainer.soft_targets import Cache, SoftTargetsError, answer_files
from trainer.stages.soft_targets.answered_parts import AnsweredPart, answered_parts
from trainer.stages.soft_targets.collecting import Collected, Collector
from trainer.stages.soft_targets.differences import (
    FLOAT32_TOLERANCE,
    Differences,
    compare,
)
from trainer.storage import files


def verify_imported(session: Session, again: str) -> None:
    """Prints how the answers compare with those in the folder or file `again`.

    Raises:
      CheckFailedError: a shard is damaged, or answers differ.
      SoftTargetsError: nothing is imported, or there is nobody to ask `again`.
    """
    imported = session.networks.imported
    if imported is None:
        raise ValueError("a teacher that is here")
    second = _second(again) if again else {}
    failed = []
    with tempfile.TemporaryDirectory(prefix="alambic-") as scratch:
        collector = Collector(session.config, session.datasets, epath.Path(scratch))
        for name, part in _parts(session, imported).items():
            cache = imported.open(part.transfer)
            problem = cache.damage()
            if not problem and name in second:
                collected = collector.collect(part, second[name], is_whole=False)
                found = _differences(cache, collected)
                print(f"{cache.folder}: {_whole(cache)}; {found.text}")
                problem = "" if found.are_small else "other answers"
            else:
                print(f"{cache.folder}: {problem or _whole(cache)}")
            failed += [str(cache.folder)] if problem else []
    if failed:
        raise CheckFailedError(
            f"the soft targets in {', '.join(failed)} are not what the teacher "
            f"answers; remove {imported.root} and import them again, in another "
            "--workdir where students have learned from them"
        )
    if not again:
        raise SoftTargetsError(
            "the answers were imported, so that there is nobody to ask again; have the "
            "teacher answer once more, and name the folder or the file: `python -m "
            "trainer soft-targets verify DIR`"
        )


def _second(again: str) -> dict[str, list[epath.Path]]:
    """The files of each part in what a user names; one file is of "train"."""
    path = files.path_of(again, setting="soft-targets verify DIR")
    if not files.exists(path):
        raise SoftTargetsError(
            f"soft-targets verify must name a folder of answers, or a file of them, "
            f"got {again!r}: no such file; {places.path_hint(again)}"
        )
    if files.is_folder(path):
        return answer_files.find(path)
    return {answer_files.part_of(path.name) or "train": [path]}


def _parts(session: Session, imported: Imported) -> dict[str, AnsweredPart]:
    """The parts that are imported."""
    _ = imported.manifest  # which tells where none is
    there = [
        part
        for part in answer_files.PARTS
        if soft_targets.read(imported.root / part) is not None
    ]
    return answered_parts(session, there)


def _whole(cache: Cache) -> str:
    return f"{cache.manifest.num_records:,} records whole"


def _differences(cache: Cache, second: Collected) -> Differences:
    """Compares the answers on the examples that both have."""
    pairs = _pairs(cache, second)
    first = next(pairs, None)
    if first is None:
        raise SoftTargetsError(
            f"{', '.join(second.checksums)} must hold answers that were imported, got "
            "others alone; name what the teacher wrote again"
        )
    every = itertools.chain([first], pairs)
    return compare(every, cache.manifest, tolerance=FLOAT32_TOLERANCE)


def _pairs(cache: Cache, second: Collected) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    manifest = cache.manifest
    for view in range(manifest.views):
        for number in range(len(manifest.shards)):
            kept = soft_targets.read_shard(
                cache.folder, manifest, view=view, number=number
            )
            kept = kept[second.is_held[kept["id"]]]
            if len(kept):
                yield kept, np.array(second.records[view, kept["id"]])
