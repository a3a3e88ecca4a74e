"""The folder that holds the packages, their tests and configs."""

import pathlib

REPOSITORY = pathlib.Path(__file__).parents[2]
