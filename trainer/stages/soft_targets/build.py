"""The soft-targets stage: the teachers predict every view of every example, once.

Workers share the shards and need nothing of each other meanwhile. A shard is computed
from its first example in batches of one size, so that its bytes depend neither on who
makes it nor on how many do.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator

from etils import epath

from trainer import console, data, models, soft_targets
from trainer.session import Session
from trainer.session.networks import Networks
from trainer.session.qualification import qualify
from trainer.session.transfer_sets import TransferSet
from trainer.soft_targets import Manifest, SoftTargetsError
from trainer.stages.planned_work import cache_title
from trainer.stages.soft_targets import caches
from trainer.stages.soft_targets.importing import import_answers
from trainer.stages.soft_targets.teacher_logits import TeacherLogits
from trainer.storage import files

_TELL_SECS = 30  # between two lines where there is no terminal for a bar

# What the chief makes of the manifest that a folder has, and of the one it needs.
Claim = Callable[[epath.Path, TransferSet, Manifest], None]


def build(session: Session) -> None:
    """Writes the shards that are not there yet, of all teachers and transfer sets.

    Of a teacher that is elsewhere they are imported.

    Raises:
      SoftTargetsError: a cache there is not of this run, another process builds it, or
        a teacher's prediction is no finite number.
      StorageError: the disk is full; the shards before are intact.
    """
    if session.config.distill.is_imported:
        import_answers(session)
        return
    fill(session.networks, begin)
    if session.devices.workers.is_chief:
        # Ids are lines of these: a run that shares the caches needs the same.
        kept = caches.index_dir(session.config, session.path)
        data.take_over(session.config.data, session.index_dir, kept, are_own=True)
        _tell_complete(session.networks)


def _tell_complete(networks: Networks) -> None:
    for transfer in caches.transfer_sets(networks.config, networks.datasets):
        for teacher in range(networks.config.num_teachers):
            folder = caches.folder(networks.config, networks.path, teacher, transfer)
            manifest = _read_begun(folder)
            views = f" ({manifest.views:,} views)" if manifest.views > 1 else ""
            networks.devices.workers.log_once(
                f"{folder}: complete, {manifest.num_records:,} predictions of split "
                f"{manifest.dataset['split']!r}{views}"
            )


def fill(networks: Networks, claim: Claim) -> None:
    """Lets the chief `claim` each cache, and all workers write what it misses.

    One that misses nothing is not locked: any number of runs may share it, and it may
    be where they cannot write.
    """
    for cache in incomplete_caches(networks):
        qualify(networks)
        _fill(networks, claim, cache)


@dataclasses.dataclass(frozen=True, kw_only=True)
class IncompleteCache:
    """A cache of a teacher's predictions that misses some."""

    teacher: int  # its number
    transfer: TransferSet
    folder: epath.Path
    wanted: Manifest  # without shards


def incomplete_caches(networks: Networks) -> Iterator[IncompleteCache]:
    """Finds the caches of the run that miss something; all workers find the same.

    Raises:
      SoftTargetsError: a cache that is there is not of this run.
    """
    fingerprints = [models.fingerprint(model) for model in networks.teachers]
    for transfer in caches.transfer_sets(networks.config, networks.datasets):
        for teacher, weights in enumerate(fingerprints):
            cache = IncompleteCache(
                teacher=teacher,
                transfer=transfer,
                folder=caches.folder(networks.config, networks.path, teacher, transfer),
                wanted=caches.manifest(networks, teacher, transfer, weights=weights),
            )
            if not is_whole(networks, cache):
                yield cache


def is_whole(networks: Networks, cache: IncompleteCache) -> bool:
    """Whether it misses nothing by now; all workers find the same.

    Raises:
      SoftTargetsError: what is there is not of this run.
    """
    found: bool = networks.devices.workers.broadcast(lambda: _is_whole(cache))
    return found


def _is_whole(cache: IncompleteCache) -> bool:
    folder, wanted = cache.folder, cache.wanted
    found = soft_targets.read(folder)
    if found is None:
        return False
    caches.check_begun(folder, found, cache.transfer, wanted)
    if found.num_ids < wanted.num_ids or found.views < wanted.views:
        return False
    needed = dataclasses.replace(found.until(wanted.num_ids), views=wanted.views)
    if found.mark and not soft_targets.are_known(needed):
        return False  # whoever wrote the last of it was killed before it said so
    return not soft_targets.missing(folder, needed)


def _fill(networks: Networks, claim: Claim, cache: IncompleteCache) -> None:
    workers, folder = networks.devices.workers, cache.folder
    with contextlib.ExitStack() as stack:
        if workers.is_chief:
            stack.enter_context(soft_targets.alone(folder))
            claim(folder, cache.transfer, cache.wanted)
            soft_targets.forget_missing(folder)
        # Others read what the chief has written.
        workers.barrier()
        write_missing(networks, cache, rank=workers.rank, count=workers.count)
        workers.barrier()
        if workers.is_chief:
            soft_targets.keep(folder)
        workers.barrier()


def begin(folder: epath.Path, transfer: TransferSet, wanted: Manifest) -> None:
    """Writes the manifest, or finds one of this run and lets it have more views."""
    found = soft_targets.read(folder)
    if found is None:
        _check_no_shards(folder)
        begun = dataclasses.replace(wanted, shards=transfer.shards())
        soft_targets.write(folder, soft_targets.mark(begun))
        return
    caches.check_begun(folder, found, transfer, wanted)
    soft_targets.check_ids(folder, found, wanted)
    if found.views < wanted.views:
        soft_targets.write(folder, dataclasses.replace(found, views=wanted.views))


def _check_no_shards(folder: epath.Path) -> None:
    """Refuses shards that no manifest tells the teacher of."""
    found = [path for path in files.walk(folder) if path.suffix == ".tfrecord"]
    if found:
        raise SoftTargetsError(
            f"{folder} must hold the manifest of its shards, got {len(found)} shards "
            "and none, so that they may be another teacher's; remove the folder and "
            "run `python -m trainer soft-targets build` again"
        )


def write_missing(
    networks: Networks, cache: IncompleteCache, *, rank: int, count: int
) -> None:
    """Writes the missing shards of the one with `rank` among `count` that share them.

    The manifest has to be there.

    Raises:
      SoftTargetsError: it is not, or a prediction is no finite number.
      StorageError: the disk is full.
    """
    folder, transfer = cache.folder, cache.transfer
    manifest = _read_begun(folder)
    # What came to the cache after the lists of this run is not for it to make.
    manifest = manifest.until(transfer.num_ids)
    missing = {
        shard: views
        for shard, views in soft_targets.missing(folder, manifest).items()
        if shard % count == rank
    }
    total = sum(manifest.shards[i].count * len(views) for i, views in missing.items())
    if not missing:
        return
    console.log(f"{folder}: {total:,} predictions of the teacher to be computed")
    teacher = networks.teachers[cache.teacher]
    logits = TeacherLogits(networks, teacher, transfer, manifest)
    title = cache_title(networks.config, cache.teacher, transfer.name)
    with networks.devices.progress.bar(title, total, unit="prediction") as progress:
        done, told_at = 0, time.monotonic()
        for shard, views in missing.items():
            records = logits.records(manifest.shards[shard], views, progress.update)
            for view, written in records.items():
                path = soft_targets.shard_path(folder, view, shard)
                soft_targets.write_shard(path, written)
                done += len(written)
            if not progress.is_shown and time.monotonic() - told_at > _TELL_SECS:
                console.log(f"{folder}: {done:,} of {total:,} predictions are kept")
                told_at = time.monotonic()


def _read_begun(folder: epath.Path) -> Manifest:
    manifest = soft_targets.read(folder)
    if manifest is None:
        raise SoftTargetsError(
            f"{folder} must be on a disk, or in a store, that all workers share, got "
            "no manifest there"
        )
    return manifest
