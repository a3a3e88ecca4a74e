"""The folder of a run: where each file is, and which config it belongs to."""

import contextlib
import fnmatch
from collections.abc import Iterator
from typing import Literal

from etils import epath

from trainer.config import (
    Config,
    ConfigError,
    EvaluateConfig,
    SavedOptions,
    differences,
    flatten,
    memory,
    recorded_settings,
    resolve,
    value_before,
)
from trainer.storage import files, lists, seal

# Of the run.
CONFIG = "config.json"
PREDICTIONS = "predictions.npz"
RESULTS = "results.json"
EXPORT = "export"  # the folder of the model in all formats
EXPORTED = "export/export.json"  # how far they are from it
CROSSVAL_RESULTS = "crossval.json"
REPORT = "report/index.html"

LISTS = "files"  # of the images of a folder
TABLES = "tables.json"  # among them, the contents of tables
CONTENTS = "contents.json"  # and of what else is known by its contents
RECORDS = "records"  # of examples of Python objects that are too large for memory
WEIGHTS = "weights.json"  # checksums of the files of weights that it began with
PINS = "registered.json"  # the versions that references to the registry stand for
SOFT_TARGETS = "soft_targets"
IMPORTED = "imported.json"  # in it, the files that answers were imported from

# Of a study, whose cells are runs.
STUDY = "study.json"
CELLS = "cells"
DIVERGED = "diverged.json"  # of a cell that came to nothing

# Of a sweep, whose trials are cells.
SWEEP = "sweep.json"
BEST = "best.toml"

# Of a watch, whose batches are cells.
WATCH = "watch.json"

# Of the report and of each training.
TENSORBOARD = "tensorboard"

# Of each training.
ROLES = ("teacher_head", "teacher", "student", "baseline", "finetune")
OF_SEEDS = ("student", "baseline", "finetune")  # among them, one for each seed
CHECKPOINTS = "checkpoints"
METRICS = "metrics.jsonl"
PROFILE = "profile"
LAST = "last.keras"  # the model after the last step
FINISHED = "model.keras"  # the model of the step that was best on validation

CROSSVAL = "crossval"  # the folder of the trainings of all folds


class OtherConfigError(ConfigError):
    """The config of a run is not the one that its workdir keeps."""

    def __init__(self, found: str, way: str) -> None:
        super().__init__(f"{found}; {way}")
        self.found = found  # the settings that differ


def training_folder(workdir: epath.Path, role: str, seed: int) -> epath.Path:
    """The folder of the files of one training, whose `role` is one of ROLES.

    A member of an ensemble is a "teacher.members[0]", its head a
    "teacher_head.members[0]".
    """
    kind, _, member = role.partition(".members[")
    # There is one teacher for all seeds.
    if kind not in ("teacher_head", "teacher"):
        return workdir / role / f"seed-{seed}"
    return workdir / kind / f"member-{member[:-1]}" if member else workdir / kind


def soft_targets_folder(workdir: epath.Path, config: Config) -> epath.Path:
    """The folder of the caches of soft targets, which runs may share.

    Raises:
      StorageError: the setting names a store that cannot be reached from here.
    """
    name, own = config.distill.soft_targets_dir, workdir / SOFT_TARGETS
    folder = files.path_of(name, setting="distill.soft_targets_dir") if name else own
    # It may hold the files of answers, of which caches are made in the workdir.
    are_files = config.distill.is_imported and not files.exists(folder / IMPORTED)
    return own if are_files else folder


def is_finished(workdir: epath.Path, config: Config) -> bool:
    """Whether a whole run has ended there: the report is drawn last."""
    is_there = (workdir / RESULTS).exists() and (workdir / REPORT).exists()
    return is_there and _are_complete(workdir / RESULTS, config)


def is_evaluated(workdir: epath.Path, config: Config) -> bool:
    """Whether nothing but the report may be missing."""
    is_there = all((workdir / name).exists() for name in (PREDICTIONS, RESULTS))
    return is_there and _are_complete(workdir / RESULTS, config)


def _are_complete(results: epath.Path, config: Config) -> bool:
    """Whether the results are of all seeds, and what the evaluate section asks for."""
    asked = config.evaluate.of_results
    # Results of a version without the section are those that its defaults ask for.
    tested = EvaluateConfig().of_results
    for name in asked:
        for value in value_before(f"evaluate.{name}"):
            tested[name] = value
    try:
        found = seal.parse(results.read_bytes())
        tested |= found.get("evaluate", {})
        if tested != asked:
            return False
        seeds = [entry["seed"] for entry in found["models"]["student"]["seeds"]]
    except (AttributeError, KeyError, TypeError, ValueError):
        return True  # damaged, which those tell who read all of it
    return seeds == list(config.seeds)


def read_config(workdir: epath.Path) -> dict[str, object]:
    """The resolved config of the run there.

    Raises:
      ConfigError: there is no run, or the file is damaged.
    """
    path = workdir / CONFIG
    if not files.exists(path):
        raise ConfigError(
            f"--workdir must be of a run, got {workdir}, which has no {CONFIG}; name "
            "the folder that python -m trainer run was given"
        )
    return _read(path)


def claim(workdir: epath.Path, config: Config) -> None:
    """Makes the workdir this run's, or finds that it is.

    Raises:
      ConfigError: it holds a run with another config.
      StorageError: it cannot be written.
    """
    is_bound = check(workdir, config)
    if not is_bound:
        # Nothing has begun with what an earlier attempt found.
        with files.wrap_write_errors(workdir), contextlib.suppress(OSError):
            (workdir / PINS).unlink(missing_ok=True)
            (workdir / WEIGHTS).unlink(missing_ok=True)
            lists.set_aside(workdir / LISTS)
    choice = _chosen_soft_targets(workdir) if is_bound else None
    if choice and config.distill.soft_targets == "auto":
        config = config.with_soft_targets(choice)
    record(workdir, config)


def record(workdir: epath.Path, config: Config) -> None:
    """Writes the config there, again where devices and paths may have changed."""
    files.write_json(workdir / CONFIG, seal.add_checksum(recorded_settings(config)))


def chosen_soft_targets(workdir: epath.Path) -> Literal["online", "cached"] | None:
    """The source of soft targets that the trainings there have begun with.

    None where nothing has trained: it can still be chosen.
    """
    return _chosen_soft_targets(workdir) if holds_training(workdir) else None


def _chosen_soft_targets(workdir: epath.Path) -> Literal["online", "cached"] | None:
    if not files.exists(workdir / CONFIG):
        return None
    kept = flatten(_read(workdir / CONFIG)).get("distill.soft_targets")
    return kept if kept in ("online", "cached") else None


def check(workdir: epath.Path, config: Config) -> bool:
    """Whether the workdir is this run's by now, or free for it; writes nothing.

    Raises:
      ConfigError: it holds a run with another config.
    """
    # Nothing is lost where a mistake in the config ended the run before it trained.
    is_bound = holds_training(workdir)
    if is_bound:
        check_same(workdir, config, is_bound=True)
    return is_bound


def check_same(workdir: epath.Path, config: Config, *, is_bound: bool = False) -> None:
    """Finds that the config there is this run's; there is one if students have begun.

    Raises:
      OtherConfigError: it is another run's.
    """
    path = workdir / CONFIG
    with files.wrap_read_errors(workdir):
        # A run of an earlier version does not know what its table held.
        may_move = (workdir / LISTS / TABLES).exists()
        changed = []
        if path.exists() or (is_bound and holds_training(workdir, *OF_SEEDS)):
            now, kept = resolve(config), _read(path)
            _drop_untrained(workdir, kept.get("seeds"), now["seeds"])
            changed = differences(kept, now, tables_may_move=may_move)
    if changed:
        folder = config.data.path if config.data.is_folder else ""
        why = (
            f"; {folder} is not there, by which splits that are not set are chosen"
            if folder and not files.exists(epath.Path(folder))
            else ""
        )
        raise OtherConfigError(
            f"--workdir {workdir} holds a run with another config "
            f"({'; '.join(changed)})",
            f"choose another --workdir, or set these back{why}"
            f"{_teacher_kept(workdir, config, changed)}"
            f"{memory.way_out(config.teachers, changed)}",
        )


def _drop_untrained(run: epath.Path, known: object, asked: list[int]) -> None:
    """Takes the last of the `known` seeds away that are not `asked` for any more.

    Those with a training stay. A command may have ended before one began.
    """
    while isinstance(known, list) and known[-1:] and known[-1] not in asked:
        if any(training_folder(run, x, known[-1]).exists() for x in OF_SEEDS):
            return
        known.pop()


def _teacher_kept(workdir: epath.Path, config: Config, changed: list[str]) -> str:
    """The settings that give another run the teacher trained there, if there is one."""
    kept = []
    for role, teacher in config.teachers.items():
        file = training_folder(workdir, role, teacher.seed) / FINISHED
        if teacher.train is None or not file.exists():
            return ""
        if isinstance(teacher.options, SavedOptions):
            name = teacher.options.of_saved(str(file)).input
            kept.append(f'{role}.options = {{path = "{file}", input = "{name}"}}')
        else:
            kept.append(f'{role}.weights = "{file}"')
    if any(path.startswith("teacher") for path in changed):
        return ""
    return (
        f"; another --workdir gets its teacher with {' and '.join(kept)}, and without "
        "its head and train"
    )


def kept_files(workdir: epath.Path) -> list[str]:
    """Lists what later starts go on from: checkpoints, models and results.

    Those of a study's cells are among them.
    """
    results = {RESULTS} & files.names_in(workdir)
    return sorted(_trained_files(workdir)) + sorted(results)


def holds_training(workdir: epath.Path, *roles: str) -> bool:
    """Whether a training, maybe of `roles`, has begun; else a run begins anew."""
    return any(_trained_files(workdir, *roles))


def _trained_files(run: epath.Path, *roles: str) -> Iterator[str]:
    """The checkpoints and models there, or of `roles`, found one after the other."""
    names = files.names_in(run)
    for role in (*ROLES, CROSSVAL):
        is_asked_for = role in names and (not roles or role in roles)
        for path in files.walk(run / role) if is_asked_for else ():
            if fnmatch.fnmatch(path.name, "step-*.npz") or path.suffix == ".keras":
                yield f"{path.parent.relative_to(run)}/{path.name}"
    for cell in files.list_folder(run / CELLS) if CELLS in names and not roles else ():
        for name in _trained_files(cell):
            yield f"{CELLS}/{cell.name}/{name}"


def _read(path: epath.Path) -> dict[str, object]:
    try:
        return seal.parse(path.read_bytes())
    except (ValueError, TypeError, OSError) as error:
        raise ConfigError(
            f"{path} must be the config of an earlier run, got something else "
            f"({error}); put it back, or choose another --workdir"
        ) from error
