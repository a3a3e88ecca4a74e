"""Growing caches by the images that came to their folders since."""

import dataclasses

from etils import epath

from trainer import console, data, soft_targets
from trainer.session import Session
from trainer.session.transfer_sets import TransferSet
from trainer.soft_targets import Manifest, SoftTargetsError
from trainer.stages.soft_targets import caches
from trainer.stages.soft_targets.build import begin, fill
from trainer.storage.workdir import FINISHED


def extend(session: Session) -> None:
    """Lists the new files of folders, and lets the teachers predict them alone.

    Files that are gone keep their ids and are no examples any more. A run that has
    begun keeps its own lists; one in another workdir begins with these.

    Raises:
      SoftTargetsError: there is no cache of this run, another process builds it, or a
        teacher's prediction is no finite number.
      DataError: no images are in a folder, or a new one is damaged.
      StorageError: the disk is full; what was there before is intact.
    """
    if session.config.distill.is_imported:
        raise SoftTargetsError(
            "soft-targets extend must have a teacher to ask about new images, got "
            "distill.soft_targets = 'imported'; have it answer them, and import all "
            "answers in another --workdir"
        )
    # Before the lists grow, since their caches cannot without teachers.
    for role, section in session.config.teachers.items():
        path = session.networks.folder(role, section.seed) / FINISHED
        session.networks.check_left(path, stage="teacher")
    index_dir = caches.index_dir(session.config, session.path)
    if session.devices.workers.is_chief:
        # Two that append at a time would give an id to two files.
        with soft_targets.alone(index_dir):
            for line in data.extend_lists(session.config.data, index_dir):
                console.log(line)
    session.devices.workers.barrier()
    predict_new(session)


def predict_new(session: Session) -> None:
    """Lets the teachers predict what the lists of the caches have and these have not.

    Caches that are not there are begun.

    Raises:
      SoftTargetsError: a cache is not of this run, another process builds it, or a
        teacher's prediction is no finite number.
      StorageError: the disk is full; what was there before is intact.
    """
    index_dir = caches.index_dir(session.config, session.path)
    fill(dataclasses.replace(session, index_dir=index_dir).networks, _continue)


def _continue(folder: epath.Path, transfer: TransferSet, wanted: Manifest) -> None:
    """Adds the shards of new ids to the manifest, or begins it."""
    found = soft_targets.read(folder)
    if found is None:
        begin(folder, transfer, wanted)
        return
    caches.check_begun(folder, found, transfer, wanted)
    grown = _without_gone(folder, transfer, found)
    if wanted.num_ids > found.num_ids:
        grown = dataclasses.replace(
            grown,
            dataset=wanted.dataset,
            growth=(*found.growth, *wanted.growth),
            shards=(*grown.shards, *transfer.shards(first=found.num_ids)),
        )
    if grown != found:
        soft_targets.write(folder, grown)


def _without_gone(
    folder: epath.Path, transfer: TransferSet, found: Manifest
) -> Manifest:
    """Plans shards again of which nothing is predicted: images may be gone since."""
    missing = soft_targets.missing(folder, found)
    shards = list(found.shards)
    for place, views in missing.items():
        if len(views) == found.views:
            shards[place] = transfer.recount(shards[place])
    return dataclasses.replace(found, shards=tuple(shards))
