"""The networks of the CIFAR tables, against counts made by hand."""

import numpy as np
import pytest

from tests.helpers.messages import refused
from tests.helpers.small_models import build
from trainer.config import ConfigError, ResnetCifarOptions, VggCifarOptions

CIFAR_SHAPE = (32, 32, 3)

RESNET, X4 = (16, 16, 32, 64), (32, 64, 128, 256)


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        # Of resnet8: stem 432 + 32; stages 4,608 + 64, then 4,608 + 9,216 + 512 + 192
        # and 18,432 + 36,864 + 2,048 + 384; logits 6,500.
        ("resnet_cifar", ResnetCifarOptions(depth=8), 83_892),
        ("resnet_cifar", ResnetCifarOptions(depth=14), 181_108),
        ("resnet_cifar", ResnetCifarOptions(), 278_324),
        ("resnet_cifar", ResnetCifarOptions(depth=32), 472_756),
        ("resnet_cifar", ResnetCifarOptions(depth=44), 667_188),
        ("resnet_cifar", ResnetCifarOptions(depth=56), 861_620),
        ("resnet_cifar", ResnetCifarOptions(depth=110), 1_736_564),
        ("resnet_cifar", ResnetCifarOptions(depth=8, widths=X4), 1_233_540),
        ("resnet_cifar", ResnetCifarOptions(depth=32, widths=X4), 7_433_860),
        ("resnet_cifar", ResnetCifarOptions(depth=8, widths=(8, 8, 16, 32)), 22_924),
        ("resnet_cifar", ResnetCifarOptions(depth=8, widths=(4, 4, 8, 16)), 6_744),
        # Of vgg8: 1,792 + 128, 73,856 + 256, 295,168 + 512, 1,180,160 + 1,024,
        # 2,359,808 + 1,024; logits 51,300.
        ("vgg_cifar", VggCifarOptions(), 3_965_028),
        ("vgg_cifar", VggCifarOptions(depth=13), 9_462_180),
    ],
    ids=str,
)
def test_parameters_that_train_are_repdistillers(name, options, parameters):
    model = build(name, options, image_shape=CIFAR_SHAPE, num_classes=100)
    shapes = [weight.shape for weight in model.trainable_weights]
    assert sum(int(np.prod(shape)) for shape in shapes) == parameters


def test_images_of_which_no_pixel_is_left_are_refused():
    build("vgg_cifar", VggCifarOptions(widths=(2,) * 5), image_shape=(8, 9, 1))
    with refused(ConfigError, "8 x 8", "7 x 9", "data.image_size"):
        build("vgg_cifar", VggCifarOptions(), image_shape=(7, 9, 1))
