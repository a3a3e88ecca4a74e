"""The cells of a study, one after another in one process."""

from collections.abc import Sequence

from trainer import console, stages
from trainer.runs import cell_session
from trainer.runs.cell import Cell
from trainer.session import Session
from trainer.stages.check import check
from trainer.stages.report import report
from trainer.storage import files, workdir
from trainer.study import baselines, results


def run(session: Session, cells: Sequence[Cell]) -> None:
    """Trains the teacher, then each cell that is not over; `session` is the study's.

    A cell that diverges says so in its workdir, and the others go on.

    Raises:
      ConfigError, DataError: a cell cannot be run; none is trained then.
    """
    workers, path = session.devices.workers, session.path
    over = workers.from_chief(lambda: [cell.is_over for cell in cells])
    waiting = [cell for cell, is_over in zip(cells, over, strict=True) if not is_over]
    # All cells are looked at before the first one spends hours. The session is one of
    # their own, so that what they load is not kept.
    whole = session.beside(session.config, path)
    check(whole)
    for cell in waiting:
        cell_session.check(whole, cell)
    del whole
    cell_session.train_teacher(session)
    for cell in waiting:
        cell_session.forget_models()
        if workers.is_chief:
            number = cells.index(cell) + 1
            console.say(f"cell {number} of {len(cells)}: {cell.name}")
        with cell_session.hold_cell(session, cell) as holder:
            _finish(holder.beside(cell.config, cell.path), cell, cells)
        if workers.is_chief:
            results.write(path, session.config, cells)
    cell_session.forget_models()


def _finish(session: Session, cell: Cell, cells: Sequence[Cell]) -> None:
    def is_evaluated() -> bool:
        if not cell.is_evaluated:
            session.devices.hold.check()
            baselines.take_over(cell, cells)
        return cell.is_evaluated

    if session.devices.workers.from_chief(is_evaluated):
        report(session)
        return
    try:
        stages.run(session, stages.asked_for(cell.config), whole=True)
    except FloatingPointError as error:
        if session.devices.workers.is_chief:
            console.say(f"cell {cell.name}: {error}")
            files.write_json(cell.path / workdir.DIVERGED, {"reason": str(error)})
