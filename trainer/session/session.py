"""What the stages of one run share: its config, workdir, devices, data and teacher."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from etils import epath

from trainer import data, models
from trainer.cluster.hold import FREE, Hold, is_free
from trainer.cluster.termination import Termination
from trainer.cluster.workers import Workers
from trainer.config import (
    Config,
    ConfigError,
    EnsembleConfig,
    SavedOptions,
    StudentConfig,
    TeacherConfig,
)
from trainer.devices import distribution
from trainer.evaluation import metrics
from trainer.evaluation.predictor import predictor
from trainer.session.named_models import Models
from trainer.storage import workdir


@dataclasses.dataclass(frozen=True)
class Session:
    """One run in one process. Data and teacher are loaded when first asked for."""

    config: Config
    path: epath.Path  # the workdir
    strategy: tf.distribute.Strategy
    workers: Workers
    termination: Termination
    lists: epath.Path  # the folder of the lists of files that give them their ids
    pins: epath.Path  # the folder that says which registered models it began with
    hold: Hold = FREE  # of the workdir, where the chief trains there
    begun: epath.Path | None = None  # the run's workdir, where `path` stands for it
    qualified: set[str] = dataclasses.field(init=False, default_factory=set)  # roles
    savable: set[str] = dataclasses.field(init=False, default_factory=set)  # sections
    _folded: dict[keras.Model, keras.Model] = dataclasses.field(
        init=False, default_factory=dict
    )

    def beside(self, config: Config, path: epath.Path) -> "Session":
        """Another run in this process, on the same devices and workers."""
        return dataclasses.replace(
            self, config=config, path=path, lists=path / workdir.LISTS, pins=path
        )

    @functools.cached_property
    def sources(self) -> tuple[data.Source, ...]:
        """The dataset and that of data.unlabeled; the chief lists what has to be."""

        def opened() -> tuple[data.Source, ...]:
            if self.config.distill.is_cached:
                # The ids of a cache are lines of its own lists.
                caches = workdir.soft_targets_folder(self.path, self.config)
                kept = caches / workdir.LISTS
                data.take_over(self.config.data, kept, self.lists, are_own=False)
            section, may_write = self.config.data, self._may_write
            sources = data.open_sources(section, self.lists, may_write=may_write)
            if self.workers.is_chief:  # with which the others are compared
                data.hold_contents(sources[0], self.lists, may_write=may_write)
            has_begun = bool(workdir.kept(self.begun or self.path))
            return tuple(
                data.as_begun(source, lists, has_begun=has_begun, may_write=may_write)
                for source, (_, lists) in zip(
                    sources, data.parts(section, self.lists), strict=True
                )
            )

        return self.workers.chief_first(opened)

    @property
    def _may_write(self) -> bool:
        """Whether no other process keeps what the workdir says of the data."""
        is_own = self.hold is not FREE or is_free(self.path)
        return self.workers.is_chief and is_own

    def file(self, name: str, *, setting: str) -> str:
        """The path of a model of the data's classes that `setting` names."""
        return self._models.file(name, self.source.class_names, setting=setting)

    @functools.cached_property
    def _models(self) -> Models:
        return Models(self.config, self.pins, self.workers)

    @property
    def source(self) -> data.Source:
        """The dataset that has labels."""
        return self.sources[0]

    @functools.cached_property
    def stop(self) -> tf.Variable:
        """What steps read to learn that this process is to end."""
        return distribution.stop_flag()

    @functools.cached_property
    def training(self) -> data.Examples:
        """All training examples: the teacher's."""
        return self.read(self.config.data.train_split)

    @functools.cached_property
    def labeled(self) -> data.Examples:
        """Those of the students' training examples that have labels.

        They are without data.exclude_labels.
        """
        section = self.config.data
        split = section.transfer_split
        examples = self.read(split) if split else self.training
        return data.without_labels(examples, section.exclude_labels)

    @functools.cached_property
    def transfer(self) -> data.Examples:
        """The students' training examples, with those of data.unlabeled."""
        unlabeled = self.config.data.unlabeled
        if unlabeled is None:
            return self.labeled
        others = self.read_from(self.sources[1], unlabeled.split)
        return data.concatenate(self.labeled, others)

    @functools.cached_property
    def validation(self) -> data.Examples:
        """The examples that select a checkpoint."""
        return self.read(self.config.data.validation_split)

    def read(self, split: str) -> data.Examples:
        """The examples of `split`, which are the same on all workers.

        Raises:
          DataError: they are not, or cannot be read.
        """
        return self.read_from(self.source, split)

    def read_from(self, source: data.Source, split: str) -> data.Examples:
        """The examples of `split` of one of the sources, as `read` has them."""
        examples = source.read(split)
        if self.workers.count == 1:
            return examples
        digest = hashlib.sha256(repr(source.class_names).encode())
        for array in (examples.ids, examples.labels):
            digest.update(np.ascontiguousarray(array).tobytes())
        if source.data.is_table:
            digest.update(examples.read(np.arange(len(examples))).tobytes())
        disagreement = data.DataError(
            f"all workers must read the same examples of {split!r} in "
            f"{source.data.setting} {source.data.dataset!r}, got others on some of "
            "them; give all the same files"
        )
        self.workers.agree(digest.hexdigest(), disagreement)
        return examples

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
    def teacher_validation_logits(self) -> np.ndarray:
        """The teacher's answers to the validation images: float32 [M, C]."""
        return self.together(self.teachers_validation_logits)

    @functools.cached_property
    def teachers_validation_logits(self) -> list[np.ndarray]:
        """Logits [M, C] of the teacher, or of each member of an ensemble in order."""
        return [self.predictor(model, self.validation)() for model in self.teachers]

    def together(self, logits: Sequence[np.ndarray]) -> np.ndarray:
        """What the teacher says at T = 1, of the logits of its networks: [M, C]."""
        teacher = self.config.teacher
        if isinstance(teacher, EnsembleConfig):
            return metrics.ensemble_logits(logits, weights=teacher.weights)
        (only,) = logits
        return only

    def folder(self, role: str, seed: int) -> epath.Path:
        """Where the files of the training in a role are."""
        return workdir.training_folder(self.path, role, seed)

    @property
    def description(self) -> str:
        """One line on where the run executes."""
        return distribution.describe(self.strategy, self.config.runtime)

    @property
    def xla(self) -> bool:
        """Whether XLA compiles what the devices compute."""
        return distribution.compiles_with_xla(self.config.runtime)

    def build(self, role: str, seed: int) -> keras.Model:
        """The model of a role with the weights of `seed`; a baseline is a student.

        The roles of teachers are the names of their sections: "teacher", or
        "teacher.members[0]".
        """
        with self.strategy.scope():
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
        return models.build(
            section.model,
            options,
            inputs=self.inputs(role),
            num_classes=len(self.source.class_names),
            seed=seed,
            precision=precision or self.precision(role),
            setting=setting,
        )

    def inputs(self, role: str) -> models.Inputs:
        """The shape and the statistics of the inputs of the model in a role."""
        return models.Inputs(
            shape=self.source.input_shape,
            mean_and_variance=self.source.mean_and_variance,
            row_dtype=self.source.input_dtype,
            image_size=self._section(role).image_size,
        )

    def folded(self, teacher: keras.Model) -> keras.Model:
        """A network that answers as a frozen teacher does, with fewer operations.

        The same each time: the layers that both share would keep each in memory.
        """
        if teacher not in self._folded:
            with self.strategy.scope():
                self._folded[teacher] = models.folded(teacher)
        return self._folded[teacher]

    def precision(self, role: str) -> str:
        """The Keras dtype policy of the model in a role."""
        own = self._section(role).precision
        return distribution.precision(own, self.config.runtime)

    def _section(self, role: str) -> TeacherConfig | StudentConfig:
        return self.config.teachers.get(role, self.config.student)

    def predictor(
        self, model: keras.Model, examples: data.Examples
    ) -> Callable[[], np.ndarray]:
        """A function to the model's present logits of all examples: float32 [M, C]."""
        return predictor(
            model,
            examples,
            batch_size=self.config.runtime.eval_batch_size,
            stop=self.stop,
            watched=self.termination.watched,
            strategy=self.strategy,
            xla=self.xla,
        )

    def validate(self, logits: np.ndarray) -> dict[str, float]:
        """Metrics of validation logits [M, C] against the labels."""
        return metrics.classification_metrics(logits, self.validation.labels)

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
            way_out=f"delete it and run `python -m trainer {stage}` again",
        )
