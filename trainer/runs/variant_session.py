"""Variants, one after another in one process; importing this loads TensorFlow."""

import contextlib
import dataclasses
import gc
from collections.abc import Callable, Iterator

import keras
from tensorflow.python.framework import ops

from trainer import data, registry, stages
from trainer.cluster import hold
from trainer.config import ConfigError
from trainer.runs.variant import Variant, share_soft_targets
from trainer.session import Session
from trainer.stages.check import check as check_run
from trainer.stages.soft_targets import choice
from trainer.storage import workdir


def train_teacher(session: Session) -> None:
    """Trains the teacher that variants share, where it is trained at all.

    `session` is that of the run whose variants they are.
    """
    if any(network.train for network in session.config.teachers.values()):
        # Of its own, so that what it loads is not kept.
        whole = session.beside(session.config, session.path)
        stages.run(whole, ("teacher",), whole=False)


def open_variant(session: Session, variant: Variant) -> Session:
    """The session of a variant of the run that `session` is of.

    Its images and registered models are those that the run and other variants found.

    Raises:
      ConfigError: there is no such registered model.
    """
    if session.devices.workers.is_chief:
        # Files that come meanwhile are no part of later variants either.
        index_dir = variant.path / workdir.LISTS
        data.take_over(variant.config.data, session.index_dir, index_dir, are_own=True)
        registry.share_lock(
            session.config, session.lock_dir, variant.config, variant.path
        )
    return session.beside(variant.config, variant.path)


def demand(session: Session, variant: Variant) -> choice.Demand:
    """The demand of the students of a variant of the run that `session` is of."""
    return choice.demand(open_variant(session, variant), len(variant.config.seeds))


def settle(
    session: Session, variant: Variant, find_demand: Callable[[], choice.Demand]
) -> Variant:
    """`variant` with soft targets from where the run `session` is of has chosen them.

    That is where its own config leaves the choice open. What no cache can serve, by its
    demand, has a live teacher, and what has begun goes on as it began.
    """
    if variant.config.distill.soft_targets != "auto":
        return variant

    def find() -> str:
        return workdir.chosen_soft_targets(variant.path) or ""

    chosen = session.devices.workers.broadcast(find)
    if not chosen:
        is_cached = session.config.distill.is_cached and not find_demand().reason
        chosen = "cached" if is_cached else "online"
    config = variant.config.with_soft_targets(chosen)
    config = share_soft_targets(config, session.config, session.path)
    return dataclasses.replace(variant, config=config)


@contextlib.contextmanager
def hold_variant(session: Session, variant: Variant) -> Iterator[Session]:
    """Holds the folder of a variant: in the body only the session given trains there.

    Raises:
      FolderInUseError, LostError: another process does.
    """
    if not session.devices.workers.is_chief:
        yield session
        return
    with hold.hold_folder(
        variant.path, session.devices.termination, within=session.devices.hold
    ) as own:
        devices = dataclasses.replace(session.devices, hold=own)
        yield dataclasses.replace(session, devices=devices)


def check(session: Session, variant: Variant) -> None:
    """Looks whether a variant can be run, before any time is spent on it.

    Raises:
      ConfigError, DataError: it cannot.
    """
    forget_models()
    try:
        check_run(open_variant(session, variant))
    except (ConfigError, data.DataError) as error:
        raise type(error)(f"cell {variant.name}: {error}") from error


def forget_models() -> None:
    """Lets go of earlier models, which compiled steps would keep for ever.

    TensorFlow's list of gradients has an entry for each reduction over replicas that
    was compiled, with the graph around it and the variables in there. There is no
    public way to shorten it.
    """
    keras.backend.clear_session()
    registered = ops.gradient_registry._registry
    for name in [name for name in registered if name.startswith("CustomGradient-")]:
        del registered[name]
    gc.collect()
