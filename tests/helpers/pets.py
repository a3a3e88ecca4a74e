"""Images of cats and dogs, each of one shade, in folders that grow."""

import json
import pathlib

import numpy as np
from PIL import Image

from tests.helpers import configs
from tests.helpers.caches import act

SIZE = 8  # pixels a side
DENSE = np.dtype([("id", "<i8"), ("logits", "<f4", 2)])  # a record of the cache


def draw(folder: pathlib.Path, shades: range, form: str = "png") -> None:
    """Square images of one shade, named by it, each there at once."""
    folder.mkdir(parents=True, exist_ok=True)
    for shade in shades:
        pixels = np.full((SIZE, SIZE, 3), shade, np.uint8)
        hidden = folder / f".{shade}.{form}"
        Image.fromarray(pixels).save(hidden)
        hidden.rename(folder / f"{shade}.{form}")


def write_config(root: pathlib.Path, more: str = "") -> None:
    """Writes pets.toml, with further settings before the teacher's."""
    text = configs.GROWN.format(folder=root)
    (root / "pets.toml").write_text(text.replace("[teacher]", more + "[teacher]"))


def extend(root: pathlib.Path, *more: str, workdir: str = "first") -> int:
    """The exit code of `soft-targets extend`."""
    return act("extend", root / "pets.toml", root / workdir, *more)


def lines(path: pathlib.Path) -> list[dict]:
    """A list of files, without the checksum of the whole in its first line."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    del found[0]["list"]
    return found


def kept(root: pathlib.Path) -> list[dict]:
    """The list of the files that have ids in the cache."""
    return lines(root / "shared" / "files" / "train.jsonl")
