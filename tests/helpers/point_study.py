"""A study of students that learn to sort points in a plane."""

import pathlib

import numpy as np

from tests.helpers import configs

TEACHER = "train = {global_batch_size = 16, steps = 60}"


def write_config(folder: pathlib.Path) -> pathlib.Path:
    """The path of a config, with its table beside it."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 2))
    lines = [f"{x},{y},{'in' if x * y > 0 else 'out'}" for x, y in points]
    (folder / "points.csv").write_text("\n".join(["x,y,label", *lines]) + "\n")
    config = folder / "study.toml"
    config.write_text(configs.POINTS.format(folder=folder).replace("TEACHER", TEACHER))
    return config
