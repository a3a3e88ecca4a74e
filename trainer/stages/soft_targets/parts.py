"""Caches that independent processes build side by side, each a part of the shards.

They need no cluster and share nothing but the caches' folder, as tasks of a job array
do. A shard has the same bytes, whoever makes it.
"""

import math
import re
import time

from trainer import console, soft_targets
from trainer.config import ConfigError
from trainer.session import Session
from trainer.session.qualification import qualify
from trainer.stages.soft_targets.build import (
    IncompleteCache,
    begin,
    incomplete_caches,
    is_whole,
    write_missing,
)

_LOOK_AGAIN_SECS = 2
_TELL_SECS = 60


def build_part(session: Session, part: str = "1/1") -> None:
    """Writes the missing shards of `part`, such as "2/8" of eight processes.

    Raises:
      ConfigError: there is no such part, or nothing is cached.
      SoftTargetsError: a cache there is not of this run, another process builds it
        whole, or a teacher's prediction is no finite number.
      StorageError: the disk is full; the shards before are intact.
    """
    number, count = _parse(part)
    _check_cached(session, f"--part={part}")
    for cache in incomplete_caches(session.networks):
        qualify(session.networks)
        with soft_targets.beside_others(cache.folder):
            with soft_targets.deciding(cache.folder):
                begin(cache.folder, cache.transfer, cache.wanted)
                soft_targets.forget_missing(cache.folder)
            write_missing(session.networks, cache, rank=number - 1, count=count)
            with soft_targets.deciding(cache.folder):
                soft_targets.keep(cache.folder)
        _tell_rest(cache)


def wait(session: Session) -> None:
    """Waits until other processes have built all caches of the run.

    Raises:
      ConfigError: nothing is cached.
      SoftTargetsError: a cache there is not of this run.
    """
    _check_cached(session, "--wait")
    networks, told_at = session.networks, -math.inf
    for cache in incomplete_caches(networks):
        while not is_whole(networks, cache):
            is_due = time.monotonic() - told_at > _TELL_SECS
            if is_due and networks.devices.workers.is_chief:
                _tell_rest(cache)
                told_at = time.monotonic()
            time.sleep(_LOOK_AGAIN_SECS)


def _parse(part: str) -> tuple[int, int]:
    """The number of a part, from 1, and how many there are."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", part)
    number, count = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        raise ConfigError(
            "--part must be a number from 1 on and how many parts there are, such as "
            f"2/8, got {part!r}; give each process a number of its own"
        )
    return number, count


def _check_cached(session: Session, flag: str) -> None:
    distill = session.config.distill
    if not distill.is_cached or distill.is_imported:
        raise ConfigError(
            f"{flag} needs a cache that a teacher makes, got distill.soft_targets = "
            f"{distill.soft_targets!r}; set distill.soft_targets = 'cached'"
        )


def _tell_rest(cache: IncompleteCache) -> None:
    """Tells how many files the other processes have still to write."""
    manifest = soft_targets.read(cache.folder)
    if manifest is None:
        console.log(f"{cache.folder}: waits for the processes that begin it")
        return
    views = soft_targets.missing(cache.folder, manifest).values()
    rest, total = sum(map(len, views)), manifest.num_files
    console.log(f"{cache.folder}: {total - rest:,} of {total:,} shards are there")
