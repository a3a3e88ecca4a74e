"""Checks a cache: its files are whole, and the teacher predicts a sample as before."""

from collections.abc import Iterator

import keras
import numpy as np
from etils import epath

from trainer import models, soft_targets
from trainer.config import ConfigError
from trainer.exit_codes import CheckFailedError
from trainer.session import Session
from trainer.session.networks import Networks
from trainer.session.transfer_sets import TransferSet
from trainer.soft_targets import Manifest, Shard, SoftTargetsError
from trainer.stages.soft_targets import caches
from trainer.stages.soft_targets.differences import (
    FLOAT32_TOLERANCE,
    MIXED_TOLERANCE,
    Differences,
    compare,
)
from trainer.stages.soft_targets.teacher_logits import TeacherLogits
from trainer.stages.soft_targets.verify_imported import verify_imported

_NUM_STRETCHES = 8  # of ids, or as many as there are views
_STRETCH = 128  # ids


def verify(session: Session, again: str = "") -> None:
    """Prints how each cache compares with its teacher.

    That of one that is elsewhere is compared with the answers that it gave `again`, in
    a folder or a file.

    Raises:
      CheckFailedError: a shard is damaged, or predictions differ.
      SoftTargetsError: a cache is not there, or not for this run, or nobody can be
        asked again.
      ConfigError: there are answers for a teacher that can be asked.
    """
    if session.config.distill.is_imported:
        verify_imported(session, again)
        return
    if again:
        raise ConfigError(
            f"soft-targets verify must come without {again!r} where the teacher can be "
            "asked itself, got distill.soft_targets = "
            f"{session.config.distill.soft_targets!r}; leave it out"
        )
    _verify(session)


def _verify(session: Session) -> None:
    failed = []
    # Once for all teachers, since a set reads its whole split.
    sets = caches.transfer_sets(session.config, session.datasets)
    for teacher, model in enumerate(session.networks.teachers):
        weights = models.fingerprint(model)
        for transfer in sets:
            folder = caches.folder(session.config, session.path, teacher, transfer)
            wanted = caches.manifest(
                session.networks, teacher, transfer, weights=weights
            )
            manifest = soft_targets.Cache(folder, wanted).manifest
            problem = soft_targets.damage(folder, manifest, views=manifest.views)
            if problem:
                print(f"{folder}: {problem}")
                failed.append(str(folder))
                continue
            found = differences(session.networks, teacher, model, transfer, manifest)
            print(f"{folder}: {manifest.num_records:,} records whole; {found.text}")
            if not found.are_small:
                failed.append(str(folder))
    if failed:
        raise CheckFailedError(
            f"the soft targets in {', '.join(failed)} are not what the teacher "
            "predicts; remove what is damaged, or the folder, and run `python -m "
            "trainer soft-targets build`"
        )


def differences(
    networks: Networks,
    teacher: int,
    model: keras.Model,
    transfer: TransferSet,
    manifest: Manifest,
) -> Differences:
    """Asks the teacher again about some stretches of ids.

    Raises:
      SoftTargetsError: a shard is damaged, or a prediction is no finite number.
    """
    pairs = [*_ask_again(networks, teacher, model, transfer, manifest)]
    if not pairs:
        raise SoftTargetsError(
            f"the split {transfer.split!r} must have images with predictions, got "
            "none that is still there; build anew in another distill.soft_targets_dir"
        )
    tolerance = _tolerance(networks, teacher, manifest)
    return compare(pairs, manifest, tolerance=tolerance)


def _ask_again(
    networks: Networks,
    teacher: int,
    model: keras.Model,
    transfer: TransferSet,
    manifest: Manifest,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Some stretches of records: those of the cache, and those of now."""
    folder = caches.folder(networks.config, networks.path, teacher, transfer)
    logits = TeacherLogits(networks, model, transfer, manifest)
    for place, view in _choose_stretches(manifest):
        kept = _read_stretch(folder, transfer, manifest, place, view)
        if not len(kept):
            continue
        first = manifest.shards[place].first
        count = int(kept["id"][-1]) + 1 - first
        stretch = Shard(first=first, num_ids=count, count=len(kept))
        yield kept, logits.records(stretch, [view], lambda count: None)[view]


def _read_stretch(
    folder: epath.Path,
    transfer: TransferSet,
    manifest: Manifest,
    place: int,
    view: int,
) -> np.ndarray:
    """The first records of a shard: of examples that are gone nothing can be asked."""
    records = soft_targets.read_shard(folder, manifest, view=view, number=place)
    return records[np.isin(records["id"], transfer.examples.ids)][:_STRETCH]


def _choose_stretches(manifest: Manifest) -> list[tuple[int, int]]:
    """Pairs of a shard and a view: each view, and shards from the first to the last."""
    count = max(_NUM_STRETCHES, manifest.views)
    shards = np.linspace(0, len(manifest.shards) - 1, count).astype(int)
    # Neighbours in the list of shards are of different views.
    pairs = [(int(shard), i % manifest.views) for i, shard in enumerate(shards)]
    return list(dict.fromkeys(pairs))


def _tolerance(networks: Networks, teacher: int, manifest: Manifest) -> float:
    """The tolerated error, relative to the largest logit."""
    role = list(networks.config.teachers)[teacher]
    both = {networks.precision(role), manifest.precision}
    return FLOAT32_TOLERANCE if both == {"float32"} else MIXED_TOLERANCE
