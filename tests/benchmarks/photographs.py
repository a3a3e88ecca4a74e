"""JPEG files of eight classes, as large as photographs in their bytes and in pixels."""

import pathlib

import numpy as np
import tensorflow as tf

_COUNT = 400
_CLASSES = 8
_STORED_SIZE = 160  # pixels a side, before they are resized


def draw(folder: pathlib.Path) -> None:
    """Writes CLASS/NUMBER.jpg, the same images each time."""
    rng = np.random.default_rng(0)
    for i in range(_COUNT):
        # A coarse grid of colours, smoothed, with fine noise over it.
        coarse = rng.integers(70, 186, (6, 6, 3)).astype(np.float32)
        pixels = tf.image.resize(coarse, (_STORED_SIZE, _STORED_SIZE)).numpy()
        pixels += rng.normal(0, 12, pixels.shape)
        # By TensorFlow: Pillow is not everywhere that the trainer is.
        contents = tf.io.encode_jpeg(
            np.clip(pixels, 0, 255).astype(np.uint8), "rgb", 90
        )
        path = folder / f"class-{i % _CLASSES}" / f"{i:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents.numpy())
