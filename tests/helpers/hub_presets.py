"""Small image classifiers of KerasHub, and presets of them in folders."""

import keras
import keras_hub
import numpy as np

CLASSES = 10


def classifier(
    kind="xception",
    *,
    classes=CLASSES,
    channels=1,
    side=None,
    size=(28, 28),
    spread=0.3,
    **head,
):
    """One with weights that `spread` moves from those of a seed, and a preprocessor.

    Of a "xception" the network takes any size, of a "vgg" `side`; `size` is the
    preprocessor's. A "vgg" has a head of several layers, with dropout.
    """
    keras.utils.set_random_seed(3)
    shape = (side, side, channels)
    scaling = {"image_size": size, "scale": 1 / 100, "offset": -1.5}
    if kind == "vgg":
        backbone = keras_hub.models.VGGBackbone(
            stackwise_num_repeats=[1, 1],
            stackwise_num_filters=[4, 8],
            image_shape=shape,
        )
        before = keras_hub.models.VGGImageClassifierPreprocessor(
            image_converter=keras_hub.layers.VGGImageConverter(**scaling)
        )
        head = {"pooling": "flatten", "pooling_hidden_dim": 16, "dropout": 0.2, **head}
        made = keras_hub.models.VGGImageClassifier
    else:
        backbone = keras_hub.models.XceptionBackbone(
            stackwise_conv_filters=[[4, 8], [8, 16]],
            stackwise_pooling=[True, False],
            image_shape=shape,
        )
        before = keras_hub.models.XceptionImageClassifierPreprocessor(
            image_converter=keras_hub.layers.XceptionImageConverter(**scaling)
        )
        made = keras_hub.models.XceptionImageClassifier
    model = made(backbone=backbone, num_classes=classes, preprocessor=before, **head)
    rng = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(weight + rng.uniform(0, spread, weight.shape))
    return model


def write(folder, kind="xception", **options):
    """The preset of such a classifier in a folder, and the classifier itself."""
    model = classifier(kind, **options)
    model.save_to_preset(str(folder))
    return f"hub:{folder}", model
