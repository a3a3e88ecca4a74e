"""VGG for small images: without the wide layers behind the convolutions."""

import keras

from trainer.config import VggCifarOptions
from trainer.models.cifar_layers import CifarLayers


def vgg_cifar(
    image: keras.KerasTensor, num_classes: int, options: VggCifarOptions
) -> keras.KerasTensor:
    """Five stages of one (depth 8) or two (13) convolutions; max-pools after three.

    RepDistiller's vgg8 and vgg13 with BatchNormalization, of the shape of Simonyan and
    Zisserman 2015 (https://arxiv.org/abs/1409.1556): its convolutions have biases. On
    32x32x3 images of 100 classes 3,965,028 and 9,462,180 parameters train. "stage1" to
    "stage5" are what the stages give, before a pool.
    """
    layers = CifarLayers(momentum=options.batch_norm_momentum)
    x = layers.start(image)
    num_convolutions = {8: 1, 13: 2}[options.depth]
    for stage, width in enumerate(options.widths, start=1):
        for i in range(1, num_convolutions + 1):
            name = f"stage{stage}"
            x = layers.convolution(x, width, f"{name}_conv{i}", use_bias=True)
            x = layers.normalisation(x, f"{name}_norm{i}")
            is_last = i == num_convolutions
            x = layers.relu(x, name if is_last else f"{name}_relu{i}")
        if stage <= 3:
            x = keras.layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    return layers.classifier(x, num_classes, deviation=0.01)
