"""The table of commands: what each does, takes, and shows of itself."""

import dataclasses
import functools
from collections.abc import Callable

from trainer import predict as predictions
from trainer import registry as versions
from trainer import stages as work
from trainer.commands import (
    config,
    doctor,
    init,
    layers,
    predict,
    registry,
    report,
    soft_targets,
    stages,
    study,
    sweep,
    track,
    watch,
)
from trainer.commands.command_line import CommandLine

# Words that begin the names of several commands.
FAMILIES = {"soft-targets": "soft targets", "registry": "versions of models"}

_SETTINGS = ("config", "set", "unset")
RUN_FLAGS = ("config", "workdir", "set", "unset")
ALWAYS = ("verbose",)  # with every command
_REGISTRY = "--set=registry.root=runs/registry"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A command; its name is its key in COMMANDS."""

    run: Callable[[CommandLine], int]  # gives the exit code
    summary: str  # for people, in a line
    words: str = ""  # that follow its name; "..." for more, in brackets if none may
    flags: tuple[str, ...] = RUN_FLAGS
    # What --set may change of the settings in a workdir, which do without --config.
    free: tuple[str, ...] = ()
    check: str = ""  # what it tells by CHECK_FAILED
    example: str = work.EXAMPLE  # of what follows its name

    def takes(self, count: int) -> bool:
        """Whether so many words may follow the name."""
        words = self.words.strip("[]").split()
        fewest = len(words) - words.count("...")
        if not count:
            return not fewest or self.words.startswith("[")
        return count == fewest or (count > fewest and "..." in words)


def _stage(name: str) -> Command:
    stage = work.ALL[name]
    return Command(
        run=functools.partial(stages.run, (name,)),
        summary=stage.summary,
        free=stage.free,
        check=stage.check,
        example=stage.example,
    )


def _registry(name: str) -> Command:
    action = versions.ACTIONS[name]
    count = action.words.count("NAME")
    models = [f"mnist_mini@{number}" for number in range(1, count + 1)]
    return Command(
        run=functools.partial(registry.manage, name),
        summary=action.summary,
        words=action.words,
        flags=_SETTINGS,
        check="a file that it tells of cannot be read",
        example=" ".join([*models, _REGISTRY]),
    )


COMMANDS: dict[str, Command] = {
    "init": Command(
        run=init.write,
        summary="write a first config for images, a table or a TFDS name",
        words="DATASET",
        example="photos/",
    ),
    "run": Command(
        run=functools.partial(stages.run, tuple(work.STAGES)),
        summary="run every stage that the config asks for",
        flags=(*RUN_FLAGS, "wait"),
        free=work.FREE_OF_ALL,
    ),
    "config": Command(
        run=config.show,
        summary="print every setting with its value, or what one means",
        flags=(*_SETTINGS, "explain", "schema"),
        example="--config=configs/mnist_mini.toml --set=distill.temperature=8.0",
    ),
    "layers": Command(
        run=layers.show,
        summary="print the layers that losses between layers can name, and pairs",
        flags=_SETTINGS,
        example="--config=configs/mnist_mini.toml",
    ),
    "doctor": Command(
        run=doctor.examine,
        summary="tell whether a run can be done here, how fast, in what memory",
        flags=(*RUN_FLAGS, "measure"),
        check="one of the checks that it prints has failed",
    ),
    **{name: _stage(name) for name in work.STAGES},
    "student": dataclasses.replace(_stage("student"), flags=(*RUN_FLAGS, "wait")),
    "report": dataclasses.replace(
        _stage("report"), run=report.write, words="[DIR ...]"
    ),
    "soft-targets build": dataclasses.replace(
        _stage("soft-targets"),
        run=soft_targets.build,
        flags=(*RUN_FLAGS, "part", "wait"),
    ),
    **{name: _stage(name) for name in work.OTHERS},
    "soft-targets verify": dataclasses.replace(
        _stage("soft-targets verify"), run=soft_targets.verify, words="[DIR]"
    ),
    "soft-targets ids": dataclasses.replace(
        _stage("soft-targets ids"), run=soft_targets.ids, words="[FILE]"
    ),
    "registry register": dataclasses.replace(
        _stage("registry register"), run=registry.register
    ),
    **{f"registry {name}": _registry(name) for name in versions.ACTIONS},
    "study": Command(
        run=study.run,
        summary="run the cells of [study.grid], with one teacher and one table",
        example="--config=configs/hinton_temperature.toml --workdir=runs/temperature",
    ),
    "sweep": Command(
        run=sweep.run,
        summary="try settings of [sweep.space], and test the best of the trials",
        example="--config=configs/mnist_mini.toml --workdir=runs/sweep "
        "--set='sweep.space={distill.temperature={low=1, high=20}}'",
    ),
    "watch": Command(
        run=watch.run,
        summary="train and register a student whenever images without labels come",
        flags=(*RUN_FLAGS, "once"),
        example="--config=configs/mnist_mini.toml --workdir=runs/watched "
        "--set=data.unlabeled.dataset=folder:runs/inbox "
        "--set=data.skip_corrupt=true --set=distill.soft_targets=cached "
        f"{_REGISTRY}",
    ),
    "track": Command(
        run=track.run,
        summary="send what a run has left to a tracker, such as MLflow",
        free=track.FREE,
        example="--workdir=runs/mnist_mini --set='tracking.tracker=\"mlflow\"' "
        "--set='tracking.options.uri=\"sqlite:///runs/mlflow.db\"'",
    ),
    "predict": Command(
        run=predict.run,
        summary="classify images, or rows of tables, by a finished run",
        words="PATH ...",
        flags=(*RUN_FLAGS, "output"),
        free=predictions.FREE,
        check="an image, a row or a file cannot be read, and is left out",
        example="runs/digits --workdir=runs/mnist_mini --output=runs/digits.csv",
    ),
}


def takers(flag: str) -> list[str]:
    """The commands that take a flag; none of one that goes with all of them."""
    return [name for name, command in COMMANDS.items() if flag in command.flags]
