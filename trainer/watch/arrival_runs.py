"""Watching, and the batches that come of it; importing this loads TensorFlow."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator

from etils import epath

from trainer import console, data, registry, report, soft_targets, stages
from trainer.cluster import restart_budget
from trainer.config import Config, WatchConfig
from trainer.runs import variant_session
from trainer.runs.variant import Variant
from trainer.session import Session
from trainer.soft_targets import SoftTargetsError
from trainer.stages import register
from trainer.stages.check import check
from trainer.stages.soft_targets import predict_new
from trainer.storage import files, workdir
from trainer.watch import arrivals
from trainer.watch.arrivals import Arrival
from trainer.watch.inbox import NewFiles


def run(session: Session, *, is_once: bool) -> None:
    """Finishes the batch that is open, and those that new images begin.

    `session` is that of the whole. It ends when it `is_once` and too few images are
    new, and goes on looking otherwise, also after a storage has not answered.

    Raises:
      ConfigError, DataError: the teacher or a batch cannot be trained.
      BudgetSpentError: too many starts of a batch in a row were for nothing.
    """
    config, path = session.config, session.path
    if config.watch is None:
        raise ValueError("no watch")
    session = session.beside(_without_unlabeled(config), path)
    check(session)
    register.place(session.config)  # refuses a wrong name before hours of training
    variant_session.train_teacher(session)
    inbox = NewFiles(config.data, _lists(config, path))
    is_told = False
    while True:
        try:
            batch = _next(config.watch, path, inbox, is_once=is_once)
            if batch:
                variant_session.forget_models()
                _finish(session, config, batch)
        except (data.DataError, files.StorageError) as error:
            if is_once or not data.is_passing(error):
                raise
            if not is_told:
                console.log(f"{error}; this process looks again until it is mended")
            is_told = True
            time.sleep(config.watch.look_every_secs)
            continue
        is_told = False
        if is_once and not batch:
            return


def _without_unlabeled(config: Config) -> Config:
    """The run without the images that come, from which its teacher does not learn."""
    section = dataclasses.replace(
        config.data,
        unlabeled=None,
        skip_corrupt=config.data.skip_corrupt and config.data.is_folder,
    )
    return dataclasses.replace(config, data=section, watch=None)


def _next(
    watch: WatchConfig, path: epath.Path, inbox: NewFiles, *, is_once: bool
) -> Arrival | None:
    """The open batch, or one of images that have come; None after a look in vain."""
    is_open = [batch for batch in arrivals.read(path) if batch.status == "open"]
    if is_open:
        return is_open[0]
    inbox.look()
    if is_once and len(inbox) >= watch.min_new:
        time.sleep(watch.settle_secs)
        inbox.look()
    settled = inbox.settled_files(watch.settle_secs)
    if len(settled) >= watch.min_new:
        return arrivals.begin(path, settled)
    if is_once:
        console.log(
            f"{len(inbox)} new images, of which {len(settled)} have settled; a "
            f"batch begins with {watch.min_new}"
        )
    else:
        time.sleep(watch.look_every_secs)
    return None


def _finish(session: Session, config: Config, batch: Arrival) -> None:
    """Trains and registers the student of a batch, and tells what became of it.

    `session` is that of the teacher, and `config` of the whole.
    """
    path = session.path
    console.log(f"batch {batch.number}: {batch.num_images} new images")
    variant = arrivals.variant(config, path, batch)
    index_dir = _lists(config, path)
    counted = restart_budget.count_start(
        variant.path,
        soft_targets=index_dir.parent,
        max_restarts=config.runtime.max_restarts,
    )
    with (
        variant_session.hold_variant(session, variant) as session,
        counted,
        _wrap_errors(batch),
    ):
        batch = _admit(config, index_dir, path, batch)
        arrivals.replace(path, batch)
        try:
            batch = _train(session, variant, index_dir, batch)
        except SoftTargetsError:
            raise  # later batches could not be trained either
        except (FloatingPointError, data.DataError) as error:
            if data.is_passing(error):
                raise
            # Its images are among those of the next batch.
            batch = _refuse(batch, str(error))
    arrivals.replace(path, batch)
    if report.is_drawable():
        report.write_watch(path)
    console.log(arrivals.render([batch]))


@contextlib.contextmanager
def _wrap_errors(batch: Arrival) -> Iterator[None]:
    """Says what becomes of a batch whose images a storage does not give just now."""
    try:
        yield
    except data.DataError as error:
        if not data.is_passing(error):
            raise
        raise data.DataError(
            f"{error}; batch {batch.number} is left open, and tried again at the next "
            "look or start"
        ) from error.__cause__


def _admit(
    config: Config, index_dir: epath.Path, path: epath.Path, batch: Arrival
) -> Arrival:
    """Gives the images of a batch their ids, or sets them aside.

    So are earlier ones that were overwritten, of which no batch has told before.
    """
    names = set(arrivals.images(path, batch))
    with soft_targets.alone(index_dir):
        lines = data.admit_files(config.data, index_dir, names)
    before = arrivals.read(path)[: batch.number - 1]
    told = {name for each in before for name in each.set_aside} - names
    states = dict.fromkeys(sorted(names), data.GONE)
    states |= {line.path: line.state for line in lines if line.path not in told}
    aside = {name: what for name, what in states.items() if what != data.EXAMPLE}
    return dataclasses.replace(
        batch, num_images=len(names - aside.keys()), set_aside=aside
    )


def _train(
    session: Session, variant: Variant, index_dir: epath.Path, batch: Arrival
) -> Arrival:
    """The batch after its student has learned from all images, and was judged.

    Raises:
      FloatingPointError: the training came to nothing.
      DataError: an image is gone or another since it was listed.
    """
    if not batch.num_images:
        return _refuse(batch, "no image of it can be decoded")
    workdir.claim(variant.path, variant.config)
    # Labelled images that come meanwhile are no part of later batches either.
    data.take_over(session.config.data, session.index_dir, index_dir, are_own=True)
    # All were compared when the batch was admitted.
    own_lists = variant.path / workdir.LISTS
    data.take_over(variant.config.data, index_dir, own_lists, are_own=True)
    data.check_taken_over(variant.config.data, index_dir, own_lists)
    own = variant_session.open_variant(session, variant)
    stages.run(own, ("teacher",), whole=False)
    predict_new(own)
    stages.run(own, stages.select_stages(variant.config), whole=True)
    return _register(own, batch)


def _register(session: Session, batch: Arrival) -> Arrival:
    """Registers the student of a batch unless it is worse than the version before."""
    candidate = register.candidate(session.networks)
    accuracy = candidate.validation["accuracy"]
    batch = dataclasses.replace(batch, accuracy=accuracy)
    root, name = register.place(session.config)
    newest = registry.newest(root, name)
    if newest:
        number, card = newest
        if card["model"]["fingerprint"] == candidate.fingerprint:
            # Before this process, which was to tell of it, was killed.
            return _as_version(batch, name, number)
        best = register.accuracy_here(session.networks, root / name / str(number), card)
        if best is None:
            reason = (
                f"{name}@{number} has other classes or inputs, so that the two cannot "
                "be compared; choose another registry.name"
            )
            return _refuse(batch, reason)
        if accuracy < best:
            reason = (
                f"{name}@{number} has a validation accuracy of {100 * best:.2f} %, "
                "which is better"
            )
            return _refuse(batch, reason)
    return _as_version(batch, name, register.publish(session))


def _refuse(batch: Arrival, reason: str) -> Arrival:
    return dataclasses.replace(batch, status="refused", reason=reason)


def _as_version(batch: Arrival, name: str, number: int) -> Arrival:
    return dataclasses.replace(batch, status="registered", reference=f"{name}@{number}")


def _lists(config: Config, path: epath.Path) -> epath.Path:
    """The folder of the lists that the ids of the soft targets are lines of."""
    return workdir.soft_targets_folder(path, config) / workdir.LISTS
