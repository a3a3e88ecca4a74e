"""The configuration of a run; importing it loads no TensorFlow."""

from trainer.config.data import DataConfig, NoAugmentOptions, ShiftOptions
from trainer.config.errors import ConfigError
from trainer.config.identity import differences, identity, resolved
from trainer.config.models import (
    APPLICATIONS,
    ApplicationOptions,
    CnnOptions,
    ConvMlpOptions,
    MlpOptions,
    SavedOptions,
    SqueezenetOptions,
)
from trainer.config.reader import load
from trainer.config.schema import (
    Config,
    DistillConfig,
    RuntimeConfig,
    StudentConfig,
    TeacherConfig,
)
from trainer.config.training import (
    AdamOptions,
    ConstantOptions,
    CosineOptions,
    SgdOptions,
    TrainConfig,
)

__all__ = [
    "APPLICATIONS",
    "AdamOptions",
    "ApplicationOptions",
    "CnnOptions",
    "Config",
    "ConfigError",
    "ConstantOptions",
    "ConvMlpOptions",
    "CosineOptions",
    "DataConfig",
    "DistillConfig",
    "MlpOptions",
    "NoAugmentOptions",
    "RuntimeConfig",
    "SavedOptions",
    "SgdOptions",
    "ShiftOptions",
    "SqueezenetOptions",
    "StudentConfig",
    "TeacherConfig",
    "TrainConfig",
    "differences",
    "identity",
    "load",
    "resolved",
]
