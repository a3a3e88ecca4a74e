"""ShuffleNet for small images (Zhang et al. 2018)."""

import keras

from trainer.config import ShufflenetV1Options
from trainer.models.cifar_layers import CifarLayers

_STEM = 24  # channels
_GROUPS = 3
_BLOCKS = (4, 8, 4)


def shufflenet_v1(
    image: keras.KerasTensor, num_classes: int, options: ShufflenetV1Options
) -> keras.KerasTensor:
    """Three stages of 1x1 convolutions in 3 groups, which are shuffled between them.

    RepDistiller's ShuffleV1 (https://arxiv.org/abs/1707.01083), whose stem is a 1x1
    convolution of all pixels. On 32x32x3 images of 100 classes 949,258 parameters train
    by default. "stage1" to "stage3" are what the stages give, each at half the size.
    """
    layers = CifarLayers(momentum=options.batch_norm_momentum, uniform=True)
    x = layers.convolution(layers.start(image), _STEM, "stem_conv", size=1)
    x = layers.relu(layers.normalisation(x, "stem_norm"), "stem")
    rows = zip(options.widths, _BLOCKS, strict=True)
    for stage, (width, num_blocks) in enumerate(rows, start=1):
        for block in range(1, num_blocks + 1):
            name = f"stage{stage}_block{block}"
            x = _block(x, width, layers, name, is_first=block == 1)
            is_last = block == num_blocks
            x = layers.relu(x, f"stage{stage}" if is_last else f"{name}_relu3")
    return layers.classifier(x, num_classes)


def _block(
    x: keras.KerasTensor, width: int, layers: CifarLayers, name: str, *, is_first: bool
) -> keras.KerasTensor:
    """A bottleneck beside what it saw; the first of a stage halves the size of both."""
    shortcut = x
    out = width - x.shape[-1] if is_first else width
    groups = 1 if x.shape[-1] == _STEM else _GROUPS
    x = layers.grouped(x, out // 4, groups, f"{name}_conv1")
    x = layers.relu(layers.normalisation(x, f"{name}_norm1"), f"{name}_relu1")
    if groups > 1:
        x = layers.shuffle(x, groups, f"{name}_shuffle")
    x = layers.depthwise(x, f"{name}_conv2", strides=2 if is_first else 1)
    x = layers.relu(layers.normalisation(x, f"{name}_norm2"), f"{name}_relu2")
    x = layers.grouped(x, out, _GROUPS, f"{name}_conv3")
    x = layers.normalisation(x, f"{name}_norm3")
    if not is_first:
        return keras.layers.Add(name=f"{name}_add")([x, shortcut])
    # The zeros around the image count in the averages, as in PyTorch.
    shortcut = keras.layers.ZeroPadding2D(1, name=f"{name}_pool_padding")(shortcut)
    shortcut = keras.layers.AveragePooling2D(3, strides=2, name=f"{name}_pool")(
        shortcut
    )
    return keras.layers.Concatenate(name=f"{name}_concat")([x, shortcut])
