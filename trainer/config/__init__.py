"""The configuration of a run; importing it loads no TensorFlow."""

from trainer.config.errors import ConfigError
from trainer.config.identity import differences, identity, resolved
from trainer.config.reader import load
from trainer.config.schema import (
    AdamOptions,
    CnnOptions,
    Config,
    ConstantOptions,
    ConvMlpOptions,
    CosineOptions,
    DataConfig,
    DistillConfig,
    MlpOptions,
    NoAugmentOptions,
    RuntimeConfig,
    SgdOptions,
    ShiftOptions,
    StudentConfig,
    TeacherConfig,
    TrainConfig,
)

__all__ = [
    "AdamOptions",
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
    "SgdOptions",
    "ShiftOptions",
    "StudentConfig",
    "TeacherConfig",
    "TrainConfig",
    "differences",
    "identity",
    "load",
    "resolved",
]
