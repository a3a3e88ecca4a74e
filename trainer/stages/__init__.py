"""The stages of a run, and what is done beside them; this loads no TensorFlow.

Each is idempotent and resumable, has a file here, and is loaded when it runs.
"""

import dataclasses
import pkgutil
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING

from trainer import console
from trainer.config import Config

if TYPE_CHECKING:
    from trainer.session import Session


# What may follow the name of a command of a run.
EXAMPLE = "--config=configs/mnist_mini.toml --workdir=runs/mnist_mini"


NO_OPTIONS: Mapping[str, str] = types.MappingProxyType({})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """A piece of work with a session, known before it is loaded."""

    function: str  # as module:name
    summary: str  # for people, in a line
    is_training: bool = True  # later starts go on from what it writes
    has_data: bool = True  # it reads the examples, which are described before
    check: str = ""  # what it tells by exit code 5
    doing: str = ""  # for people who watch, where it has no bar
    example: str = EXAMPLE

    def __call__(self, session: "Session", **options: str) -> None:
        """Does the work, as its own `options` say."""
        pkgutil.resolve_name(f"{__name__}.{self.function}")(session, **options)


# Those of a run, in its order.
STAGES = {
    "teacher": Stage(
        function="teacher:teacher",
        summary="train the teacher, or take its weights as they are",
    ),
    "soft-targets": Stage(
        function="soft_targets:build",
        summary="have the teacher predict each image once, and keep its logits",
    ),
    "student": Stage(
        function="student:student", summary="distil a student for each seed"
    ),
    "baseline": Stage(
        function="baseline:baseline",
        summary="train the student's network on labels alone, for each seed",
    ),
    "finetune": Stage(
        function="finetune:finetune",
        summary="train distilled students further on labels alone",
        example="--config=configs/tabular_mlp.toml --workdir=runs/tabular_mlp",
    ),
    "evaluate": Stage(
        function="evaluate:evaluate",
        summary="measure all models on the test split",
        doing="evaluating all models on the test split",
    ),
    "report": Stage(
        function="report:report",
        summary="draw the page of a run, or one that compares several runs",
        is_training=False,
        has_data=False,
        doing="drawing the page",
    ),
}

# What is done beside a run, or with what it has left.
OTHERS = {
    "soft-targets import": Stage(
        function="soft_targets:import_answers",
        summary="make a cache of the answers of a teacher that is elsewhere",
    ),
    "soft-targets ids": Stage(
        function="soft_targets:ids",
        summary="list the examples that such a teacher has to answer, as CSV",
        is_training=False,
    ),
    "soft-targets plan": Stage(
        function="soft_targets:plan",
        summary="tell bytes and time of a cache before anything is written",
        is_training=False,
    ),
    "soft-targets verify": Stage(
        function="soft_targets:verify",
        summary="ask the teacher again about a sample, or take its second answers",
        is_training=False,
        check="a cache is not what its teacher predicts",
    ),
    # Where files are gone, a folder can only be opened after its list was continued.
    "soft-targets extend": Stage(
        function="soft_targets:extend",
        summary="add the new images of a folder to a cache",
        has_data=False,
    ),
    "soft-targets info": Stage(
        function="soft_targets:info",
        summary="tell what is in the caches",
        is_training=False,
        has_data=False,
    ),
    "crossval": Stage(
        function="crossval:crossval",
        summary="train students on all folds but one, and test them on it",
        example="--config=configs/conv_mlp_omit3.toml --workdir=runs/conv_mlp_omit3",
    ),
    "export": Stage(
        function="export:export",
        summary="write a finished model as SavedModel, .keras, TFLite and ONNX",
        is_training=False,
        check="a format is further from the model than [export] allows",
    ),
    "registry register": Stage(
        function="register:register",
        summary="make a finished model the next version",
        is_training=False,
        check="the SavedModel predicts otherwise than the model",
        example=f"{EXAMPLE} --set='registry.root=\"runs/registry\"'",
    ),
}

# What a flag of a command asks for.
FLAGGED = {
    "soft-targets part": Stage(
        function="soft_targets:build_part",
        summary="have the teacher predict one part of the images",
        is_training=False,
    ),
    "soft-targets wait": Stage(
        function="soft_targets:wait",
        summary="wait for the parts that other processes make",
        doing="waiting for the soft targets that others make",
        is_training=False,
    ),
}

ALL = STAGES | OTHERS | FLAGGED
# The first of them needs what others make.
_AFTER_WAITING = ("soft-targets", "student")


def select_stages(config: Config) -> tuple[str, ...]:
    """The stages of a whole run."""
    asked = {
        "teacher": config.teacher is not None,
        "soft-targets": config.distill.is_cached,
        "finetune": config.finetune is not None,
    }
    return tuple(name for name in STAGES if asked.get(name, True))


def run(
    session: "Session",
    names: tuple[str, ...] = (),
    *,
    whole: bool,
    options: Mapping[str, str] = NO_OPTIONS,
    waits: bool = False,
) -> None:
    """Does the stages `names`, or those of a `whole` run, of which it checks all first.

    One of `names` may have `options` of its own. A run that `waits` has its soft
    targets made by others.

    Where the config leaves the source of soft targets open, it is chosen here, and a
    cache that was chosen is built before the students learn from it.
    """
    from trainer.stages.check import check

    if session.devices.workers.is_chief:
        console.log(session.devices.description)
    if whole or any(ALL[name].has_data for name in names):
        _describe_data(session)
    if session.config.distill.soft_targets == "auto":
        is_training = any(ALL[x].is_training and ALL[x].has_data for x in names)
        session = _settle_soft_targets(session, names, chooses=whole or is_training)
        if names == ("student",) and session.config.distill.is_cached:
            names = ("soft-targets", *names)
    names = _with_teachers(names, session.config)
    if whole:
        check(session)
        names = select_stages(session.config)
    if waits:
        place = min(names.index(each) for each in _AFTER_WAITING if each in names)
        names = (*names[:place], "soft-targets wait", *names[place:])
    if whole:
        _plan(session, names)
    for name in names:
        with session.devices.progress.stage(name, ALL[name].doing):
            ALL[name](session, **options)


def _with_teachers(names: tuple[str, ...], config: Config) -> tuple[str, ...]:
    """The stages `names`, and before them that of teachers that nobody trains.

    Taking their weights takes no time worth a command of its own.
    """
    found = config.teachers.values()
    is_trained = any(each.train or each.head for each in found)
    if names[:1] not in (("soft-targets",), ("student",)) or is_trained or not found:
        return names
    return ("teacher", *names)


def _plan(session: "Session", names: tuple[str, ...]) -> None:
    """Tells whoever watches what a whole run, of stages `names`, has left to do."""
    from trainer.stages import planned_work

    progress, config = session.devices.progress, session.config
    if not progress.is_live:
        return
    datasets = session.datasets
    caches = planned_work.caches_of(config, datasets)
    sizes = planned_work.Sizes.of(datasets)
    works = planned_work.whole_run(config, sizes, caches)
    progress.plan(names, planned_work.what_is_left(works, config, session.path))


def _settle_soft_targets(
    session: "Session", names: tuple[str, ...], *, chooses: bool
) -> "Session":
    """The session with the source of soft targets that its config leaves open.

    Without a choice in its workdir it `chooses`, or leaves it open.
    """
    from trainer.stages.soft_targets import choice

    if not chooses:
        return choice.recall(session)
    config = session.config
    num_students = len(config.seeds)
    if "crossval" in names and config.crossval:
        num_students = config.crossval.folds
    return choice.settle(
        session,
        lambda: [choice.demand(session, num_students)],
        needs_cache="soft-targets" in names,
    )


def _describe_data(session: "Session") -> None:
    from trainer import data
    from trainer.session import suspicions

    sources = session.datasets.sources
    if not session.devices.workers.is_chief:
        return
    learned = suspicions.other_backgrounds(session.config, session.lock_dir, sources)
    described = (source.description for source in sources)
    for line in (*described, data.duplicates(sources), *learned):
        if line:
            console.log(line)
