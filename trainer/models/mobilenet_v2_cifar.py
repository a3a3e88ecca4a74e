"""MobileNetV2 for small images (Sandler et al. 2018)."""

import keras

from trainer.config import MobilenetV2CifarOptions
from trainer.models.cifar_layers import CifarLayers

# Expansion, channels at width 1, blocks, strides of the first one, stage that ends.
_ROWS = (
    (1, 16, 1, 1, ""),
    (6, 24, 2, 1, "stage1"),
    (6, 32, 3, 2, "stage2"),
    (6, 64, 4, 2, ""),
    (6, 96, 3, 1, "stage3"),
    (6, 160, 3, 2, ""),
    (6, 320, 1, 1, "stage4"),
)
_LAST = 1280  # channels of the last convolution, at width 1 and below


def mobilenet_v2_cifar(
    image: keras.KerasTensor, num_classes: int, options: MobilenetV2CifarOptions
) -> keras.KerasTensor:
    """Inverted residuals, of which two fewer halve the size than on ImageNet.

    RepDistiller's, with ReLU for ReLU6 (https://arxiv.org/abs/1801.04381). On 32x32x3
    images of 100 classes 812,836 parameters train at half width, the default. "stage1"
    to "stage4" are blocks 3, 6, 13 and 17, which end without a ReLU.
    """
    layers = CifarLayers(momentum=options.batch_norm_momentum)
    x = layers.convolution(
        layers.start(image), int(32 * options.width), "stem_conv", strides=2
    )
    x = layers.relu(layers.normalisation(x, "stem_norm"), "stem")
    number = 1
    for expansion, channels, blocks, first_strides, stage in _ROWS:
        width = int(channels * options.width)
        for block in range(1, blocks + 1):
            strides = first_strides if block == 1 else 1
            name = f"block{number}"
            end = stage if block == blocks and stage else f"{name}_end"
            x = _block(x, width, expansion, strides, layers, name, end)
            number += 1
    x = layers.convolution(x, int(_LAST * max(1, options.width)), "last_conv", size=1)
    x = layers.relu(layers.normalisation(x, "last_norm"), "last_relu")
    return layers.classifier(x, num_classes, deviation=0.01)


def _block(
    x: keras.KerasTensor,
    width: int,
    expansion: int,
    strides: int,
    layers: CifarLayers,
    name: str,
    end: str,
) -> keras.KerasTensor:
    """More channels, a filter for each, and few channels, which are added if alike."""
    shortcut = x
    is_residual = strides == 1 and x.shape[-1] == width
    x = layers.convolution(x, x.shape[-1] * expansion, f"{name}_expand_conv", size=1)
    x = layers.relu(layers.normalisation(x, f"{name}_expand_norm"), f"{name}_relu1")
    x = layers.depthwise(x, f"{name}_depthwise", strides=strides)
    x = layers.relu(layers.normalisation(x, f"{name}_depthwise_norm"), f"{name}_relu2")
    x = layers.convolution(x, width, f"{name}_project_conv", size=1)
    x = layers.normalisation(x, f"{name}_project_norm" if is_residual else end)
    return keras.layers.Add(name=end)([x, shortcut]) if is_residual else x
