"""The options of each architecture."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Literal

from trainer.config.rules import FILLED, FRACTION, Count, at_least


@dataclasses.dataclass(frozen=True, kw_only=True)
class MlpOptions:
    """Fully connected layers on the flattened image."""

    hidden_sizes: Annotated[tuple[Count, ...], FILLED] = (800, 800)
    activation: Literal["relu", "gelu", "silu", "tanh", "sigmoid"] = "relu"
    input_dropout: Annotated[float, FRACTION] = 0.0  # share of pixels dropped
    dropout: Annotated[float, FRACTION] = 0.0  # share of hidden units dropped
    max_norm: Annotated[float, at_least(0)] = 0.0  # bound on incoming weights; 0: none


@dataclasses.dataclass(frozen=True, kw_only=True)
class CnnOptions:
    """Stride-2 3x3 convolutions; leaky ReLU and max-pool after all but the last."""

    filters: Annotated[tuple[Count, ...], FILLED] = (256, 512)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvMlpOptions:
    """One valid 3x3 convolution, then hidden layers with dropout."""

    filters: Count = 32
    hidden_sizes: Annotated[tuple[Count, ...], FILLED] = (1200, 1200)
    dropout: Annotated[float, FRACTION] = 0.5  # share of hidden units dropped


MODELS: Mapping[str, type] = {
    "cnn": CnnOptions,
    "conv_mlp": ConvMlpOptions,
    "mlp": MlpOptions,
}
