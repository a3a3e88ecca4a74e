"""ShuffleNetV2 for small images (Ma et al. 2018)."""

import keras

from trainer.config import ShufflenetV2Options
from trainer.models.cifar_layers import CifarLayers

_STEM = 24  # channels
_BLOCKS = (3, 7, 3)  # of each stage, beside the one that halves the size


def shufflenet_v2(
    image: keras.KerasTensor, num_classes: int, options: ShufflenetV2Options
) -> keras.KerasTensor:
    """Three stages in which one half of the channels passes by, then they are shuffled.

    RepDistiller's ShuffleV2 (https://arxiv.org/abs/1807.11164, 1x), whose stem is a 1x1
    convolution of all pixels. On 32x32x3 images of 100 classes 1,355,528 parameters
    train by default. "stage1" to "stage3" are what the stages give, each at half the
    size.
    """
    layers = CifarLayers(momentum=options.batch_norm_momentum, uniform=True)
    *widths, last = options.widths
    x = layers.convolution(layers.start(image), _STEM, "stem_conv", size=1)
    x = layers.relu(layers.normalisation(x, "stem_norm"), "stem")
    rows = zip(widths, _BLOCKS, strict=True)
    for stage, (width, num_blocks) in enumerate(rows, start=1):
        x = _halving_block(x, width // 2, layers, f"stage{stage}_block0")
        for block in range(1, num_blocks + 1):
            name = f"stage{stage}_block{block}"
            passed, x = keras.ops.split(x, 2, axis=-1)
            x = _branch(x, width // 2, layers, name)
            x = keras.layers.Concatenate(name=f"{name}_concat")([passed, x])
            is_last = block == num_blocks
            x = layers.shuffle(x, 2, f"stage{stage}" if is_last else f"{name}_shuffle")
    x = layers.convolution(x, last, "last_conv", size=1)
    x = layers.relu(layers.normalisation(x, "last_norm"), "last_relu")
    return layers.classifier(x, num_classes)


def _halving_block(
    x: keras.KerasTensor, half: int, layers: CifarLayers, name: str
) -> keras.KerasTensor:
    """Both halves of the channels from all that it sees."""
    left = layers.depthwise(x, f"{name}_left_conv1", strides=2)
    left = layers.normalisation(left, f"{name}_left_norm1")
    left = layers.convolution(left, half, f"{name}_left_conv2", size=1)
    left = layers.normalisation(left, f"{name}_left_norm2")
    left = layers.relu(left, f"{name}_left_relu")
    right = _branch(x, half, layers, name, strides=2)
    x = keras.layers.Concatenate(name=f"{name}_concat")([left, right])
    return layers.shuffle(x, 2, f"{name}_shuffle")


def _branch(
    x: keras.KerasTensor,
    width: int,
    layers: CifarLayers,
    name: str,
    *,
    strides: int = 1,
) -> keras.KerasTensor:
    x = layers.convolution(x, width, f"{name}_conv1", size=1)
    x = layers.relu(layers.normalisation(x, f"{name}_norm1"), f"{name}_relu1")
    x = layers.depthwise(x, f"{name}_conv2", strides=strides)
    x = layers.normalisation(x, f"{name}_norm2")
    x = layers.convolution(x, width, f"{name}_conv3", size=1)
    return layers.relu(layers.normalisation(x, f"{name}_norm3"), f"{name}_relu3")
