"""The checksums of a cache's files, which its manifest keeps once they are written.

Whoever changes them has the cache alone.
"""

import concurrent.futures
import dataclasses
from collections.abc import Mapping

from etils import epath

from trainer.soft_targets import manifest as manifests
from trainer.soft_targets import shards
from trainer.soft_targets.manifest import Manifest
from trainer.storage import folders

_READERS = 8  # files at a time: hashing leaves Python's lock, and disks have queues

_Place = tuple[int, int]  # a shard, and a view of it


def are_known(manifest: Manifest) -> bool:
    """Whether the manifest has the checksum of each file."""
    return not _unverified_places(manifest)


def forget_missing(folder: epath.Path) -> None:
    """Takes out the checksums of files that are to be written again."""
    manifest = manifests.read(folder)
    if manifest:
        missing = shards.missing(folder, manifest)
        gone = {(shard, view): "" for shard in missing for view in missing[shard]}
        _write(folder, manifest, gone)


def keep(folder: epath.Path) -> None:
    """Reads each file that is there and has no checksum yet, and keeps that."""
    manifest = manifests.read(folder)
    if manifest is None:
        return
    missing = shards.missing(folder, manifest)
    places = [
        (shard, view)
        for shard, view in _unverified_places(manifest)
        if view not in missing.get(shard, ())
    ]
    paths = [shards.shard_path(folder, view, shard) for shard, view in places]
    with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
        found = dict(zip(places, pool.map(folders.checksum, paths), strict=True))
    _write(folder, manifest, found)


def _unverified_places(manifest: Manifest) -> list[_Place]:
    return [
        (shard, view)
        for shard in range(len(manifest.shards))
        for view in range(manifest.views)
        if not manifest.sha256(view, shard)
    ]


def _write(folder: epath.Path, manifest: Manifest, found: Mapping[_Place, str]) -> None:
    changed = list(manifest.shards)
    for number in {shard for shard, _ in found}:
        known = tuple(
            found.get((number, view), manifest.sha256(view, number))
            for view in range(manifest.views)
        )
        changed[number] = dataclasses.replace(changed[number], sha256=known)
    if tuple(changed) != manifest.shards:
        manifests.write(folder, dataclasses.replace(manifest, shards=tuple(changed)))
