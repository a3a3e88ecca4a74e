"""What a run is: a frozen dataclass per section of the TOML file.

Defaults live here and nowhere else; each field says its unit or meaning.
"""

import dataclasses
from typing import Annotated, Any, Literal

from trainer.config import relations
from trainer.config.data import DataConfig
from trainer.config.distill import DistillConfig
from trainer.config.errors import ConfigError
from trainer.config.models import MODELS
from trainer.config.rules import FILLED, OptionsOf, at_least, between
from trainer.config.runtime import RuntimeConfig
from trainer.config.training import TrainConfig

Seed = Annotated[int, between(0, 2**31 - 1)]
# "inherit" takes what runtime.precision comes to.
Precision = Literal["inherit", "float32", "mixed_bfloat16", "mixed_float16"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """The large network: trained here, or loaded from `weights` and used as it is."""

    model: Annotated[str, FILLED]  # a known name, or package.module:function
    options: Annotated[Any, OptionsOf("model", MODELS)]
    # A .keras or .weights.h5 file to start from; "imagenet" for keras.applications.
    weights: str = ""
    image_size: Annotated[int, at_least(0)] = 0  # pixels a side, resized in the model
    precision: Precision = "inherit"
    seed: Seed = 0  # of its initial weights, its data order and its dropout
    head: TrainConfig | None = None  # of the last layer alone, before `train`
    train: TrainConfig | None = None  # of all layers; absent: the weights are final


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """The small network; the baseline is the same, trained without the teacher."""

    model: Annotated[str, FILLED]  # a known name, or package.module:function
    options: Annotated[Any, OptionsOf("model", MODELS)]
    # A .keras or .weights.h5 file to start from; "imagenet" for keras.applications.
    weights: str = ""
    image_size: Annotated[int, at_least(0)] = 0  # pixels a side, resized in the model
    precision: Precision = "inherit"
    train: TrainConfig  # of the student and of the baseline


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """A whole run."""

    name: Annotated[str, FILLED]
    seeds: Annotated[tuple[Seed, ...], FILLED] = (0,)  # one student, one baseline each
    data: DataConfig
    teacher: TeacherConfig
    student: StudentConfig
    distill: DistillConfig = DistillConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    @property
    def trainings(self) -> dict[str, TrainConfig]:
        """The sections that say how a model is trained, by their names."""
        sections = {
            "teacher.head": self.teacher.head,
            "teacher.train": self.teacher.train,
            "student.train": self.student.train,
        }
        return {path: section for path, section in sections.items() if section}

    def __post_init__(self) -> None:
        """Checks the relations between settings."""
        relations.check_unique("seeds", self.seeds)
        relations.check_unique("data.exclude_labels", self.data.exclude_labels)
        relations.check_splits(self.data)
        relations.check_kind(self.data, self.trainings)
        relations.check_mixup(self.distill)
        for path, section in self.trainings.items():
            relations.check_train(path, section, self.runtime)
        for role in ("teacher", "student"):
            network = getattr(self, role)
            relations.check_weights(
                role,
                model=network.model,
                options=network.options,
                weights=network.weights,
                precision=network.precision,
                is_trained=network.train is not None,
            )
        has_weights = self.teacher.weights or self.teacher.model == "saved"
        if not (self.teacher.train or has_weights):
            raise ConfigError(
                "teacher must have a [teacher.train] section or weights, got neither"
            )
        if self.teacher.head and not self.teacher.train:
            raise ConfigError(
                "[teacher.head] must be followed by a [teacher.train] section, got "
                "none; rename it to [teacher.train], or add one"
            )
        relations.check_cadence(self.runtime)
        relations.check_profile(self.runtime)
