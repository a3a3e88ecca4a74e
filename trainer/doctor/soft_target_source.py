"""The soft targets of an examination: those of the run's workdir, without a trace."""

import dataclasses
from collections.abc import Generator, Sequence

import keras
from etils import epath

from trainer import soft_targets
from trainer.config import Config
from trainer.session import Session
from trainer.soft_targets import answer_files
from trainer.stages.soft_targets import caches
from trainer.stages.soft_targets.choice import choose, demand, kept_choice
from trainer.stages.soft_targets.importing import import_answers
from trainer.stages.soft_targets.plan import Building, costs
from trainer.storage import files, workdir


def with_caches_of_run(config: Config, path: epath.Path) -> Config:
    """`config` with caches where the run in `path` has them, if it learns from some.

    What an examination writes goes elsewhere.
    """
    distill, folder = config.distill, path / workdir.SOFT_TARGETS
    if distill.is_imported:  # else they are imported once more
        is_there = files.exists(folder / workdir.IMPORTED)
    else:
        is_there = distill.is_cached and not distill.soft_targets_dir
    if not is_there:
        return config
    distill = dataclasses.replace(distill, soft_targets_dir=str(folder))
    return dataclasses.replace(config, distill=distill)


def costs_of(
    session: Session, path: epath.Path, teachers: Sequence[keras.Model]
) -> Generator[str, None, Building | None]:
    """A paragraph on each cache of the run in the workdir `path`; None without any.

    `teachers` are the teachers, with any weights. Answers of one that is elsewhere are
    imported as the run will.

    Raises:
      ConfigError, SoftTargetsError, DataError: they cannot be used.
    """
    if session.config.distill.is_imported:
        return (yield from _import_beside(session, path))
    if session.config.distill.is_cached:
        return (yield from costs(session.networks, teachers))
    return None


def _import_beside(
    session: Session, path: epath.Path
) -> Generator[str, None, Building]:
    """Imports answers as a run in the workdir `path` will, where it has not yet.

    Raises:
      ConfigError, SoftTargetsError, DataError: they cannot be used.
    """
    root, lines = caches.root(session.config, session.path), list[str]()
    import_answers(session, tell=lines.append)
    yield from lines
    found = {part: soft_targets.read(root / part) for part in answer_files.PARTS}
    every = {part: manifest for part, manifest in found.items() if manifest}
    num_bytes = sum(manifest.num_bytes for manifest in every.values())
    is_there = root.is_relative_to(path)
    return Building(
        num_predictions=0,
        secs=0.0,
        num_bytes=num_bytes,
        missing_bytes=0 if is_there else num_bytes,
        memory_bytes=sum(
            manifest.memory_bytes(views=manifest.views)
            for part, manifest in every.items()
            if part in ("train", "unlabeled")
        ),
        memory_budget=session.config.data.memory_budget_bytes,
    )


def settle(
    session: Session, config: Config, path: epath.Path, num_replicas: int
) -> tuple[Session, str]:
    """The session with what "auto" is in the run's workdir `path`, and a line on it."""
    choice = kept_choice(path)
    if choice is None:
        asked = demand(session, len(config.seeds), num_replicas=num_replicas)
        choice = choose(session, [asked], path)
    chosen = config.with_soft_targets(choice.soft_targets)
    distill = with_caches_of_run(chosen, path).distill
    return session.with_distill(distill), choice.text
