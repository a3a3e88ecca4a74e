"""Residual networks of small images (He et al. 2016, section 4.2)."""

import keras

from trainer.config import ResnetCifarOptions
from trainer.models.cifar_layers import CifarLayers


def resnet_cifar(
    image: keras.KerasTensor, num_classes: int, options: ResnetCifarOptions
) -> keras.KerasTensor:
    """A stem and three stages of (depth - 2) / 6 blocks, the last two at half the size.

    RepDistiller's, whose shortcuts are convolutions where width or size change
    (https://arxiv.org/abs/1512.03385, option B). On 32x32x3 images of 100 classes by
    default, resnet20, 278,324 parameters train; with depth 8 and widths (32, 64, 128,
    256), resnet8x4, it is 1,233,540. "stage1" to "stage3" are what the stages give.
    """
    layers = CifarLayers(momentum=options.batch_norm_momentum)
    stem, *widths = options.widths
    x = layers.convolution(layers.start(image), stem, "stem_conv")
    x = layers.relu(layers.normalisation(x, "stem_norm"), "stem")
    num_blocks = (options.depth - 2) // 6
    for stage, width in enumerate(widths, start=1):
        for block in range(1, num_blocks + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _block(x, width, strides, layers, f"stage{stage}_block{block}")
            is_last = block == num_blocks
            x = layers.relu(
                x, f"stage{stage}" if is_last else f"stage{stage}_block{block}_relu"
            )
    return layers.classifier(x, num_classes)


def _block(
    x: keras.KerasTensor, width: int, strides: int, layers: CifarLayers, name: str
) -> keras.KerasTensor:
    """Two convolutions, added to what they saw; the ReLU of the sum is left out."""
    shortcut = x
    if strides > 1 or x.shape[-1] != width:
        shortcut = layers.convolution(
            x, width, f"{name}_shortcut_conv", size=1, strides=strides
        )
        shortcut = layers.normalisation(shortcut, f"{name}_shortcut_norm")
    x = layers.convolution(x, width, f"{name}_conv1", strides=strides)
    x = layers.relu(layers.normalisation(x, f"{name}_norm1"), f"{name}_relu1")
    x = layers.convolution(x, width, f"{name}_conv2")
    x = layers.normalisation(x, f"{name}_norm2")
    return keras.layers.Add(name=f"{name}_add")([x, shortcut])
