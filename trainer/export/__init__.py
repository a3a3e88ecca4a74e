"""A model for those without this package: SavedModel, TFLite and ONNX, compared.

`tflite` and `onnx_file` need packages of their own extras.
"""

from trainer.export.parity import EXACT, Measured, find_problems, measure
from trainer.export.saved_model import (
    Predict,
    load,
    predict_function,
    probabilities,
    save,
)

__all__ = [
    "EXACT",
    "Measured",
    "Predict",
    "find_problems",
    "load",
    "measure",
    "predict_function",
    "probabilities",
    "save",
]
