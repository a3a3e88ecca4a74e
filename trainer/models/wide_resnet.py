"""Wide residual networks (Zagoruyko and Komodakis 2016)."""

import keras

from trainer.config import WideResnetOptions
from trainer.models.cifar_layers import CifarLayers


def wide_resnet(
    image: keras.KerasTensor, num_classes: int, options: WideResnetOptions
) -> keras.KerasTensor:
    """A stem of 16 channels, stages of 16, 32 and 64 times `width`, then their ReLU.

    RepDistiller's, which normalises before each convolution
    (https://arxiv.org/abs/1605.07146, without dropout). On 32x32x3 images of 100
    classes 703,284 parameters train by default, wrn-16-2, and 2,255,156 with depth 40.
    "stage1" to "stage3" are the sums that the stages give, before a normalisation and
    a ReLU.
    """
    layers = CifarLayers(momentum=options.batch_norm_momentum)
    x = layers.convolution(layers.start(image), 16, "stem")
    num_blocks = (options.depth - 4) // 6
    for stage, width in enumerate((16, 32, 64), start=1):
        for block in range(1, num_blocks + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            name = f"stage{stage}_block{block}"
            x, shortcut = _block(x, width * options.width, strides, layers, name)
            is_last = block == num_blocks
            end = f"stage{stage}" if is_last else f"{name}_add"
            x = keras.layers.Add(name=end)([x, shortcut])
    x = layers.relu(layers.normalisation(x, "last_norm"), "last_relu")
    return layers.classifier(x, num_classes)


def _block(
    x: keras.KerasTensor, width: int, strides: int, layers: CifarLayers, name: str
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Two convolutions and what is to be added to them."""
    shortcut = x
    x = layers.relu(layers.normalisation(x, f"{name}_norm1"), f"{name}_relu1")
    if shortcut.shape[-1] != width:
        shortcut = layers.convolution(
            x, width, f"{name}_shortcut_conv", size=1, strides=strides
        )
    x = layers.convolution(x, width, f"{name}_conv1", strides=strides)
    x = layers.relu(layers.normalisation(x, f"{name}_norm2"), f"{name}_relu2")
    return layers.convolution(x, width, f"{name}_conv2"), shortcut
