"""The folder of a run: where each file is, and which config it belongs to."""

import contextlib
import json
import pathlib
import shutil

from trainer import files
from trainer.config import Config, ConfigError, differences, resolved

# Of the run.
CONFIG = "config.json"
PREDICTIONS = "predictions.npz"
RESULTS = "results.json"
REPORT = "report/index.html"

LISTS = "files"  # of the images of a folder

# Of the report and of each training.
TENSORBOARD = "tensorboard"

# Of each training.
CHECKPOINTS = "checkpoints"
METRICS = "metrics.jsonl"
PROFILE = "profile"
LAST = "last.keras"  # the model after the last step
FINISHED = "model.keras"  # the model of the step that was best on validation


def training_folder(workdir: pathlib.Path, role: str, seed: int) -> pathlib.Path:
    """Where the files of a "teacher_head", "teacher", "student" or "baseline" are."""
    # There is one teacher for all seeds.
    of_teacher = role in ("teacher_head", "teacher")
    return workdir / role if of_teacher else workdir / role / f"seed-{seed}"


def is_finished(workdir: pathlib.Path) -> bool:
    """Whether a whole run has ended there: the report is drawn last."""
    return (workdir / RESULTS).exists() and (workdir / REPORT).exists()


def claim(workdir: pathlib.Path, config: Config) -> None:
    """Makes the workdir this run's, or finds that it is.

    Raises:
      ConfigError: it holds a run with another config.
      StorageError: it cannot be written.
    """
    check(workdir, config)
    if not _holds_training(workdir):
        # Nothing has begun with what an earlier attempt listed.
        shutil.rmtree(workdir / LISTS, ignore_errors=True)
    # Written again: devices and paths may have changed.
    files.write_json(workdir / CONFIG, resolved(config))


def check(workdir: pathlib.Path, config: Config) -> None:
    """Finds the workdir free for this run, or this run's; writes nothing.

    Raises:
      ConfigError: it holds a run with another config.
    """
    path = workdir / CONFIG
    changed = differences(_read(path), resolved(config)) if path.exists() else []
    # Nothing is lost where a mistake in the config ended the run before it trained.
    if changed and _holds_training(workdir):
        raise ConfigError(
            f"--workdir {workdir} holds a run with another config "
            f"({'; '.join(changed)}); choose another --workdir, or set these back"
        )


def try_writing(workdir: pathlib.Path, *, num_bytes: int) -> int:
    """Writes and removes a file, and folders that are not there; gives bytes free.

    Raises:
      StorageError: the folder cannot be written.
    """
    made = [folder for folder in (workdir, *workdir.parents) if not folder.exists()]
    file = workdir / "write-test"
    try:
        with files.atomic_path(file) as temporary:
            temporary.write_bytes(bytes(num_bytes))
        file.unlink()
        return shutil.disk_usage(workdir).free
    finally:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _holds_training(workdir: pathlib.Path) -> bool:
    return any(
        next((workdir / role).rglob(kind), None)
        for role in ("teacher_head", "teacher", "student", "baseline")
        for kind in ("step-*.npz", "*.keras")
    )


def _read(path: pathlib.Path) -> dict[str, object]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, OSError) as error:
        raise ConfigError(
            f"{path} must be the config of an earlier run, got something else "
            f"({error}); choose another --workdir"
        ) from error
