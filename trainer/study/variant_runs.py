"""The variants of a study, one after another in one process."""

import functools
import itertools
import statistics
import time
from collections.abc import Sequence

from trainer import console, stages
from trainer.progress.time_left import tell
from trainer.runs import variant_session
from trainer.runs.variant import Variant
from trainer.session import Session
from trainer.stages.check import check
from trainer.stages.report import report
from trainer.stages.soft_targets import choice
from trainer.storage import files, workdir
from trainer.study import baselines, results


def run(session: Session, variants: Sequence[Variant]) -> None:
    """Trains the teacher, then each variant that is not over; `session` is the study's.

    A variant that diverges says so in its workdir, and the others go on.

    Raises:
      ConfigError, DataError: a variant cannot be run; none is trained then.
    """
    workers, path = session.devices.workers, session.path
    session, variants = _settle_soft_targets(session, variants)
    over = workers.broadcast(lambda: [variant.is_over for variant in variants])
    waiting = [
        variant for variant, is_over in zip(variants, over, strict=True) if not is_over
    ]
    # All variants are looked at before the first one spends hours. The session is one
    # of their own, so that what they load is not kept.
    whole = session.beside(session.config, path)
    check(whole)
    for variant in waiting:
        variant_session.check(whole, variant)
    del whole
    variant_session.train_teacher(session)
    taken: list[float] = []  # seconds of the cells that this process has finished
    for count, variant in enumerate(waiting):
        variant_session.forget_models()
        if workers.is_chief:
            mean = statistics.fmean(taken) if taken else 0.0
            session.devices.progress.later_secs = mean * (len(waiting) - count - 1)
            number, secs = variants.index(variant) + 1, mean * (len(waiting) - count)
            about = f", about {tell(secs)} left of the study" if secs else ""
            console.log(f"cell {number} of {len(variants)}: {variant.name}{about}")
        began = time.monotonic()
        with variant_session.hold_variant(session, variant) as holder:
            _finish(holder.beside(variant.config, variant.path), variant, variants)
        taken.append(time.monotonic() - began)
        if workers.is_chief:
            results.write(path, session.config, variants)
    variant_session.forget_models()


def _settle_soft_targets(
    session: Session, variants: Sequence[Variant]
) -> tuple[Session, list[Variant]]:
    """The study and its variants with one choice for all that leave it open."""
    config, path = session.config, session.path
    if config.distill.soft_targets != "auto":
        return session, list(variants)
    is_open = [v.config.distill.soft_targets == "auto" for v in variants]
    if not any(is_open):  # no student learns as the study's own config says
        return session.beside(config.with_soft_targets("online"), path), list(variants)
    # A session of its own, so that what it loads is not kept.
    whole = session.beside(config, path)
    _ = whole.datasets.sources  # whose lists the variants take over

    @functools.cache
    def find_demand(i: int) -> choice.Demand:
        return variant_session.demand(whole, variants[i])

    numbers = list(itertools.compress(range(len(variants)), is_open))
    chosen = choice.settle(whole, lambda: [find_demand(i) for i in numbers])
    settled = [
        variant_session.settle(chosen, variant, functools.partial(find_demand, i))
        for i, variant in enumerate(variants)
    ]
    if session.devices.workers.is_chief:
        for variant in itertools.compress(settled, is_open):
            workdir.record(variant.path, variant.config)
    return session.beside(chosen.config, path), settled


def _finish(session: Session, variant: Variant, variants: Sequence[Variant]) -> None:
    def is_evaluated() -> bool:
        if not variant.is_evaluated:
            session.devices.hold.check()
            baselines.take_over(variant, variants)
        return variant.is_evaluated

    if session.devices.workers.broadcast(is_evaluated):
        report(session)
        return
    try:
        stages.run(session, whole=True)
    except FloatingPointError as error:
        if session.devices.workers.is_chief:
            console.log(f"cell {variant.name}: {error}")
            files.write_json(variant.path / workdir.DIVERGED, {"reason": str(error)})
