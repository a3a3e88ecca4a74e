"""What a training leaves of each step: its progress, its line, its checkpoint."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

from etils import epath

from trainer.session.learner import Learner, Training
from trainer.session.session import Session
from trainer.storage.workdir import METRICS, TENSORBOARD
from trainer.train import loop, tensorboard
from trainer.train.checkpoint import Position
from trainer.train.events import MetricsFile, Progress
from trainer.train.selection import Selection


@dataclasses.dataclass(frozen=True, kw_only=True)
class Journal:
    """What is done to leave it; see trainer.train.loop.Actions."""

    advance: Callable[[int], None]
    write: Callable[[int, loop.Metrics], None]
    save: Callable[[loop.Place], None]


@contextlib.contextmanager
def journal(
    session: Session, training: Training, learner: Learner, selection: Selection
) -> Iterator[Journal]:
    """The journal of the chief; the other workers leave nothing."""
    if not session.workers.is_chief:
        yield Journal(
            advance=lambda step: None,
            write=lambda step, metrics: None,
            save=lambda place: None,
        )
        return
    lines = _metrics_file(training.folder, learner.position)
    with Progress(
        training.title,
        first_step=learner.position.step,
        last_step=training.num_steps,
    ) as progress:

        def write(step: int, metrics: loop.Metrics) -> None:
            session.hold.check()
            applied = float(training.schedule(step - 1))
            lines.write(step, metrics | {"train/learning_rate": applied})
            progress.show(step, metrics)

        yield Journal(
            advance=progress.advance,
            write=write,
            save=lambda place: learner.checkpoints.save(
                dataclasses.replace(selection.position(place), lines=lines.checksum)
            ),
        )


def _metrics_file(folder: epath.Path, position: Position) -> MetricsFile:
    copies = []
    if tensorboard.is_installed():
        copies.append(tensorboard.EventFile(folder / TENSORBOARD).add_scalars)
    return MetricsFile(
        folder / METRICS,
        # A step that is not closed gets its line once more.
        last_step=position.step if position.is_closed else position.step - 1,
        copies=copies,
        checksum=position.lines,
    )
