"""Architectures: images or rows in, float32 logits out, normalisation inside."""

from trainer.models.batch_norm_folding import fold_batch_norm
from trainer.models.build import build
from trainer.models.dropout import Dropout, dropout_keys
from trainer.models.fingerprint import fingerprint
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
    "fold_batch_norm",
    "head",
    "head_alone",
    "load_weights",
]
