"""The model of a finished run that `run:DIR` in a setting stands for."""

import dataclasses
import re
from typing import Any

from etils import epath

from trainer.config import (
    SCHEME,
    Config,
    ConfigError,
    EnsembleConfig,
    StudentConfig,
    TeacherConfig,
    from_resolved,
    places,
)
from trainer.storage import files, kinds, seal, workdir

_TRAINING = re.compile(
    r"(?P<role>student|baseline|finetune)(/seed-(?P<seed>\d+))?"
    r"|teacher(/member-(?P<member>\d+))?"
)
_FORMS = "DIR, DIR/student/seed-S, DIR/baseline/seed-S, DIR/teacher or the like"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunModel:
    """A model that a finished run selected on its validation split."""

    folder: epath.Path  # the workdir of the run
    role: str  # "student" or "teacher.members[0]", say
    seed: int
    section: TeacherConfig | StudentConfig  # of the run's config
    fingerprint: str  # of the weights that were tested; "" in results of early versions

    @property
    def file(self) -> epath.Path:
        """The file of the model."""
        return (
            workdir.training_folder(self.folder, self.role, self.seed)
            / workdir.FINISHED
        )


def find(text: str, *, setting: str) -> RunModel:
    """The model that `setting` names as "run:" and the folder of a run or a training.

    Raises:
      ConfigError: there is no such run, it is not finished, or has no such model.
      StorageError: one of its files is damaged, or cannot be read.
    """
    place = files.path_of(text.removeprefix(SCHEME), setting=setting)
    wrong = f"{setting} must name a finished run as {SCHEME}{_FORMS}, got {text!r}"
    folder = _run_of(place, wrong)
    config = from_resolved(
        workdir.read_config(folder), (), kept_in=folder / workdir.CONFIG
    )
    models = _results(folder, wrong)["models"]
    role, seed = _training(str(place.relative_to(folder)), config, wrong)
    section = config.networks.get(role, config.student)
    found = RunModel(
        folder=folder,
        role=role,
        seed=seed,
        section=section,
        fingerprint=_entry(models, role, seed, wrong).get("weights", ""),
    )
    if not files.exists(found.file):
        raise ConfigError(
            f"{wrong}: {found.file} is not there; restore it, or name another model"
        )
    return found


def _run_of(place: epath.Path, wrong: str) -> epath.Path:
    """The workdir that `place` is, or is the folder of a training of."""
    for folder in (place, *list(place.parents)[:2]):
        if files.exists(folder / workdir.CONFIG):
            break
    else:
        raise ConfigError(
            f"{wrong}: no run there, for it has no {workdir.CONFIG}; "
            f"{places.path_hint(str(place))}"
        )
    for name, what in kinds.KINDS.items():
        if name != workdir.RESULTS and files.exists(folder / name):
            raise ConfigError(
                f"{wrong}: {folder} holds {what}; name one of its runs, in "
                f"{folder / workdir.CELLS}"
            )
    return folder


def _results(folder: epath.Path, wrong: str) -> dict[str, Any]:
    path = folder / workdir.RESULTS
    if not files.exists(path):
        raise ConfigError(
            f"{wrong}: the run is not finished, for it has no {workdir.RESULTS}; go on "
            f"with python -m trainer run --workdir={folder}"
        )
    try:
        with files.wrap_read_errors(path, disks_too=True):
            return seal.parse(path.read_bytes())
    except ValueError as error:
        raise files.StorageError(
            f"{path} must hold the results of a run, got something else ({error}); "
            "delete it and run `python -m trainer evaluate` there"
        ) from error


def _training(part: str, config: Config, wrong: str) -> tuple[str, int]:
    """The role and the seed of the training whose folder is `part` of the workdir."""
    match = _TRAINING.fullmatch("student" if part == "." else part)
    if not match:
        raise ConfigError(f"{wrong}: a run has no model {part!r}; name one that it has")
    if role := match["role"]:
        return role, int(match["seed"] or config.seeds[0])
    count = len(config.teachers) if isinstance(config.teacher, EnsembleConfig) else 0
    member = match["member"]
    if bool(count) != (member is not None) or (count and int(member) >= count):
        problem = f"the teacher is {count} members" if count else "it has no members"
        way = "/member-0" if count else ""
        raise ConfigError(f"{wrong}: {problem}; name one model, as DIR/teacher{way}")
    if not config.teachers:
        raise ConfigError(
            f"{wrong}: its teacher is elsewhere, and left answers alone; name one of "
            "its students, or import these answers"
        )
    role = f"teacher.members[{member}]" if count else "teacher"
    return role, config.teachers[role].seed


def _entry(models: dict[str, Any], role: str, seed: int, wrong: str) -> dict[str, Any]:
    """The entry of one model in the results."""
    kind, _, member = role.partition(".members[")
    entries = models.get("member" if member else kind, {"seeds": []})["seeds"]
    if member:
        return dict(entries[int(member[:-1])])
    found = [each for each in entries if kind == "teacher" or each["seed"] == seed]
    if not found:
        known = ", ".join(str(each["seed"]) for each in entries) or "none"
        raise ConfigError(
            f"{wrong}: the run has tested no {role} of seed {seed}; tested seeds: "
            f"{known}; name one of these, or go on with the run"
        )
    return dict(found[0])
