"""Layers that the networks of the CIFAR tables are made of, as RepDistiller has them.

Their arithmetic is PyTorch's: strides begin at the same pixel for every size of kernel,
epsilon is 1e-5. https://github.com/HobbitLong/RepDistiller/tree/master/models
"""

import dataclasses

import keras

from trainer.models.grouped_pointwise import GroupedPointwise
from trainer.models.preprocessing import PREPROCESSING


@dataclasses.dataclass(frozen=True, kw_only=True)
class CifarLayers:
    """Layers of one network: each method adds one to a tensor [B, H, W, channels]."""

    momentum: float  # of BatchNormalization
    # Kernels start uniform, PyTorch's default, and not normal with the variance of He
    # et al. 2015 over what leaves a layer.
    uniform: bool = False

    def start(self, image: keras.KerasTensor) -> keras.KerasTensor:
        """Values from 0 to 255 become those from -1 to 1."""
        return PREPROCESSING["minus_one_to_one"](image)

    def convolution(
        self,
        x: keras.KerasTensor,
        filters: int,
        name: str,
        *,
        size: int = 3,
        strides: int = 1,
        use_bias: bool = False,
    ) -> keras.KerasTensor:
        """Filters over all channels."""
        x, padding = _padded(x, size, strides, name)
        return keras.layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding=padding,
            use_bias=use_bias,
            kernel_initializer=self._initializer("fan_in", "fan_out"),
            name=name,
        )(x)

    def grouped(
        self, x: keras.KerasTensor, filters: int, groups: int, name: str
    ) -> keras.KerasTensor:
        """1x1 filters over the channels of their group."""
        return GroupedPointwise(
            filters,
            1,
            groups=groups,
            use_bias=False,
            kernel_initializer=self._initializer("fan_in", "fan_out"),
            name=name,
        )(x)

    def depthwise(
        self, x: keras.KerasTensor, name: str, *, strides: int = 1
    ) -> keras.KerasTensor:
        """One 3x3 filter for each channel."""
        x, padding = _padded(x, 3, strides, name)
        return keras.layers.DepthwiseConv2D(
            3,
            strides=strides,
            padding=padding,
            use_bias=False,
            # Keras counts all channels into what enters such a layer.
            depthwise_initializer=self._initializer("fan_out", "fan_in"),
            name=name,
        )(x)

    def normalisation(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Brings each channel to mean 0 and variance 1 over a batch, then scales it."""
        return keras.layers.BatchNormalization(
            momentum=self.momentum, epsilon=1e-5, name=name
        )(x)

    def relu(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Values below 0 become 0."""
        return keras.layers.ReLU(name=name)(x)

    def shuffle(
        self, x: keras.KerasTensor, groups: int, name: str
    ) -> keras.KerasTensor:
        """The first channel of each group, the second of each, and so on."""
        *size, channels = x.shape[1:]
        shape = (*size, groups, channels // groups)
        x = keras.layers.Reshape(shape, name=f"{name}_groups")(x)
        x = keras.layers.Permute((1, 2, 4, 3), name=f"{name}_permute")(x)
        return keras.layers.Reshape((*size, channels), name=name)(x)

    def classifier(
        self, x: keras.KerasTensor, num_classes: int, *, deviation: float = 0.0
    ) -> keras.KerasTensor:
        """Averages over the pixels, whose layer is "pool", then float32 logits.

        Kernels start uniform up to the root of 1 / channels, PyTorch's default, or
        normal with `deviation`.
        """
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        if deviation:
            initializer = keras.initializers.RandomNormal(stddev=deviation)
        else:
            initializer = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
        return keras.layers.Dense(
            num_classes, kernel_initializer=initializer, dtype="float32", name="logits"
        )(x)

    def _initializer(self, enters: str, leaves: str) -> keras.Initializer:
        if self.uniform:
            return keras.initializers.VarianceScaling(1 / 3, enters, "uniform")
        return keras.initializers.VarianceScaling(2.0, leaves, "untruncated_normal")


def _padded(
    x: keras.KerasTensor, size: int, strides: int, name: str
) -> tuple[keras.KerasTensor, str]:
    """The tensor, and the padding that a convolution of it is left to do."""
    if strides == 1 or size == 1:
        return x, "same"
    # "same" would begin one pixel further on than the shortcut beside it.
    return keras.layers.ZeroPadding2D(size // 2, name=f"{name}_padding")(x), "valid"
