"""A model for those without this package: SavedModel and TFLite, compared with it."""

from trainer.export.parity import EXACT, Measured, find_problems, measure
from trainer.export.saved_model import (
    Predict,
    load,
    predict_function,
    probabilities,
    save,
)
from trainer.export.tflite import convert, interpreter, is_installed

__all__ = [
    "EXACT",
    "Measured",
    "Predict",
    "convert",
    "find_problems",
    "interpreter",
    "is_installed",
    "load",
    "measure",
    "predict_function",
    "probabilities",
    "save",
]
