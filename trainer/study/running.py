"""The cells of a study, one after another in one process."""

import gc
from collections.abc import Sequence

import keras
from tensorflow.python.framework import ops

from trainer import console, data, files, stages, workdir
from trainer.config import ConfigError
from trainer.stages import Session
from trainer.study import baselines, results
from trainer.study.cells import Cell


def run(session: Session, cells: Sequence[Cell]) -> None:
    """Trains the teacher, then each cell that is not over; `session` is the study's.

    A cell that diverges says so in its workdir, and the others go on.

    Raises:
      ConfigError, DataError: a cell cannot be run; none is trained then.
    """
    workers, path = session.workers, session.path
    over = workers.from_chief(lambda: [cell.is_over for cell in cells])
    waiting = [cell for cell, is_over in zip(cells, over, strict=True) if not is_over]
    # Of its own, so that what they load is not kept.
    _check(session.beside(session.config, path), waiting)
    if any(network.train for network in session.config.teachers.values()):
        whole = session.beside(session.config, path)
        stages.run(whole, ("teacher",), whole=False)
        del whole
    for cell in waiting:
        _forget_models()
        if workers.is_chief:
            number = cells.index(cell) + 1
            console.say(f"cell {number} of {len(cells)}: {cell.name}")
        _finish(session.beside(cell.config, cell.path), cell, cells)
        if workers.is_chief:
            results.write(path, session.config, cells)
    _forget_models()


def _check(session: Session, waiting: Sequence[Cell]) -> None:
    """Looks at all cells before the first one spends hours."""
    stages.check(session)
    for cell in waiting:
        _forget_models()
        if session.workers.is_chief:
            # Files that come meanwhile are no part of later cells either.
            lists = cell.path / workdir.LISTS
            data.take_over(cell.config.data, session.lists, lists, are_own=True)
        try:
            stages.check(session.beside(cell.config, cell.path))
        except (ConfigError, data.DataError) as error:
            raise type(error)(f"cell {cell.name}: {error}") from error


def _finish(session: Session, cell: Cell, cells: Sequence[Cell]) -> None:
    def is_evaluated() -> bool:
        if not cell.is_evaluated:
            baselines.take_over(cell, cells)
        return cell.is_evaluated

    if session.workers.from_chief(is_evaluated):
        stages.report(session)
        return
    try:
        stages.run(session, stages.asked_for(cell.config), whole=True)
    except FloatingPointError as error:
        if session.workers.is_chief:
            console.say(f"cell {cell.name}: {error}")
            files.write_json(cell.path / workdir.DIVERGED, {"reason": str(error)})


def _forget_models() -> None:
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
