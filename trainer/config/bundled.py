"""Configs that come with the package, by their names."""

import os
import pathlib
from typing import Any

from trainer.config import places

FOLDER = pathlib.Path(__file__).parents[1] / "bundled"


def names() -> list[str]:
    """The names of all of them."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def file_of(name: str) -> pathlib.Path | None:
    """The file of the one that is called `name`; a file that is there has precedence.

    A folder has not, for a workdir may be called as its config.
    """
    path = places.expand_home(name)
    is_file = os.path.exists(path) and not os.path.isdir(path)
    return None if is_file or name not in names() else FOLDER / f"{name}.toml"


def point_to_data(settings: dict[str, Any]) -> None:
    """Has the dataset that comes with a config found from any working directory."""
    data = settings["data"]
    data["dataset"] = data["dataset"].replace(":configs/", f":{FOLDER}/")
