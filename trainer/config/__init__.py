"""The configuration of a run; importing it loads no TensorFlow."""

from trainer.config.augmentations import (
    NOISE,
    ColorJitterOptions,
    CropFlipOptions,
    InceptionCropOptions,
    NoAugmentOptions,
    RandAugmentOptions,
    RandomErasingOptions,
    ShiftOptions,
    TrivialAugmentOptions,
    plain_options,
    with_options,
)
from trainer.config.cadence import EPOCH, Periods, loop_steps, periods
from trainer.config.cifar_networks import (
    MobilenetV2CifarOptions,
    ResnetCifarOptions,
    ShufflenetV1Options,
    ShufflenetV2Options,
    VggCifarOptions,
    WideResnetOptions,
)
from trainer.config.class_map import ClassMap, resolve_class_map
from trainer.config.class_weights import classes_without_examples, resolve_class_weights
from trainer.config.crossval import CrossvalConfig
from trainer.config.data import (
    IGNORE,
    SPLITS_OF_CLASS_FOLDERS,
    Colour,
    DataConfig,
    UnlabeledConfig,
    UnlabeledData,
    background_name,
    colour_of,
)
from trainer.config.datasets import TfrecordOptions
from trainer.config.distill import DistillConfig, DistillTermsConfig
from trainer.config.earlier import (
    options_without_later,
    value_before,
    without_later,
)
from trainer.config.errors import ConfigError
from trainer.config.evaluate_view import EvaluateView
from trainer.config.evaluation import EvaluateConfig
from trainer.config.export import ExportConfig
from trainer.config.identity import (
    differences,
    flatten,
    identity,
    recorded_settings,
    resolve,
)
from trainer.config.image_options import ImageOptions
from trainer.config.kept import NoRun, from_resolved, without_run
from trainer.config.mixing import MixConfig
from trainer.config.models import (
    APPLICATIONS,
    HUB,
    MEMORY,
    OWN,
    RUN,
    ApplicationOptions,
    CnnOptions,
    ConvMlpOptions,
    HubOptions,
    MemoryOptions,
    MlpOptions,
    RunOptions,
    SavedOptions,
    SqueezenetOptions,
    is_function,
    is_hub,
)
from trainer.config.overrides import Override, Unset
from trainer.config.predict import PredictConfig
from trainer.config.reader import load, of_settings, read_settings
from trainer.config.registry import (
    LATEST,
    PROMOTED,
    Reference,
    RegistryConfig,
    check_name,
    is_reference,
    reference,
)
from trainer.config.run_model import SCHEME, is_run_model, run_model_setting
from trainer.config.run_names import is_earlier_name, run_name
from trainer.config.runtime import RuntimeConfig
from trainer.config.schema import Config, StudentConfig
from trainer.config.soft_targets import describe_rule, why_online
from trainer.config.study import Settings, StudyConfig, label_of, value_text
from trainer.config.sweep import Axis, BanditOptions, MedianOptions, SweepConfig
from trainer.config.teachers import EnsembleConfig, MemberConfig, TeacherConfig
from trainer.config.terms import EMBEDDING, TermConfig
from trainer.config.tracking import MlflowOptions, TrackingConfig
from trainer.config.training import (
    AdamOptions,
    ConstantOptions,
    CosineOptions,
    SgdOptions,
    StepOptions,
    TrainConfig,
)
from trainer.config.watch import WatchConfig

__all__ = [
    "APPLICATIONS",
    "EMBEDDING",
    "EPOCH",
    "HUB",
    "IGNORE",
    "LATEST",
    "MEMORY",
    "NOISE",
    "OWN",
    "PROMOTED",
    "RUN",
    "SCHEME",
    "SPLITS_OF_CLASS_FOLDERS",
    "AdamOptions",
    "ApplicationOptions",
    "Axis",
    "BanditOptions",
    "ClassMap",
    "CnnOptions",
    "ColorJitterOptions",
    "Colour",
    "Config",
    "ConfigError",
    "ConstantOptions",
    "ConvMlpOptions",
    "CosineOptions",
    "CropFlipOptions",
    "CrossvalConfig",
    "DataConfig",
    "DistillConfig",
    "DistillTermsConfig",
    "EnsembleConfig",
    "EvaluateConfig",
    "EvaluateView",
    "ExportConfig",
    "HubOptions",
    "ImageOptions",
    "InceptionCropOptions",
    "MedianOptions",
    "MemberConfig",
    "MemoryOptions",
    "MixConfig",
    "MlflowOptions",
    "MlpOptions",
    "MobilenetV2CifarOptions",
    "NoAugmentOptions",
    "NoRun",
    "Override",
    "Periods",
    "PredictConfig",
    "RandAugmentOptions",
    "RandomErasingOptions",
    "Reference",
    "RegistryConfig",
    "ResnetCifarOptions",
    "RunOptions",
    "RuntimeConfig",
    "SavedOptions",
    "Settings",
    "SgdOptions",
    "ShiftOptions",
    "ShufflenetV1Options",
    "ShufflenetV2Options",
    "SqueezenetOptions",
    "StepOptions",
    "StudentConfig",
    "StudyConfig",
    "SweepConfig",
    "TeacherConfig",
    "TermConfig",
    "TfrecordOptions",
    "TrackingConfig",
    "TrainConfig",
    "TrivialAugmentOptions",
    "UnlabeledConfig",
    "UnlabeledData",
    "Unset",
    "VggCifarOptions",
    "WatchConfig",
    "WideResnetOptions",
    "background_name",
    "check_name",
    "classes_without_examples",
    "colour_of",
    "describe_rule",
    "differences",
    "flatten",
    "from_resolved",
    "identity",
    "is_earlier_name",
    "is_function",
    "is_hub",
    "is_reference",
    "is_run_model",
    "label_of",
    "load",
    "loop_steps",
    "of_settings",
    "options_without_later",
    "periods",
    "plain_options",
    "read_settings",
    "recorded_settings",
    "reference",
    "resolve",
    "resolve_class_map",
    "resolve_class_weights",
    "run_model_setting",
    "run_name",
    "value_before",
    "value_text",
    "why_online",
    "with_options",
    "without_later",
    "without_run",
]
