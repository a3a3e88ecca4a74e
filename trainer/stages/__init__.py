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
        function="evaluate:evaluate", summary="measure all models on the test split"
    ),
    "report": Stage(
        function="report:report",
        summary="draw the page of a run, or one that compares several runs",
        is_training=False,
        has_data=False,
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

ALL = STAGES | OTHERS


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
) -> None:
    """Does the stages `names`, or those of a `whole` run, of which it checks all first.

    One of `names` may have `options` of its own.

    Where the config leaves the source of soft targets open, it is chosen here, and a
    cache that was chosen is built before the students learn from it.
    """
    from trainer.stages.check import check

    if session.devices.workers.is_chief:
        console.log(session.devices.description)
    wanted = [ALL[name] for name in names]
    if whole or any(stage.has_data for stage in wanted):
        _describe_data(session)
    if session.config.distill.soft_targets == "auto":
        is_training = any(stage.is_training and stage.has_data for stage in wanted)
        session = _settle_soft_targets(session, names, chooses=whole or is_training)
        if names == ("student",) and session.config.distill.is_cached:
            wanted = [ALL["soft-targets"], *wanted]
    if whole:
        check(session)
        wanted = [ALL[name] for name in select_stages(session.config)]
    for stage in wanted:
        stage(session, **options)


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
