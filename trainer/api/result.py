"""Results of a run, as a Python program gets them."""

import dataclasses
import functools
import html
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from etils import epath

from trainer import report as reports
from trainer.api.job import Job
from trainer.api.settings import listed, merged, plain
from trainer.config import ConfigError, EnsembleConfig
from trainer.report import more_seeds
from trainer.storage import files, workdir

if TYPE_CHECKING:
    import keras

_HEIGHT = 600  # pixels of a page in a notebook


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gain:
    """The test errors that the teacher saved its student, over the seeds."""

    mean: float
    standard_error: float | None  # None of one seed
    per_seed: tuple[float, ...]

    def __str__(self) -> str:
        return reports.format_count(self.mean, self.standard_error)


class Page(type(pathlib.Path())):  # type: ignore[misc]
    """The path of an HTML page, which a notebook shows."""

    def _repr_html_(self) -> str:
        content = html.escape(self.read_text(encoding="utf-8"))
        return (
            f'<iframe srcdoc="{content}" width="100%" height="{_HEIGHT}" '
            'style="border: 0"></iframe>'
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """A finished run: its models, its numbers and its page."""

    job: Job = dataclasses.field(repr=False)

    @property
    def workdir(self) -> epath.Path:
        """The folder of the run's files."""
        return self.job.path

    @functools.cached_property
    def student(self) -> "keras.Model":
        """The distilled student of the first seed."""
        return self.model("student")

    @functools.cached_property
    def baseline(self) -> "keras.Model":
        """The same network of the first seed, trained without the teacher."""
        return self.model("baseline")

    @functools.cached_property
    def teacher(self) -> Any:
        """The teacher's model; of an ensemble, a list of its members'.

        Raises:
          ConfigError: it is elsewhere, and its answers were imported.
        """
        roles = list(self.job.config.teachers) or ["teacher"]
        is_one = not isinstance(self.job.config.teacher, EnsembleConfig)
        found = [self.model(role) for role in roles]
        return found[0] if is_one else found

    def model(self, role: str, seed: int | None = None) -> "keras.Model":
        """The model of a role, "student" say, that was best on the validation split.

        Without a `seed` it is that of the first.
        """
        config = self.job.config
        self._check(role, seed)
        given = self.job.models.get(role)
        if given is not None and given.problem is not None:
            return given.source
        # Loads TensorFlow, and the layers that its file may name.
        import keras

        from trainer import models

        own = config.seeds[0] if seed is None else seed
        file = workdir.training_folder(self.workdir, role, own) / workdir.FINISHED
        with (
            files.wrap_read_errors(file, disks_too=True),
            files.local_copy(file) as local,
            self.job.known_classes(),
        ):
            models.check_archive(local)
            return keras.models.load_model(str(local), compile=False)

    def _check(self, role: str, seed: int | None) -> None:
        config = self.job.config
        students = ["student", "baseline", *(["finetune"] if config.finetune else [])]
        roles = [*config.teachers, *students]
        if role not in roles:
            raise ConfigError(
                f"role must be one of {', '.join(map(repr, roles))}, got {role!r}"
            )
        seeds = config.seeds
        if role in config.teachers:
            seeds = (config.teachers[role].seed,)
        if seed is not None and seed not in seeds:
            raise ConfigError(
                f"seed of {role!r} must be one of {list(seeds)}, got {seed}"
            )

    @functools.cached_property
    def metrics(self) -> dict[str, Any]:
        """All numbers of the models on the test split: the content of results.json."""
        return reports.read_results(self.workdir)

    @property
    def table(self) -> str:
        """The models beside each other, as text."""
        way = more_seeds.way(self.metrics, self.workdir)
        return reports.render(self.metrics, way)

    @property
    def gain(self) -> Gain:
        """The errors that distillation saved, against the baseline."""
        found = self.metrics["gain"]["errors"]
        return Gain(
            mean=found["mean"],
            standard_error=found["standard_error"],
            per_seed=tuple(found["per_seed"]),
        )

    @property
    def report(self) -> Page | None:
        """The page of the run; None where it could not be drawn."""
        page = self.workdir / workdir.REPORT
        return Page(page) if files.exists(page) else None

    def export(
        self,
        formats: Sequence[str] | None = None,
        *,
        role: str = "student",
        seed: int | None = None,
    ) -> epath.Path:
        """Writes a model in other formats, and compares each with it.

        They are those of `export.formats`: "saved_model", "keras", "tflite_float32",
        "tflite_float16", "tflite_int8" and "onnx"; gives the folder that they are in.

        Raises:
          ConfigError: there is no such format or model, or nothing here runs it.
          CheckFailedError: a format's predictions are too far from the model's.
        """
        chosen: dict[str, Any] = {}
        if formats is not None:
            chosen["formats"] = listed("formats", formats, example="['keras']")
        self._do("export", {"export": chosen | _selection(role, seed)})
        return self.workdir / workdir.EXPORT

    def register(
        self,
        root: str | os.PathLike[str],
        name: str | None = None,
        *,
        role: str = "student",
        seed: int | None = None,
    ) -> str:
        """Makes a model the next version of the model `name` in the registry `root`.

        Without a `name` it is that of the run. Gives the version as settings name it:
        "registry:NAME@VERSION".

        Raises:
          ConfigError: there is no such model, or the name cannot be that of a folder.
          StorageError: the registry cannot be written, or another writer is at work.
          CheckFailedError: the SavedModel's predictions are not the model's.
        """
        if not isinstance(root, str | os.PathLike):
            raise ConfigError(
                f"root must be the folder of the registry, got {root!r}; for example "
                "root='runs/registry'"
            )
        place = {"root": root} | ({} if name is None else {"name": name})
        sections = {"registry": place, "export": _selection(role, seed)}
        return self._do("registry register", sections)

    def _do(self, stage: str, sections: dict[str, Any]) -> str:
        """Does a stage with the settings of the run and those of `sections`."""
        # Another call may have added some.
        seeds = workdir.read_config(self.workdir)["seeds"]
        settings = merged(self.job.settings, {"seeds": seeds, **plain(sections)})
        return dataclasses.replace(self.job, settings=settings, callbacks=()).do(
            (stage,)
        )

    def __str__(self) -> str:
        return reports.outcome(self.workdir)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def _selection(role: str, seed: int | None) -> dict[str, Any]:
    """The settings of [export] on the model that leaves the run."""
    return {"role": role, "seed": -1 if seed is None else seed}
