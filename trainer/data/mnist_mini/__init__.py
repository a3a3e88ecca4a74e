"""The bundled dataset: 12,000 digits of MNIST, built by TFDS without a download."""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

ARRAYS = pathlib.Path(__file__).with_name("mnist_mini.npz")


class MnistMini(tfds.core.GeneratorBasedBuilder):
    """`tfds.builder("mnist_mini")`, known to TFDS once this module is imported."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Every class of MNIST in equal parts, 10,000 + 2,000 digits.",
            license="CC BY-SA 3.0",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(28, 28, 1)),
                    "label": tfds.features.ClassLabel(names=list("0123456789")),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,  # prepared in the order of the arrays
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        del dl_manager  # nothing to download
        return {
            "train": self._generate_examples("train"),
            "test": self._generate_examples("test"),
        }

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        with np.load(ARRAYS) as arrays:
            images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        # All at once: given arrays, TFDS starts an op for each image.
        pngs = tf.io.encode_png(images).numpy()
        for i, (png, label) in enumerate(zip(pngs, labels, strict=True)):
            yield i, {"image": png, "label": label}
