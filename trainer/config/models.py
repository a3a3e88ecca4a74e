"""The options of each architecture."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Literal

from trainer.config.rules import (
    FILLED,
    FRACTION,
    LAYERS,
    NotNegative,
    Place,
    Rule,
    Units,
    between,
)

Values = Literal[
    "zero_to_255",
    "zero_to_one",
    "minus_one_to_one",
    "imagenet_torch",
    "imagenet_caffe",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """The options of an architecture that normalises images itself."""

    # The values that float32 images of Python objects have, which nobody guesses;
    # "": images are uint8, from 0 to 255.
    input: Literal["", Values] = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MlpOptions(ImageOptions):
    """Fully connected layers on the flattened image."""

    hidden_sizes: Annotated[tuple[Units, ...], LAYERS] = (800, 800)
    activation: Literal["relu", "gelu", "silu", "tanh", "sigmoid"] = "relu"
    input_dropout: Annotated[float, FRACTION] = 0.0  # share of pixels dropped
    dropout: Annotated[float, FRACTION] = 0.0  # share of hidden units dropped
    max_norm: NotNegative = 0.0  # bound on incoming weights; 0: none


@dataclasses.dataclass(frozen=True, kw_only=True)
class CnnOptions(ImageOptions):
    """Stride-2 3x3 convolutions; leaky ReLU and max-pool after all but the last."""

    filters: Annotated[tuple[Units, ...], LAYERS] = (256, 512)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvMlpOptions(ImageOptions):
    """One valid 3x3 convolution, then hidden layers with dropout."""

    filters: Units = 32
    hidden_sizes: Annotated[tuple[Units, ...], LAYERS] = (1200, 1200)
    dropout: Annotated[float, FRACTION] = 0.5  # share of hidden units dropped


@dataclasses.dataclass(frozen=True, kw_only=True)
class SqueezenetOptions(ImageOptions):
    """SqueezeNet v1.1."""

    dropout: Annotated[float, FRACTION] = 0.5  # share of what conv10 sees dropped


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchNormOptions(ImageOptions):
    """The options of an architecture with BatchNormalization."""

    # Share that the moving statistics keep of themselves each step. Keras has 0.99 to
    # 0.9997, with which they forget where they started after thousands of steps.
    batch_norm_momentum: Annotated[float, FRACTION] = 0.9


@dataclasses.dataclass(frozen=True, kw_only=True)
class ApplicationOptions(BatchNormOptions):
    """A classifier of keras.applications."""


def _depth(rest: int, *, least: int, such_as: str) -> Rule:
    return Rule(
        lambda value: least <= value <= 1202 and value % 6 == rest,
        f"6n + {rest} from {least} to 1202, such as {such_as}",
    )


def _widths(count: int, text: str) -> Rule:
    return Rule(lambda value: len(value) == count, f"a list of {count}, {text}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResnetCifarOptions(BatchNormOptions):
    """A residual network of small images."""

    depth: Annotated[int, _depth(2, least=8, such_as="8, 20 or 32")] = 20
    widths: Annotated[
        tuple[Units, ...], _widths(4, "of the stem and of each stage")
    ] = (16, 16, 32, 64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WideResnetOptions(BatchNormOptions):
    """A wide residual network of small images."""

    depth: Annotated[int, _depth(4, least=10, such_as="16, 28 or 40")] = 16
    width: Annotated[int, between(1, 1000)] = 2  # times 16, 32 and 64 channels


@dataclasses.dataclass(frozen=True, kw_only=True)
class VggCifarOptions(BatchNormOptions):
    """VGG for small images."""

    depth: Annotated[int, Rule(lambda value: value in (8, 13), "8 or 13")] = 8
    widths: Annotated[tuple[Units, ...], _widths(5, "one a stage")] = (
        *(64, 128, 256, 512, 512),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class MobilenetV2CifarOptions(BatchNormOptions):
    """MobileNetV2 for small images."""

    # Times the paper's channels, rounded down; at least one of 16 is left.
    width: Annotated[float, between(1 / 16, 16)] = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShufflenetV1Options(BatchNormOptions):
    """ShuffleNet with 3 groups for small images."""

    # What a stage adds to 24 or to the one before is in quarters, and these in groups.
    widths: Annotated[
        tuple[Units, ...],
        _widths(3, "one a stage"),
        Rule(
            lambda value: all(
                width % 12 == 0 and width > before
                for before, width in zip((24, *value), value, strict=False)
            ),
            "multiples of 12 above 24, each above the one before",
        ),
    ] = (240, 480, 960)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShufflenetV2Options(BatchNormOptions):
    """ShuffleNetV2 for small images."""

    widths: Annotated[
        tuple[Units, ...],
        _widths(4, "one a stage and that of the last convolution"),
        Rule(
            lambda value: not any(width % 2 for width in value[:3]),
            "even in the stages, whose channels are halved",
        ),
    ] = (116, 232, 464, 1024)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SavedOptions:
    """A whole model from a file."""

    # A .keras file, the folder of a SavedModel, registry:NAME@VERSION, or of a teacher
    # run:DIR.
    path: Annotated[Place, FILLED]
    # What it expects of the values of an image: 8 bits are brought to it, and float32
    # images of Python objects must have it.
    # "as_given" takes them as the data yield them, whatever they are.
    input: Literal[Values, "as_given"]
    # Probabilities become their logarithms, which are logits: softmax gives the same
    # at every temperature, for it does not see what all classes share.
    output: Literal["logits", "probabilities"] = "logits"

    def of_saved(self, path: str) -> "SavedOptions":
        """The options of a model that is trained from this one, and saved at `path`."""
        # It takes the images of the data, and gives logits.
        is_as_given = self.input == "as_given"
        return SavedOptions(
            path=path, input="as_given" if is_as_given else "zero_to_255"
        )

    @property
    def is_keras_file(self) -> bool:
        """Whether it can be trained; a SavedModel holds inference alone."""
        # Of the registry, and of another run, a run takes model.keras.
        return self.path.endswith(".keras") or self.path.startswith(
            ("registry:", "run:")
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryOptions:
    """The identity of a model, or of a function to one, of a Python program.

    The program gives it beside the config.
    """

    name: Annotated[str, FILLED]  # the class of a model, or package.module:function
    architecture: str = ""  # SHA-256 of a model's configuration; "": a function
    weights: str = ""  # SHA-256 of the weights that a teacher brings; "": drawn here
    output: Literal["logits", "probabilities"] = "logits"  # as of a saved model


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """No options: the finished run that `weights` name knows the architecture."""


# The classifiers of keras.applications, with the smallest image they take, in pixels
# a side.
APPLICATIONS: Mapping[str, int] = {
    "ConvNeXtBase": 32,
    "ConvNeXtLarge": 32,
    "ConvNeXtSmall": 32,
    "ConvNeXtTiny": 32,
    "ConvNeXtXLarge": 32,
    "DenseNet121": 32,
    "DenseNet169": 32,
    "DenseNet201": 32,
    "EfficientNetB0": 32,
    "EfficientNetB1": 32,
    "EfficientNetB2": 32,
    "EfficientNetB3": 32,
    "EfficientNetB4": 32,
    "EfficientNetB5": 32,
    "EfficientNetB6": 32,
    "EfficientNetB7": 32,
    "EfficientNetV2B0": 32,
    "EfficientNetV2B1": 32,
    "EfficientNetV2B2": 32,
    "EfficientNetV2B3": 32,
    "EfficientNetV2L": 32,
    "EfficientNetV2M": 32,
    "EfficientNetV2S": 32,
    "InceptionResNetV2": 75,
    "InceptionV3": 75,
    "MobileNet": 32,
    "MobileNetV2": 32,
    "MobileNetV3Large": 32,
    "MobileNetV3Small": 32,
    "NASNetLarge": 32,
    "NASNetMobile": 32,
    "ResNet101": 32,
    "ResNet101V2": 32,
    "ResNet152": 32,
    "ResNet152V2": 32,
    "ResNet50": 32,
    "ResNet50V2": 32,
    "VGG16": 32,
    "VGG19": 32,
    "Xception": 71,
}

# The model that a Python program gives.
MEMORY = "memory"

# The model of a teacher until the run that its weights name is read.
RUN = "run"

MODELS: Mapping[str, type] = {
    "cnn": CnnOptions,
    "conv_mlp": ConvMlpOptions,
    MEMORY: MemoryOptions,
    "mlp": MlpOptions,
    "mobilenet_v2_cifar": MobilenetV2CifarOptions,
    "resnet_cifar": ResnetCifarOptions,
    RUN: RunOptions,
    "saved": SavedOptions,
    "shufflenet_v1": ShufflenetV1Options,
    "shufflenet_v2": ShufflenetV2Options,
    "squeezenet": SqueezenetOptions,
    "vgg_cifar": VggCifarOptions,
    "wide_resnet": WideResnetOptions,
    **dict.fromkeys(APPLICATIONS, ApplicationOptions),
}
