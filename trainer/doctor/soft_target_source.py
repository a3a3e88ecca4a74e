"""The soft targets of an examination: those of the run's workdir, without a trace."""

import dataclasses

from etils import epath

from trainer.config import Config
from trainer.session import Session
from trainer.stages.soft_targets.choice import choose, demand, kept_choice
from trainer.storage import workdir


def with_caches_of_run(config: Config, path: epath.Path) -> Config:
    """`config` with caches where the run in `path` has them, if it learns from some.

    What an examination writes goes elsewhere.
    """
    distill = config.distill
    if distill.soft_targets_dir or not distill.is_cached:
        return config
    distill = dataclasses.replace(
        distill, soft_targets_dir=str(path / workdir.SOFT_TARGETS)
    )
    return dataclasses.replace(config, distill=distill)


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
