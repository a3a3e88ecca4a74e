"""The soft-targets stage: the teachers answer every view of every example, once.

Workers share the shards and need nothing of each other meanwhile. A shard is computed
from its first example in batches of one size, so that its bytes depend neither on who
makes it nor on how many do.
"""

import contextlib
import dataclasses
import fcntl
import sys
from collections.abc import Iterator

import keras
import tqdm
from etils import epath

from trainer import console, files, models, soft_targets
from trainer.soft_targets import Manifest, SoftTargetsError
from trainer.stages.session import Session
from trainer.stages.soft_targets import caches
from trainer.stages.soft_targets.answers import Answers
from trainer.stages.soft_targets.caches import TransferSet

_LOCK = "building"


def build(session: Session) -> None:
    """Writes the shards that are not there yet, of all teachers and transfer sets.

    Raises:
      SoftTargetsError: a cache there is not of this run, another process builds it, or
        a teacher's answer is no finite number.
      StorageError: the disk is full; the shards before are intact.
    """
    for transfer in caches.transfer_sets(session):
        for teacher in range(len(session.config.teachers)):
            _build(session, teacher, transfer)


def _build(session: Session, teacher: int, transfer: TransferSet) -> None:
    folder = caches.folder(session, teacher, transfer)
    wanted = caches.manifest(
        session,
        teacher,
        transfer,
        weights=models.fingerprint(session.teachers[teacher]),
        shards=transfer.shards(),
    )
    with contextlib.ExitStack() as stack:
        if session.workers.is_chief:
            stack.enter_context(_alone(folder))
            _claim(folder, wanted)
        # Others read what the chief has written.
        session.workers.meet()
        manifest = soft_targets.read(folder)
        if manifest is None:
            raise SoftTargetsError(
                f"{folder} must be on a disk, or in a store, that all workers share, "
                "got no manifest there"
            )
        _write_missing(session, session.teachers[teacher], transfer, folder, manifest)
        session.workers.meet()


@contextlib.contextmanager
def _alone(folder: epath.Path) -> Iterator[None]:
    """No other process builds in `folder` meanwhile; a store cannot tell.

    Raises:
      SoftTargetsError: another one does.
    """
    if files.is_remote(folder):
        yield
        return
    path = folder / _LOCK
    with files.explained(path):
        folder.mkdir(parents=True, exist_ok=True)
        file = open(path, "wb")  # noqa: SIM115
    with file:
        try:
            # It goes with the process, however that ends.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SoftTargetsError(
                f"{folder} must be built by one run at a time, got another process "
                "that builds it now; wait for it, or choose another "
                "distill.soft_targets_dir"
            ) from error
        yield


def _claim(folder: epath.Path, wanted: Manifest) -> None:
    """Writes the manifest, or finds one of this run and lets it have more views."""
    found = soft_targets.read(folder)
    if found is None:
        soft_targets.write(folder, wanted)
        return
    soft_targets.check(folder, found, wanted)
    if found.views < wanted.views:
        soft_targets.write(folder, dataclasses.replace(found, views=wanted.views))


def _write_missing(
    session: Session,
    teacher: keras.Model,
    transfer: TransferSet,
    folder: epath.Path,
    manifest: Manifest,
) -> None:
    """Writes the missing shards that are this worker's."""
    workers = session.workers
    missing = {
        shard: views
        for shard, views in soft_targets.missing(folder, manifest).items()
        if shard % workers.count == workers.rank
    }
    total = sum(manifest.shards[i].count * len(views) for i, views in missing.items())
    if not total:
        return
    console.say(f"{folder}: {total} answers of the teacher to be computed")
    answers = Answers(session, teacher, transfer, manifest)
    with tqdm.tqdm(
        desc=f"soft targets of {transfer.name}",
        total=total,
        unit="example",
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
    ) as progress:
        for shard, views in missing.items():
            records = answers.of_shard(manifest.shards[shard], views, progress.update)
            for view, written in records.items():
                path = soft_targets.shard_path(folder, view, shard)
                soft_targets.write_shard(path, written)
