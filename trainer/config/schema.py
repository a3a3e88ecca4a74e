"""The schema of a run: a frozen dataclass per section of the TOML file.

Defaults live here and nowhere else; each field says its unit or meaning.
"""

import dataclasses
from typing import Annotated, Any, Literal

from trainer.config import (
    augmentations,
    class_map,
    data_relations,
    distill,
    evaluation,
    export,
    groups,
    imported,
    memory,
    mixing_relations,
    places,
    registry,
    relations,
    run_model,
    selection,
    tracking,
    watch,
)
from trainer.config.crossval import CrossvalConfig
from trainer.config.data import DataConfig
from trainer.config.distill import DistillConfig, DistillTermsConfig
from trainer.config.errors import gathering
from trainer.config.evaluation import EvaluateConfig
from trainer.config.export import ExportConfig
from trainer.config.mixing import MixConfig
from trainer.config.models import HUB, MODELS
from trainer.config.predict import PredictConfig
from trainer.config.registry import Reference, RegistryConfig
from trainer.config.rules import (
    FILLED,
    OptionsOf,
    Pixels,
    Place,
)
from trainer.config.runtime import RuntimeConfig
from trainer.config.study import StudyConfig
from trainer.config.sweep import SweepConfig
from trainer.config.teachers import EnsembleConfig, Precision, Seed, TeacherConfig
from trainer.config.tracking import TrackingConfig
from trainer.config.training import TrainConfig
from trainer.config.watch import WatchConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """The small network; the baseline is the same, trained without the teacher."""

    # The architecture: a known name, hub:PRESET, or package.module:function.
    model: Annotated[Place, FILLED]
    # The options of the architecture.
    options: Annotated[Any, OptionsOf("model", MODELS, own=True, prefix=HUB)]
    # A .keras or .weights.h5 file to start from, or registry:NAME@VERSION; "imagenet"
    # for keras.applications; "own" for what a preset comes with.
    weights: Place = ""
    image_size: Pixels = 0  # what the model resizes images to; 0: as the data's
    # What its layers compute in; "inherit": as runtime.precision.
    precision: Precision = "inherit"
    train: TrainConfig  # trains the student, and the baseline alike


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """A whole run."""

    name: Annotated[str, FILLED]  # the name of the run, in tables and pages
    # One student and one baseline for each.
    seeds: Annotated[tuple[Seed, ...], FILLED] = (0,)
    data: DataConfig
    # Absent where distill.soft_targets is "imported".
    teacher: TeacherConfig | EnsembleConfig | None = None
    student: StudentConfig
    distill: DistillConfig | DistillTermsConfig = DistillConfig()
    # Trains the distilled student further on labels alone; absent: it stays as it is.
    finetune: TrainConfig | None = None
    evaluate: EvaluateConfig = EvaluateConfig()
    predict: PredictConfig = PredictConfig()
    crossval: CrossvalConfig | None = None
    export: ExportConfig = ExportConfig()
    registry: RegistryConfig = RegistryConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    tracking: TrackingConfig = TrackingConfig()
    study: StudyConfig | None = None  # variants of this run, for the study command
    sweep: SweepConfig | None = None  # settings to be found, for the sweep command
    watch: WatchConfig | None = None  # new images, for the watch command

    @property
    def teachers(self) -> dict[str, TeacherConfig]:
        """The teacher, or each member of an ensemble, by the name of its section.

        None where the teacher is elsewhere.
        """
        if self.teacher is None:
            return {}
        if isinstance(self.teacher, EnsembleConfig):
            members = enumerate(self.teacher.members)
            return {f"teacher.members[{i}]": member for i, member in members}
        return {"teacher": self.teacher}

    @property
    def num_teachers(self) -> int:
        """The number of networks that teach together, here or elsewhere."""
        return max(1, len(self.teachers))

    @property
    def networks(self) -> dict[str, TeacherConfig | StudentConfig]:
        """The sections of the teachers and of the student, by their names."""
        return {**self.teachers, "student": self.student}

    def augmenting_section(
        self, setting: str, section: TrainConfig
    ) -> tuple[str, DataConfig | TrainConfig]:
        """The section that augments the images of the training `setting`; its name."""
        if section.augment == "inherit":
            return "data", self.data
        return setting, section

    def mixing_section(
        self, setting: str, section: TrainConfig
    ) -> tuple[str, MixConfig]:
        """The section that mixes what the model of `setting` sees; its name.

        A baseline is trained by student.train alone.
        """
        if setting == "student.train" and self.distill.mixes:
            return "distill", self.distill
        return setting, section

    @property
    def kept_data(self) -> DataConfig:
        """The data section with "auto" of data.keep as the trainings have it.

        That is "files" where one begins with a random crop, which is cut out of a file.
        """
        unlabeled = self.data.unlabeled
        # Others join in memory alone.
        are_files = unlabeled is None or all(
            places.kind_of(name) in ("folder", "list")
            for name in (self.data.dataset, unlabeled.dataset)
        )
        if self.data.keep != "auto" or not self.crops_images or not are_files:
            return self.data
        return dataclasses.replace(self.data, keep="files")

    @property
    def crops_images(self) -> bool:
        """Whether a training begins with a random crop of images of any size."""
        sections = [
            self.augmenting_section(path, section)[1]
            for path, section in self.trainings.items()
        ]
        return self.data.is_fitted and any(
            augmentations.names(section.augment)[0] == "inception_crop"
            for section in sections
        )

    def with_soft_targets(self, choice: Literal["online", "cached"]) -> "Config":
        """The same run with soft targets from there."""
        distill = dataclasses.replace(self.distill, soft_targets=choice)
        return dataclasses.replace(self, distill=distill)

    @property
    def temperatures(self) -> tuple[float, ...]:
        """The temperatures of the student's loss, from the lowest to the highest."""
        return distill.temperatures(self.distill)

    @property
    def group_size(self) -> int:
        """Examples that losses between examples see together; 0: there are none."""
        return groups.group_size(self.distill, self.student.train)

    @property
    def references(self) -> tuple[Reference, ...]:
        """The models of the registry that settings name."""
        return registry.references(self.networks)

    @property
    def trainings(self) -> dict[str, TrainConfig]:
        """The sections that say how a model is trained, by their names."""
        sections: dict[str, TrainConfig | None] = {}
        for path, network in self.teachers.items():
            sections[f"{path}.head"] = network.head
            sections[f"{path}.train"] = network.train
        sections["student.train"] = self.student.train
        sections["finetune"] = self.finetune
        return {path: section for path, section in sections.items() if section}

    def __post_init__(self) -> None:
        """Checks the relations between settings.

        Raises:
          ConfigError: it has all that is wrong.
        """
        with gathering() as gather:
            gather(relations.check_unique, "seeds", self.seeds)
            gather(data_relations.check, self.data, self.trainings)
            gather(distill.check, self.distill, num_teachers=self.num_teachers)
            gather(mixing_relations.check, self.distill, self.trainings, self.data)
            gather(groups.check, self.distill, self.student.train)
            gather(evaluation.check, self.evaluate, self.data)
            gather(export.check, self.export, roles=self._roles, seeds=self.seeds)
            gather(registry.check, self.registry, self.networks)
            gather(tracking.check, self.tracking, self.export)
            if self.watch:
                gather(watch.check, self.data, self.export, self.registry)
            for path, section in self.trainings.items():
                gather(relations.check_train, path, section, self.runtime)
                gather(selection.check, path, section.select_by)
            gather(self._check_networks)
            _, chosen = self.augmenting_section("student.train", self.student.train)
            gather(relations.check_views, self.distill, augment=chosen.augment)
            gather(relations.check_profile, self.runtime)

    def _check_networks(self) -> None:
        with gathering() as gather:
            teacher, watch = self.teacher, self.watch
            gather(imported.check, self.distill, teacher=teacher, watch=watch)
            exported = self.export.role
            gather(class_map.check, self.distill, self.teachers, exported=exported)
            gather(run_model.check, self.networks)
            gather(memory.check, self.networks)
            if isinstance(self.teacher, EnsembleConfig):
                gather(relations.check_members, self.teacher.members)
            for path, network in self.networks.items():
                gather(relations.check_weights, path, network)
            for path, teacher in self.teachers.items():
                gather(relations.check_teacher, path, teacher)

    @property
    def _roles(self) -> list[str]:
        """The models of the run, by the names of their sections and roles."""
        finetuned = ["finetune"] if self.finetune else []
        return [*self.networks, "baseline", *finetuned]
