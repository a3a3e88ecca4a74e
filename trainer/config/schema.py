"""What a run is: a frozen dataclass per section of the TOML file.

Defaults live here and nowhere else; each field says its unit or meaning.
"""

import dataclasses
from typing import Annotated, Any, Literal

from trainer.config.data import DataConfig
from trainer.config.errors import ConfigError
from trainer.config.models import APPLICATIONS, MODELS, SavedOptions
from trainer.config.rules import FILLED, Count, OptionsOf, above, at_least, between
from trainer.config.training import SgdOptions, TrainConfig

Seed = Annotated[int, between(0, 2**31 - 1)]
# "inherit" takes what runtime.precision comes to.
Precision = Literal["inherit", "float32", "mixed_bfloat16"]


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
    train: TrainConfig | None = None  # absent: the weights are final


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
class DistillConfig:
    """loss = alpha * soft_loss + (1 - alpha) * hard_loss."""

    alpha: Annotated[float, between(0, 1)] = 0.9  # weight of the soft loss
    temperature: Annotated[float, above(0)] = 4.0  # divides both models' logits


@dataclasses.dataclass(frozen=True, kw_only=True)
class RuntimeConfig:
    """Where and how the run executes; a resumed run may change any of it."""

    strategy: Literal["auto", "one_device", "mirrored"] = "auto"
    logical_cpus: Count = 1  # CPU devices to mirror over where there is no GPU
    precision: Literal["auto", "float32", "mixed_bfloat16"] = "auto"
    xla: Literal["auto", "on", "off"] = "auto"
    steps_per_loop: Count = 50  # optimizer updates between two returns to Python
    log_every_steps: Count = 50  # a multiple of steps_per_loop
    eval_every_steps: Count = 200  # a multiple of log_every_steps
    save_every_steps: Count = 200  # a multiple of log_every_steps
    eval_batch_size: Count = 500  # examples per evaluation step, rounded to replicas
    keep_checkpoints: Count = 2  # newest ones kept, beside the best


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

    def __post_init__(self) -> None:
        """Checks the relations between settings."""
        _check_unique("seeds", self.seeds)
        _check_unique("data.exclude_labels", self.data.exclude_labels)
        _check_splits(self.data)
        _check_weights("teacher", self.teacher)
        _check_weights("student", self.student)
        if self.teacher.train:
            _check_train("teacher.train", self.teacher.train, self.runtime)
        elif not self.teacher.weights and self.teacher.model != "saved":
            raise ConfigError(
                "teacher must have a [teacher.train] section or weights, got neither"
            )
        _check_train("student.train", self.student.train, self.runtime)
        _check_cadence(self.runtime)


def _check_unique(path: str, values: tuple[int, ...]) -> None:
    if len(set(values)) < len(values):
        raise ConfigError(
            f"{path} must name each value once, got {list(values)}; "
            f"for example --set='{path}={sorted(set(values))}'"
        )


def _check_splits(data: DataConfig) -> None:
    splits = ("train_split", "validation_split", "test_split")
    values = [getattr(data, name) for name in splits]
    for i, name in enumerate(splits):
        if values[i] in values[:i]:
            other = splits[values.index(values[i])]
            raise ConfigError(
                f"data.{name} must differ from data.{other}, got {values[i]!r} in both"
                "; carve them, as in 'train[:90%]' and 'train[90%:]'"
            )


def _check_weights(path: str, section: TeacherConfig | StudentConfig) -> None:
    options = section.options
    if section.weights == "imagenet" and section.model not in APPLICATIONS:
        raise ConfigError(
            f"{path}.weights = 'imagenet' needs a model of keras.applications, got "
            f"{path}.model = {section.model!r}; give the path of a file"
        )
    if not isinstance(options, SavedOptions):
        return
    if section.weights:
        raise ConfigError(
            f"{path}.weights must be empty for model 'saved', got {section.weights!r}; "
            f"{path}.options.path holds the weights"
        )
    if section.train and not options.is_keras_file:
        raise ConfigError(
            f"{path}.options.path must end in .keras for a model that is trained, got "
            f"{options.path!r}: a SavedModel is for inference only; give a .keras file"
        )


def _check_train(path: str, train: TrainConfig, runtime: RuntimeConfig) -> None:
    if (train.epochs > 0) == (train.steps > 0):
        raise ConfigError(
            f"{path} must have exactly one of epochs and steps above 0, "
            f"got epochs = {train.epochs} and steps = {train.steps}; "
            f"{'remove' if train.steps else 'set'} one"
        )
    if train.global_batch_size % runtime.logical_cpus:
        up = -(-train.global_batch_size // runtime.logical_cpus) * runtime.logical_cpus
        raise ConfigError(
            f"{path}.global_batch_size must be a multiple of runtime.logical_cpus "
            f"({runtime.logical_cpus}), got {train.global_batch_size}; "
            f"nearest above: {up}"
        )
    warmup_steps = train.schedule_options.warmup_steps
    if 0 < train.steps <= warmup_steps:
        raise ConfigError(
            f"{path}.schedule_options.warmup_steps must be below {path}.steps "
            f"({train.steps}), got {warmup_steps}; lower it or train longer"
        )
    options = train.optimizer_options
    if isinstance(options, SgdOptions) and options.nesterov and options.momentum == 0:
        raise ConfigError(
            f"{path}.optimizer_options.nesterov needs a momentum above 0, got 0.0; "
            "set momentum, or nesterov = false"
        )


def _check_cadence(runtime: RuntimeConfig) -> None:
    for name, unit in (
        ("log_every_steps", "steps_per_loop"),
        # A resumed run starts at a save, so a logged interval must start there too.
        ("save_every_steps", "log_every_steps"),
        ("eval_every_steps", "log_every_steps"),
    ):
        value, step = getattr(runtime, name), getattr(runtime, unit)
        if value % step:
            up = -(-value // step) * step
            raise ConfigError(
                f"runtime.{name} must be a multiple of runtime.{unit} ({step}), "
                f"got {value}; nearest above: {up}"
            )
