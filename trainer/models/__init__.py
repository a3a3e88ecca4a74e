"""Architectures: images or rows in, float32 logits out, normalisation inside."""

from trainer.models.adapters import Adapter
from trainer.models.batch_norm_folding import fold_batch_norm, folded_path
from trainer.models.build import build
from trainer.models.checks import random_layers
from trainer.models.dropout import Dropout, dropout_keys
from trainer.models.fingerprint import (
    architecture_fingerprint,
    fingerprint,
    weights_fingerprint,
)
from trainer.models.given import GivenModel, check_apart, find_problem, save_weights
from trainer.models.head import head, head_alone
from trainer.models.hub_presets import load_preset
from trainer.models.inputs import Inputs
from trainer.models.other_values import other_values, predict_as
from trainer.models.saved import alone
from trainer.models.saving import check_saving
from trainer.models.taps import (
    Tap,
    call_tapped,
    embedding_path,
    example_shape,
    find_taps,
    layers_by_path,
    recordable,
    shapes_of,
)
from trainer.models.weights import check_archive, load_weights

__all__ = [
    "Adapter",
    "Dropout",
    "GivenModel",
    "Inputs",
    "Tap",
    "alone",
    "architecture_fingerprint",
    "build",
    "call_tapped",
    "check_apart",
    "check_archive",
    "check_saving",
    "dropout_keys",
    "embedding_path",
    "example_shape",
    "find_problem",
    "find_taps",
    "fingerprint",
    "fold_batch_norm",
    "folded_path",
    "head",
    "head_alone",
    "layers_by_path",
    "load_preset",
    "load_weights",
    "other_values",
    "predict_as",
    "random_layers",
    "recordable",
    "save_weights",
    "shapes_of",
    "weights_fingerprint",
]
