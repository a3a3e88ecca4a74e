"""Architectures: images or rows in, float32 logits out, normalisation inside."""

from trainer.models.build import build
from trainer.models.dropout import Dropout, dropout_keys
from trainer.models.fingerprint import fingerprint
from trainer.models.folding import folded
from trainer.models.head import head, head_alone
from trainer.models.inputs import Inputs
from trainer.models.saved import alone
from trainer.models.saving import check_saving
from trainer.models.weights import load_weights

__all__ = [
    "Dropout",
    "Inputs",
    "alone",
    "build",
    "check_saving",
    "dropout_keys",
    "fingerprint",
    "folded",
    "head",
    "head_alone",
    "load_weights",
]
