"""Networks of a run: how they are built, loaded and frozen."""

import dataclasses
import functools
from collections.abc import Sequence

import keras
import numpy as np
from etils import epath

from trainer import models
from trainer.config import (
    ClassMap,
    Config,
    ConfigError,
    EnsembleConfig,
    SavedOptions,
    StudentConfig,
    TeacherConfig,
)
from trainer.devices import distribution
from trainer.evaluation import metrics
from trainer.session.datasets import Datasets
from trainer.session.embeddings import embedding_format
from trainer.session.given import Given
from trainer.session.imported import Imported
from trainer.session.named_models import NamedModels
from trainer.session.run_devices import Devices
from trainer.session.teacher_classes import TeacherClasses
from trainer.soft_targets import EmbeddingFormat
from trainer.storage import workdir


@dataclasses.dataclass(frozen=True, kw_only=True)
class Networks:
    """The teachers and students of a run; teachers are loaded when first asked for."""

    config: Config
    path: epath.Path  # the workdir
    lock_dir: epath.Path  # the folder that says which registered models it began with
    devices: Devices
    datasets: Datasets
    given: Given = dataclasses.field(default_factory=Given)
    qualified: set[str] = dataclasses.field(init=False, default_factory=set)  # roles
    savable: set[str] = dataclasses.field(init=False, default_factory=set)  # sections
    _validation_logits: dict[float, np.ndarray] = dataclasses.field(
        init=False, default_factory=dict
    )
    _folded: dict[tuple[keras.Model, frozenset[str]], keras.Model] = dataclasses.field(
        init=False, default_factory=dict
    )

    def file(self, name: str, *, setting: str) -> str:
        """The path of a model that `setting` names, of the classes that it should."""
        owner = setting.removesuffix(".weights").removesuffix(".options.path")
        shape = self.datasets.source.input_shape
        return self._models.file(name, self.classes(owner), shape, setting=setting)

    def classes(self, role: str) -> tuple[str, ...]:
        """The names of the classes that the model in a role predicts, in their order.

        They are those of the data, but of a teacher with a class_map.
        """
        return self._teacher_classes.names(role)

    @functools.cached_property
    def imported(self) -> Imported | None:
        """The answers of a teacher that is elsewhere; None where it is here."""
        if not self.config.distill.is_imported:
            return None
        root = workdir.soft_targets_folder(self.path, self.config)
        return Imported(config=self.config, datasets=self.datasets, root=root)

    @property
    def class_maps(self) -> list[ClassMap | None]:
        """The map of the classes of each teacher to the data's; None where they are so.

        Raises:
          ConfigError: one names what is not there.
        """
        if self.imported:
            return [self.imported.class_map]
        return self._teacher_classes.maps

    def class_map(self, role: str) -> ClassMap | None:
        """The map of the teacher in a role."""
        return self.class_maps[list(self.config.teachers).index(role)]

    @functools.cached_property
    def _teacher_classes(self) -> TeacherClasses:
        names = self.datasets.source.class_names
        return TeacherClasses(self.config, self.path, names, self._models)

    @functools.cached_property
    def _models(self) -> NamedModels:
        return NamedModels(self.config, self.lock_dir, self.devices.workers)

    @functools.cached_property
    def teachers(self) -> list[keras.Model]:
        """The finished teacher, or each member of an ensemble in order, frozen."""
        found = []
        for role, section in self.config.teachers.items():
            model = self.build(role, section.seed)
            folder = self.folder(role, section.seed)
            self.load(model, folder / workdir.FINISHED, stage="teacher")
            model.trainable = False
            found.append(model)
        return found

    @functools.cached_property
    def embeddings(self) -> list[EmbeddingFormat]:
        """The embedding of the teacher, or of each member in order, as caches keep it.

        Raises:
          ConfigError: a teacher has none that is one vector.
        """
        if self.imported and self.imported.format.embedding:
            return [self.imported.format.embedding]
        return [self._embedding(role) for role in self.config.teachers]

    def _embedding(self, role: str) -> EmbeddingFormat:
        model = self.build_alone(role, self.config.teachers[role].seed)
        return embedding_format(
            model,
            self.inputs(role).examples(),
            role=role,
            dtype=self.config.distill.cache_embedding_dtype,
        )

    @property
    def teacher_validation_logits(self) -> np.ndarray | None:
        """The teacher's predictions for the validation images: float32 [M, C].

        None where it is elsewhere, and nothing of it on these is imported.
        """
        if not self.teachers_validation_logits:
            return None
        return self.teacher_validation_logits_at(1.0)

    @functools.cached_property
    def teachers_validation_logits(self) -> list[np.ndarray]:
        """Logits [M, K] of the teacher, or of each member of an ensemble in order.

        They are over the classes that each predicts; of imported answers there may be
        none.
        """
        if self.imported:
            found = self.imported.logits("validation", self.datasets.validation)
            return [] if found is None else [found]
        return [
            self.devices.predictor(model, self.datasets.validation, role=role)()
            for role, model in zip(self.config.teachers, self.teachers, strict=True)
        ]

    @functools.cached_property
    def teacher_validation_nll(self) -> float:
        """The teacher's mean cross-entropy with the validation labels, in nats."""
        found = self.datasets.validate(self.teacher_validation_logits_at(1.0))
        return float(found["nll"])

    def teacher_validation_logits_at(self, temperature: float) -> np.ndarray:
        """The teacher's predictions for the validation images at T: float32 [M, C].

        There have to be some.
        """
        if temperature not in self._validation_logits:
            self._validation_logits[temperature] = self.combine_logits(
                self.teachers_validation_logits, temperature=temperature
            )
        return self._validation_logits[temperature]

    def combine_logits(
        self, logits: Sequence[np.ndarray], *, temperature: float = 1.0
    ) -> np.ndarray:
        """Combines logits [M, K] of each of the teacher's networks at T: [M, C]."""
        members = self.map_logits(logits, temperature=temperature)
        return self.average_logits(members, temperature=temperature)

    def average_logits(
        self, members: Sequence[np.ndarray], *, temperature: float = 1.0
    ) -> np.ndarray:
        """Logits of the average of members' probabilities: [M, C] each -> [M, C]."""
        teacher = self.config.teacher
        if isinstance(teacher, EnsembleConfig):
            return metrics.ensemble_logits(
                members, weights=teacher.weights, temperature=temperature
            )
        (only,) = members
        return only

    def map_logits(
        self, logits: Sequence[np.ndarray], *, temperature: float = 1.0
    ) -> list[np.ndarray]:
        """Logits [M, K] of each of the networks over the data's classes: [M, C]."""
        pairs = zip(logits, self.class_maps, strict=True)
        return [metrics.map_logits(x, found, temperature) for x, found in pairs]

    def folder(self, role: str, seed: int) -> epath.Path:
        """The folder of the files of the training in a role."""
        return workdir.training_folder(self.path, role, seed)

    def build(self, role: str, seed: int) -> keras.Model:
        """The model of a role with the weights of `seed`; a baseline is a student.

        The roles of teachers are the names of their sections: "teacher", or
        "teacher.members[0]".
        """
        with self.devices.strategy.scope():
            return self.build_alone(role, seed)

    def build_alone(
        self, role: str, seed: int, *, precision: str | None = None
    ) -> keras.Model:
        """The same model, in this process alone and on one device."""
        section = self._section(role)
        setting = role if role in self.config.teachers else "student"
        options = section.options
        if isinstance(options, SavedOptions):
            options = dataclasses.replace(
                options, path=self.file(options.path, setting=f"{setting}.options.path")
            )
        model = models.build(
            section.model,
            options,
            inputs=self.inputs(role),
            num_classes=len(self.classes(role)),
            seed=seed,
            precision=precision or self.precision(role),
            setting=setting,
            given=self.given.models.get(setting),
        )
        teacher = self.given.models.get("teacher")
        if setting == "student" and teacher and isinstance(teacher.source, keras.Model):
            models.check_apart(model, teacher.source, setting="student.model")
        return model

    def inputs(self, role: str) -> models.Inputs:
        """The shape and the statistics of the inputs of the model in a role."""
        return models.Inputs(
            shape=self.datasets.source.input_shape,
            mean_and_variance=self.datasets.source.mean_and_variance,
            dtype=self.datasets.source.input_dtype,
            value_range=self.datasets.source.value_range,
            image_size=self._section(role).image_size,
        )

    def fold(
        self, teacher: keras.Model, tapped: frozenset[str] = frozenset()
    ) -> keras.Model:
        """A network that predicts as a frozen teacher does, with fewer operations.

        The outputs of the layers at the paths `tapped` are in it. The same each time:
        the layers that both share would keep each in memory.
        """
        if (teacher, tapped) not in self._folded:
            with self.devices.strategy.scope():
                folded = models.fold_batch_norm(teacher, tapped=tapped)
            self._folded[teacher, tapped] = folded
        return self._folded[teacher, tapped]

    def precision(self, role: str) -> str:
        """The Keras dtype policy of the model in a role."""
        own = self._section(role).precision
        return distribution.precision(own, self.config.runtime)

    def _section(self, role: str) -> TeacherConfig | StudentConfig:
        return self.config.teachers.get(role, self.config.student)

    def check_left(self, path: epath.Path, *, stage: str) -> None:
        """Looks whether `stage` has left its model in `path`.

        Raises:
          ConfigError: the stage has not been run in this workdir.
        """
        if not path.exists():
            raise ConfigError(
                f"{path} must be there first, got no such file; run "
                f"`python -m trainer {stage}` with the same --config and --workdir"
            )

    def load(self, model: keras.Model, path: epath.Path, *, stage: str) -> None:
        """Sets the weights of `model` to those that `stage` left in `path`.

        Raises:
          ConfigError: the stage has not been run in this workdir.
        """
        self.check_left(path, stage=stage)
        models.load_weights(
            model,
            str(path),
            setting=f"what the {stage} stage left",
            hint=f"delete it and run `python -m trainer {stage}` again",
        )
