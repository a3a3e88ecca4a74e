"""The options of the networks of the CIFAR tables."""

import dataclasses
from typing import Annotated

from trainer.config.image_options import BatchNormOptions
from trainer.config.rules import Rule, Units, between


def _depth(rest: int, *, least: int, such_as: str) -> Rule:
    depths = [value for value in range(least, 1203) if value % 6 == rest]
    return Rule(
        lambda value: value in depths,
        f"6n + {rest} from {least} to 1202, such as {such_as}",
        {"enum": list(depths)},
    )


def _widths(count: int, text: str) -> Rule:
    return Rule(
        lambda value: len(value) == count,
        f"a list of {count}, {text}",
        {"minItems": count, "maxItems": count},
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResnetCifarOptions(BatchNormOptions):
    """A residual network of small images."""

    # The number of layers that have weights.
    depth: Annotated[int, _depth(2, least=8, such_as="8, 20 or 32")] = 20
    # The channels of the stem and of each stage.
    widths: Annotated[
        tuple[Units, ...], _widths(4, "of the stem and of each stage")
    ] = (16, 16, 32, 64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WideResnetOptions(BatchNormOptions):
    """A wide residual network of small images."""

    # The number of layers that have weights.
    depth: Annotated[int, _depth(4, least=10, such_as="16, 28 or 40")] = 16
    # How many times 16, 32 and 64 channels the stages have.
    width: Annotated[int, between(1, 1000)] = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class VggCifarOptions(BatchNormOptions):
    """VGG for small images."""

    # The number of layers that have weights.
    depth: Annotated[
        int, Rule(lambda value: value in (8, 13), "8 or 13", {"enum": [8, 13]})
    ] = 8
    # The channels of each stage.
    widths: Annotated[tuple[Units, ...], _widths(5, "one a stage")] = (
        *(64, 128, 256, 512, 512),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class MobilenetV2CifarOptions(BatchNormOptions):
    """MobileNetV2 for small images."""

    # How many times the paper's channels, rounded down; at least one of 16 is left.
    width: Annotated[float, between(1 / 16, 16)] = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShufflenetV1Options(BatchNormOptions):
    """ShuffleNet with 3 groups for small images."""

    # The channels of each stage. What one adds to 24 or to the one before is in
    # quarters, and these in groups.
    widths: Annotated[
        tuple[Units, ...],
        _widths(3, "one a stage"),
        Rule(
            lambda value: all(
                width % 12 == 0 and width > before
                for before, width in zip((24, *value), value, strict=False)
            ),
            "multiples of 12 above 24, each above the one before",
            {"allOf": [{"items": {"multipleOf": 12, "exclusiveMinimum": 24}}]},
        ),
    ] = (240, 480, 960)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShufflenetV2Options(BatchNormOptions):
    """ShuffleNetV2 for small images."""

    # The channels of each stage and of the last convolution.
    widths: Annotated[
        tuple[Units, ...],
        _widths(4, "one a stage and that of the last convolution"),
        Rule(
            lambda value: not any(width % 2 for width in value[:3]),
            "even in the stages, whose channels are halved",
            {"allOf": [{"items": [{"multipleOf": 2}] * 3}]},
        ),
    ] = (116, 232, 464, 1024)
