"""The stages of a run, each idempotent and resumable, in the order they happen."""

from collections.abc import Callable

from trainer import console
from trainer.stages.baseline import baseline
from trainer.stages.check import check
from trainer.stages.evaluate import evaluate
from trainer.stages.report import report
from trainer.stages.session import Session, open_session
from trainer.stages.student import student
from trainer.stages.teacher import teacher

STAGES: dict[str, Callable[[Session], None]] = {
    "teacher": teacher,
    "student": student,
    "baseline": baseline,
    "evaluate": evaluate,
    "report": report,
}


def run(session: Session, names: tuple[str, ...], *, whole: bool) -> None:
    """Does the stages `names`; a `whole` run looks first at what later ones need."""
    if session.workers.is_chief:
        console.say(session.description)
    if set(names) - {"report"}:
        sources = session.sources
        if session.workers.is_chief:
            for source in sources:
                console.say(source.description)
    if whole:
        check(session)
    for name in names:
        STAGES[name](session)


__all__ = ["STAGES", "Session", "check", "open_session", "run"]
