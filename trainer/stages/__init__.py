"""The stages of a run, each idempotent and resumable, in the order they happen."""

from collections.abc import Callable

from trainer import console, data
from trainer.config import Config
from trainer.session import Session, suspicions
from trainer.stages import soft_targets
from trainer.stages.baseline import baseline
from trainer.stages.check import check
from trainer.stages.crossval import crossval
from trainer.stages.evaluate import evaluate
from trainer.stages.export import export
from trainer.stages.finetune import finetune
from trainer.stages.register import (
    accuracy_here,
    candidate,
    place,
    publish,
    register,
)
from trainer.stages.report import report
from trainer.stages.soft_targets import answer_new
from trainer.stages.student import student
from trainer.stages.teacher import teacher

STAGES: dict[str, Callable[[Session], None]] = {
    "teacher": teacher,
    "soft-targets": soft_targets.build,
    "student": student,
    "baseline": baseline,
    "finetune": finetune,
    "evaluate": evaluate,
    "report": report,
}

EXTEND = "soft-targets extend"
INFO = "soft-targets info"

# What takes a finished model out of the run.
LEAVING: dict[str, Callable[[Session], None]] = {
    "export": export,
    "registry register": register,
}

# Beside the stage that builds them.
CACHE_ACTIONS: dict[str, Callable[[Session], None]] = {
    "soft-targets plan": soft_targets.plan,
    "soft-targets verify": soft_targets.verify,
    EXTEND: soft_targets.extend,
    INFO: soft_targets.info,
}


def asked_for(config: Config) -> tuple[str, ...]:
    """The stages of a whole run."""
    asked = {
        "soft-targets": config.distill.is_cached,
        "finetune": config.finetune is not None,
    }
    return tuple(name for name in STAGES if asked.get(name, True))


def run(session: Session, names: tuple[str, ...], *, whole: bool) -> None:
    """Does the stages `names`; a `whole` run looks first at what later ones need."""
    if session.devices.workers.is_chief:
        console.say(session.devices.description)
    # Where files are gone, a folder can only be opened after its list was continued.
    if set(names) - {"report", EXTEND, INFO}:
        sources = session.datasets.sources
        if session.devices.workers.is_chief:
            told = (
                data.duplicates(sources),
                *suspicions.other_backgrounds(session.config, session.pins, sources),
            )
            for line in (*(source.description for source in sources), *told):
                if line:
                    console.say(line)
    if whole:
        check(session)
    commands = STAGES | CACHE_ACTIONS | LEAVING | {"crossval": crossval}
    for name in names:
        commands[name](session)


__all__ = [
    "STAGES",
    "accuracy_here",
    "answer_new",
    "asked_for",
    "candidate",
    "check",
    "place",
    "publish",
    "report",
    "run",
    "student",
]
