"""The options of each architecture."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from trainer.config.cifar_networks import (
    MobilenetV2CifarOptions,
    ResnetCifarOptions,
    ShufflenetV1Options,
    ShufflenetV2Options,
    VggCifarOptions,
    WideResnetOptions,
)
from trainer.config.image_options import BatchNormOptions, ImageOptions, Values
from trainer.config.rules import (
    FILLED,
    FRACTION,
    LAYERS,
    Count,
    Module,
    NotNegative,
    Place,
    Positive,
    Units,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MlpOptions(ImageOptions):
    """Fully connected layers on the flattened image."""

    # The number of units of each hidden layer, from the first to the last.
    hidden_sizes: Annotated[tuple[Units, ...], LAYERS] = (800, 800)
    # What follows each hidden layer.
    activation: Literal["relu", "gelu", "silu", "tanh", "sigmoid"] = "relu"
    # The share of the inputs that are dropped in training.
    input_dropout: Annotated[float, FRACTION] = 0.0
    # The share of hidden units that are dropped in training.
    dropout: Annotated[float, FRACTION] = 0.0
    # The largest norm of the weights that come into a unit; 0: none.
    max_norm: NotNegative = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class CnnOptions(ImageOptions):
    """Stride-2 3x3 convolutions; leaky ReLU and max-pool after all but the last."""

    # The number of filters of each convolution, from the first to the last.
    filters: Annotated[tuple[Units, ...], LAYERS] = (256, 512)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvMlpOptions(ImageOptions):
    """One valid 3x3 convolution, then hidden layers with dropout."""

    filters: Units = 32  # the number of filters of the convolution
    # The number of units of each hidden layer, from the first to the last.
    hidden_sizes: Annotated[tuple[Units, ...], LAYERS] = (1200, 1200)
    # The share of hidden units that are dropped in training.
    dropout: Annotated[float, FRACTION] = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class SqueezenetOptions(ImageOptions):
    """SqueezeNet v1.1."""

    # The share of what the last convolution sees that is dropped in training.
    dropout: Annotated[float, FRACTION] = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class HubOptions(ImageOptions):
    """An image classifier of KerasHub, from a preset."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ApplicationOptions(BatchNormOptions):
    """A classifier of keras.applications."""

    @property
    def of_keras(self) -> dict[str, Any]:
        """The arguments that are stated of those that Keras itself has."""
        own = {field.name for field in dataclasses.fields(ApplicationOptions)}
        stated = dataclasses.asdict(self).items()
        return {k: v for k, v in stated if k not in own and v is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MobileNetV2Options(ApplicationOptions):
    """MobileNetV2. What is absent of Keras's own arguments is as Keras has it."""

    # The width: how many times as many channels; absent: as Keras has it.
    alpha: Positive | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class MobileNetOptions(MobileNetV2Options):
    """MobileNet."""

    # Channels for each of a depthwise layer's; absent: as Keras has it.
    depth_multiplier: Count | None = None
    # The share that is dropped before the logits in training; absent: as Keras has it.
    dropout: Annotated[float, FRACTION] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class MobileNetV3Options(MobileNetV2Options):
    """MobileNetV3Small and MobileNetV3Large."""

    # 3x3 convolutions and ReLU alone, and no squeeze-and-excitation; absent: as Keras
    # has it.
    minimalistic: bool | None = None
    # The share that is dropped before the logits in training; absent: as Keras has it.
    dropout_rate: Annotated[float, FRACTION] | None = None


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
    # What it gives. Probabilities become their logarithms, which are logits: softmax
    # gives the same at every temperature, for it does not see what all classes share.
    output: Literal["logits", "probabilities"] = "logits"
    # A module that registers the classes of its layers with Keras, imported first.
    import_: Module = ""

    def of_saved(self, path: str) -> "SavedOptions":
        """The options of a model that is trained from this one, and saved at `path`."""
        # It takes the images of the data, and gives logits.
        is_as_given = self.input == "as_given"
        return SavedOptions(
            path=path,
            input="as_given" if is_as_given else "zero_to_255",
            import_=self.import_,
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
    output: Literal["logits", "probabilities"] = "logits"  # what the model gives


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

# Before the name of a preset of KerasHub, or the path of its folder.
HUB = "hub:"

# The model that a Python program gives.
MEMORY = "memory"

# The model of a teacher until the run that its weights name is read.
RUN = "run"

# The weights that a function's model comes with, or those of a preset.
OWN = "own"

MODELS: Mapping[str, type] = {
    "cnn": CnnOptions,
    "conv_mlp": ConvMlpOptions,
    HUB: HubOptions,
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
    "MobileNet": MobileNetOptions,
    "MobileNetV2": MobileNetV2Options,
    "MobileNetV3Large": MobileNetV3Options,
    "MobileNetV3Small": MobileNetV3Options,
}


def is_hub(model: str) -> bool:
    """Whether a model is a preset of KerasHub."""
    return model.startswith(HUB)


def is_function(model: str) -> bool:
    """Whether a model is a function of a user's own package, by its name."""
    return ":" in model and not is_hub(model)
