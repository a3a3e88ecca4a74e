"""Models with names and versions, each written whole or not at all.

A version is the folder ROOT/NAME/NUMBER in TensorFlow Serving's layout: a SavedModel,
beside it model.keras, and a card that says what the model is and the checksum of each
file. Importing this loads no TensorFlow.
"""

from trainer.registry.actions import ACTIONS, root_of, run_action
from trainer.registry.card import Card
from trainer.registry.lock_file import locked_models, share_lock
from trainer.registry.publishing import publishing
from trainer.registry.revision import revision
from trainer.registry.versions import (
    MODEL,
    background_of,
    check_file,
    columns_of_file,
    model_of,
    names_of_file,
    newest,
    role_of_file,
    view_of_file,
)

__all__ = [
    "ACTIONS",
    "MODEL",
    "Card",
    "background_of",
    "check_file",
    "columns_of_file",
    "locked_models",
    "model_of",
    "names_of_file",
    "newest",
    "publishing",
    "revision",
    "role_of_file",
    "root_of",
    "run_action",
    "share_lock",
    "view_of_file",
]
