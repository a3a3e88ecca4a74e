"""The work that a run is made of: what its time is estimated by."""

import dataclasses
from collections.abc import Iterator

from etils import epath

from trainer import optimizers
from trainer.config import Config, TrainConfig, periods
from trainer.data import splits
from trainer.progress.time_left import Work
from trainer.session.datasets import Datasets
from trainer.session.train_state import training_title
from trainer.session.transfer_sets import transfer_sets
from trainer.stages.teacher import head_role
from trainer.storage import workdir

_DRAWING_SECS = 5.0  # of a page with its figures, about


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """The number of examples of each kind."""

    training: int  # the teacher's
    transfer: int  # the students'
    labeled: int  # those of them with labels
    validation: int
    test: int

    @classmethod
    def of(cls, datasets: Datasets) -> "Sizes":
        """Counts those of a run's `datasets`; the test split is not read for it."""
        parts = splits.parts_of(
            datasets.source.whole_splits, datasets.config.data.test_split
        )
        return cls(
            training=len(datasets.training),
            transfer=len(datasets.transfer),
            labeled=len(datasets.labeled),
            validation=len(datasets.validation),
            test=sum(last - first for _, first, last in parts),
        )


def whole_run(config: Config, sizes: Sizes, caches: list[Work]) -> list[Work]:
    """All that a run does from its first step to its page, in its order."""
    return [
        *teacher_trainings(config, sizes),
        *caches,
        *student_trainings(config, sizes),
        *evaluations(config, sizes),
        Work(
            stage="report",
            title="report",
            kind="report",
            network="",
            fixed_secs=_DRAWING_SECS,
        ),
    ]


def what_is_left(works: list[Work], config: Config, path: epath.Path) -> list[Work]:
    """The `works` but for trainings that have ended in the workdir `path`."""
    ended = {
        training_title(role, seed)
        for role, seed in _seeds(config)
        if (workdir.training_folder(path, role, seed) / workdir.FINISHED).exists()
    }
    return [work for work in works if work.title not in ended]


def caches_of(config: Config, datasets: Datasets) -> list[Work]:
    """The caches of a run whose own teacher makes them."""
    if not config.distill.is_cached or config.distill.is_imported:
        return []
    return [
        Work(
            stage="soft-targets",
            title=cache_title(config, teacher, transfer.name),
            kind=f"soft targets of {role}",
            network=role,
            predictions=transfer.num_ids * config.distill.views,
        )
        for transfer in transfer_sets(config, datasets)
        for teacher, role in enumerate(config.teachers)
    ]


def cache_title(config: Config, teacher: int, name: str) -> str:
    """The title of a cache of the transfer set `name`."""
    of_whom = f" by member {teacher}" if len(config.teachers) > 1 else ""
    return f"soft targets of {name}{of_whom}"


def teacher_trainings(config: Config, sizes: Sizes) -> Iterator[Work]:
    """The trainings of teachers, and before them of their last layers."""
    for role, teacher in config.teachers.items():
        sections = {head_role(role): teacher.head, role: teacher.train}
        for own, section in sections.items():
            if section:
                yield _training(config, sizes, own, teacher.seed, section, "training")


def student_trainings(config: Config, sizes: Sizes) -> Iterator[Work]:
    """The trainings of students and baselines, and what follows them."""
    own = config.student.train
    sections = {"student": (own, "transfer"), "baseline": (own, "transfer")}
    if config.finetune:
        sections["finetune"] = (config.finetune, "labeled")
    for role, (section, examples) in sections.items():
        for seed in config.seeds:
            yield _training(config, sizes, role, seed, section, examples)


def evaluations(config: Config, sizes: Sizes) -> Iterator[Work]:
    """The last and the best model of each training predict the test split."""
    for role, seed in _seeds(config):
        if not role.startswith("teacher_head"):
            yield Work(
                stage="evaluate",
                title=f"{training_title(role, seed)} on the test split",
                kind=role,
                network=network_of(role),
                predictions=2 * sizes.test,
            )


def _training(
    config: Config,
    sizes: Sizes,
    role: str,
    seed: int,
    section: TrainConfig,
    examples: str,
) -> Work:
    num_examples = getattr(sizes, examples)
    num_steps = optimizers.num_steps(section, num_examples=num_examples)
    epoch_steps = num_examples / section.global_batch_size
    every = periods(config.runtime, epoch_steps=epoch_steps).steps["eval_every_steps"]
    return Work(
        stage="teacher" if role.startswith("teacher") else role,
        title=training_title(role, seed),
        kind=role,
        network=network_of(role),
        examples=num_steps * section.global_batch_size,
        predictions=-(-num_steps // every) * sizes.validation,  # the last step too
    )


def network_of(role: str) -> str:
    """The network that is trained in a role: "student", or a teacher."""
    if role.startswith("teacher"):
        return role.replace("teacher_head", "teacher", 1)
    return "student"


def _seeds(config: Config) -> Iterator[tuple[str, int]]:
    """Each training's role and seed."""
    for role, teacher in config.teachers.items():
        if teacher.head:
            yield head_role(role), teacher.seed
        yield role, teacher.seed
    for role in ("student", "baseline", *(["finetune"] if config.finetune else [])):
        for seed in config.seeds:
            yield role, seed
