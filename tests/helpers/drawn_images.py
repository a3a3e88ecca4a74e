"""A folder of colour images in eight classes, drawn by code so that they are learnable.

A class is a shape in a colour: four share each colour, and two each shape. Place,
size, shade and background vary, so that no single pixel tells the class.

    python -m tests.helpers.drawn_images FOLDER NUM_IMAGES

writes FOLDER/CLASS/ with the same images each time.
"""

import itertools
import pathlib
import sys
from collections.abc import Iterator

import numpy as np
from PIL import Image

NUM_IMAGES = 600
SIZE = 96  # pixels a side

# Whether a point is in the shape, whose radius is 1.
SHAPES = {
    "disc": lambda x, y: x**2 + y**2 < 1,
    "ring": lambda x, y: (x**2 + y**2 < 1) & (x**2 + y**2 > 0.35),
    "square": lambda x, y: np.maximum(abs(x), abs(y)) < 0.85,
    "cross": lambda x, y: (
        (np.minimum(abs(x), abs(y)) < 0.3) & (np.maximum(abs(x), abs(y)) < 1)
    ),
}
COLOURS = {"red": (200, 60, 50), "blue": (50, 70, 200)}
CLASSES = tuple(
    f"{colour}_{shape}" for colour, shape in itertools.product(COLOURS, SHAPES)
)


def images(
    num_images: int = NUM_IMAGES, *, size: int = SIZE, seed: int = 0
) -> Iterator[tuple[str, np.ndarray]]:
    """Class and pixels, the classes in turn: uint8 [size, size, 3]."""
    rng = np.random.default_rng(seed)
    for i in range(num_images):
        name = CLASSES[i % len(CLASSES)]
        yield name, _drawn(*name.split("_"), size, rng)


def _drawn(colour: str, shape: str, size: int, rng: np.random.Generator) -> np.ndarray:
    # A coarse grid of colours, smoothed, with fine noise over it.
    coarse = rng.integers(70, 186, (6, 6, 3)).astype(np.uint8)
    ground = Image.fromarray(coarse).resize((size, size), Image.Resampling.BILINEAR)
    radius = rng.uniform(0.2, 0.32) * size
    left, top = rng.uniform(radius, size - radius, 2)
    rows, columns = np.mgrid[:size, :size]
    inside = SHAPES[shape]((columns - left) / radius, (rows - top) / radius)
    shade = np.array(COLOURS[colour]) + rng.normal(0, 20, 3)
    pixels = np.where(inside[..., np.newaxis], shade, np.asarray(ground))
    pixels += rng.normal(0, 12, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def write(
    folder: pathlib.Path,
    num_images: int = NUM_IMAGES,
    *,
    size: int = SIZE,
    seed: int = 0,
) -> None:
    """Writes CLASS/NUMBER.png, .jpg and .webp files in turn."""
    for i, (name, pixels) in enumerate(images(num_images, size=size, seed=seed)):
        # Classes come in turn, so that a class has files of every format.
        suffix = ("png", "jpg", "webp")[i // len(CLASSES) % 3]
        path = folder / name / f"{i:04}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=90, compress_level=1, method=0)


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
