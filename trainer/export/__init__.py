"""A model for those without this package: SavedModel and TFLite, compared with it."""

from trainer.export.lite import converted, interpreted, is_installed
from trainer.export.parity import EXACT, Measured, judged, measured
from trainer.export.serving import Answer, answers, load, probabilities, save

__all__ = [
    "EXACT",
    "Answer",
    "Measured",
    "answers",
    "converted",
    "interpreted",
    "is_installed",
    "judged",
    "load",
    "measured",
    "probabilities",
    "save",
]
