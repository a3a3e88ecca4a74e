"""Layers that the networks of the CIFAR tables are made of, as RepDistiller has them.

Their arithmetic is PyTorch's: strides begin at the same pixel for every size of kernel,
epsilon is 1e-5. https://github.com/HobbitLong/RepDistiller/tree/master/models
"""

import dataclasses

import keras

from trainer.models.preprocessing import PREPROCESSING

Tensor = keras.KerasTensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class CifarLayers:
    """Layers of one network: each method adds one to a tensor [B, H, W, channels]."""

    momentum: float  # of BatchNormalization

    def start(self, image: Tensor) -> Tensor:
        """Values from 0 to 255 become those from -1 to 1."""
        return PREPROCESSING["minus_one_to_one"](image)

    def convolution(
        self,
        x: Tensor,
        filters: int,
        name: str,
        *,
        size: int = 3,
        strides: int = 1,
        use_bias: bool = False,
    ) -> Tensor:
        """Kernels with the variance of He et al. 2015 over what leaves a layer."""
        is_padded = strides > 1 and size > 1
        if is_padded:
            # "same" would begin one pixel further on than the shortcut beside it.
            x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_padding")(x)
        return keras.layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding="valid" if is_padded else "same",
            use_bias=use_bias,
            kernel_initializer=keras.initializers.VarianceScaling(
                2.0, "fan_out", "untruncated_normal"
            ),
            name=name,
        )(x)

    def normalisation(self, x: Tensor, name: str) -> Tensor:
        """Brings each channel to mean 0 and variance 1 over a batch, then scales it."""
        return keras.layers.BatchNormalization(
            momentum=self.momentum, epsilon=1e-5, name=name
        )(x)

    def relu(self, x: Tensor, name: str) -> Tensor:
        """Values below 0 become 0."""
        return keras.layers.ReLU(name=name)(x)

    def classifier(
        self, x: Tensor, num_classes: int, *, deviation: float = 0.0
    ) -> Tensor:
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
