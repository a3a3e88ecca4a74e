"""The cells of a study, one after another in one process."""

from collections.abc import Sequence

from trainer import console, stages
from trainer.runs import variant_session
from trainer.runs.variant import Variant
from trainer.session import Session
from trainer.stages.check import check
from trainer.stages.report import report
from trainer.storage import files, workdir
from trainer.study import baselines, results


def run(session: Session, cells: Sequence[Variant]) -> None:
    """Trains the teacher, then each cell that is not over; `session` is the study's.

    A cell that diverges says so in its workdir, and the others go on.

    Raises:
      ConfigError, DataError: a cell cannot be run; none is trained then.
    """
    workers, path = session.devices.workers, session.path
    over = workers.broadcast(lambda: [cell.is_over for cell in cells])
    waiting = [cell for cell, is_over in zip(cells, over, strict=True) if not is_over]
    # All cells are looked at before the first one spends hours. The session is one of
    # their own, so that what they load is not kept.
    whole = session.beside(session.config, path)
    check(whole)
    for cell in waiting:
        variant_session.check(whole, cell)
    del whole
    variant_session.train_teacher(session)
    for cell in waiting:
        variant_session.forget_models()
        if workers.is_chief:
            number = cells.index(cell) + 1
            console.log(f"cell {number} of {len(cells)}: {cell.name}")
        with variant_session.hold_variant(session, cell) as holder:
            _finish(holder.beside(cell.config, cell.path), cell, cells)
        if workers.is_chief:
            results.write(path, session.config, cells)
    variant_session.forget_models()


def _finish(session: Session, cell: Variant, cells: Sequence[Variant]) -> None:
    def is_evaluated() -> bool:
        if not cell.is_evaluated:
            session.devices.hold.check()
            baselines.take_over(cell, cells)
        return cell.is_evaluated

    if session.devices.workers.broadcast(is_evaluated):
        report(session)
        return
    try:
        stages.run(session, stages.asked_for(cell.config), whole=True)
    except FloatingPointError as error:
        if session.devices.workers.is_chief:
            console.log(f"cell {cell.name}: {error}")
            files.write_json(cell.path / workdir.DIVERGED, {"reason": str(error)})
