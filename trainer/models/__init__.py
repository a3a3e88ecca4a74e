"""Architectures: images in, float32 logits out, normalisation inside."""

from trainer.models.build import build
from trainer.models.dropout import Dropout, dropout_keys
from trainer.models.inputs import Inputs
from trainer.models.weights import load_weights

__all__ = ["Dropout", "Inputs", "build", "dropout_keys", "load_weights"]
