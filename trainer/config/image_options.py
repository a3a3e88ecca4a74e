"""Options that the architectures of images share."""

import dataclasses
from typing import Annotated, Literal

from trainer.config.rules import FRACTION

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
class BatchNormOptions(ImageOptions):
    """The options of an architecture with BatchNormalization."""

    # The share that the moving statistics keep of themselves each step. Keras has 0.99
    # to 0.9997, with which they forget where they started after thousands of steps.
    batch_norm_momentum: Annotated[float, FRACTION] = 0.9
