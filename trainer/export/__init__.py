"""A model for those without this package: SavedModel and TFLite, compared with it."""

from trainer.export.parity import EXACT, Measured, find_problems, measure
from trainer.export.saved_model import Answer, answers, load, probabilities, save
from trainer.export.tflite import convert, interpreter, is_installed

__all__ = [
    "EXACT",
    "Answer",
    "Measured",
    "answers",
    "convert",
    "find_problems",
    "interpreter",
    "is_installed",
    "load",
    "measure",
    "probabilities",
    "save",
]
