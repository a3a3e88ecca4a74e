"""The configuration of a run; importing it loads no TensorFlow."""

from trainer.config.crossval import CrossvalConfig
from trainer.config.data import (
    CropFlipOptions,
    DataConfig,
    InceptionCropOptions,
    NoAugmentOptions,
    ShiftOptions,
    UnlabeledConfig,
    UnlabeledData,
)
from trainer.config.distill import DistillConfig
from trainer.config.errors import ConfigError
from trainer.config.evaluate import EvaluateConfig
from trainer.config.identity import differences, flatten, identity, resolved
from trainer.config.models import (
    APPLICATIONS,
    ApplicationOptions,
    CnnOptions,
    ConvMlpOptions,
    MlpOptions,
    SavedOptions,
    SqueezenetOptions,
)
from trainer.config.reader import load, written
from trainer.config.runtime import RuntimeConfig
from trainer.config.schema import (
    Config,
    EnsembleConfig,
    MemberConfig,
    StudentConfig,
    TeacherConfig,
)
from trainer.config.study import Settings, StudyConfig, label_of, value_text
from trainer.config.sweep import Axis, BanditOptions, MedianOptions, SweepConfig
from trainer.config.training import (
    AdamOptions,
    ConstantOptions,
    CosineOptions,
    SgdOptions,
    StepOptions,
    TrainConfig,
)

__all__ = [
    "APPLICATIONS",
    "AdamOptions",
    "ApplicationOptions",
    "Axis",
    "BanditOptions",
    "CnnOptions",
    "Config",
    "ConfigError",
    "ConstantOptions",
    "ConvMlpOptions",
    "CosineOptions",
    "CropFlipOptions",
    "CrossvalConfig",
    "DataConfig",
    "DistillConfig",
    "EnsembleConfig",
    "EvaluateConfig",
    "InceptionCropOptions",
    "MedianOptions",
    "MemberConfig",
    "MlpOptions",
    "NoAugmentOptions",
    "RuntimeConfig",
    "SavedOptions",
    "Settings",
    "SgdOptions",
    "ShiftOptions",
    "SqueezenetOptions",
    "StepOptions",
    "StudentConfig",
    "StudyConfig",
    "SweepConfig",
    "TeacherConfig",
    "TrainConfig",
    "UnlabeledConfig",
    "UnlabeledData",
    "differences",
    "flatten",
    "identity",
    "label_of",
    "load",
    "resolved",
    "value_text",
    "written",
]
