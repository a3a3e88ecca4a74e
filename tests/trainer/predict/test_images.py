"""Images that predict reads against those that a run evaluates."""

import numpy as np
import pytest
from PIL import Image

from trainer import data
from trainer.config import DataConfig
from trainer.predict import images

SIDE = 24


def drawn(seed: int, height: int, width: int, channels: int = 3) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 7, channels), dtype=np.uint8)
    fine = Image.fromarray(coarse.squeeze()).resize((width, height), Image.BICUBIC)
    noise = rng.integers(-9, 10, np.asarray(fine).shape)
    return Image.fromarray(np.clip(np.asarray(fine) + noise, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of every kind, larger and smaller than the model's and of its size."""
    root = tmp_path_factory.mktemp("kinds")
    (root / "a").mkdir()
    (root / "b").mkdir()
    for i, (height, width) in enumerate([(201, 320), (97, 60), (24, 24), (9, 40)]):
        drawn(i, height, width).save(root / f"a/colour{i}.jpg", quality=92)
        drawn(i + 9, height, width).save(root / f"a/lossless{i}.png")
    drawn(20, 130, 200).convert("L").save(root / "a/grey.jpg")
    drawn(21, 130, 200).convert("CMYK").save(root / "b/cmyk.jpg")
    drawn(22, 130, 200).save(root / "b/progressive.jpg", progressive=True)
    drawn(23, 60, 70).save(root / "b/webp.webp", lossless=True)
    drawn(24, 60, 70, 4).save(root / "b/alpha.png")
    drawn(25, 60, 70, 4).save(root / "b/alpha.webp", lossless=True)
    deep = np.random.default_rng(26).integers(0, 2**16, (50, 60), dtype=np.uint16)
    Image.fromarray(deep).save(root / "b/deep.png")
    return root


CROPPED = {"evaluate_view": "center_crop"}
IN_MEMORY = {"memory_budget_bytes": 2**30}


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        CROPPED | {"center_crop": 0.5, "background": "black"},
        *(
            pytest.param(slower, marks=pytest.mark.slow)
            for slower in (CROPPED, IN_MEMORY, CROPPED | IN_MEMORY)
        ),
    ],
)
def test_they_are_pixel_by_pixel_those_of_a_run(folder, tmp_path, settings):
    config = DataConfig(
        dataset=f"folder:{folder}",
        image_size=SIDE,
        train_split="train[:3]",
        validation_split="train[3:6]",
        test_split="train[6:]",
        **({"memory_budget_bytes": 0} | settings),
    )
    source = data.open_source(config, tmp_path)
    examples = source.read(config.test_split)
    evaluated = examples.read(np.arange(len(examples)))
    reader = images.ImageReader(
        shape=(SIDE, SIDE, 3),
        view=config.view,
        background=config.background_colour,
    )
    read = reader.batches(source.paths(config.test_split), batch_size=4)
    found = [image.inputs for batch in read for image in batch]
    np.testing.assert_array_equal(found, evaluated)
