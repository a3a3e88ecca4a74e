"""The networks and trainings of a first config, by what was found out."""

import math
from typing import Any

from trainer.draft.findings import Findings

_SMALL_SIDE = 96  # pixels, up to which networks learn from nothing in minutes
_SEEN = 240_000  # examples in a training, where that is a fair number of epochs
_FEWEST_EPOCHS, _MOST_EPOCHS = 10, 100
_LARGEST_BATCH, _SMALLEST_BATCH = 128, 8
_STEPS_AN_EPOCH = 20  # at least, where the batch can be so small
_MANY = 50_000  # examples, above which one seed has to do


def choose(found: Findings, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """All settings, and comments by the paths of settings and sections."""
    seeds = [0] if found.num_train > _MANY else [0, 1, 2]
    if not found.side:
        networks, notes = _for_rows(found)
    elif found.side <= _SMALL_SIDE:
        networks, notes = _for_small_images(found)
    else:
        networks, notes = _for_photos(found)
    data, data_notes = found.section()
    settings = {
        "name": name,
        "seeds": seeds,
        "data": data,
        **networks,
        "distill": {"alpha": 0.9, "temperature": 4.0},
    }
    comments = {
        "seeds": "One student and one baseline each; the gain gets its standard error.",
        **{f"data.{setting}": note for setting, note in data_notes.items()},
        **notes,
        "student.train": "The baseline trains by the same settings, without a teacher.",
        "distill": "loss = alpha * T^2 * KL(teacher || student) + (1 - alpha) * "
        "cross-entropy; try temperatures from 2 to 10.",
    }
    return settings, comments


def _train(
    found: Findings, *, most_epochs: int = _MOST_EPOCHS, largest_batch: int = 128
) -> dict[str, Any]:
    epochs = math.ceil(_SEEN / found.num_train)
    return {
        "global_batch_size": _batch(found.num_train, largest_batch),
        "epochs": min(max(epochs, _FEWEST_EPOCHS), most_epochs),
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "schedule": "cosine",
    }


def _batch(num_train: int, largest: int) -> int:
    """A power of two, so that any usual number of devices shares it evenly."""
    exponent = int(math.log2(max(1, num_train / _STEPS_AN_EPOCH)))
    return min(max(1 << exponent, _SMALLEST_BATCH), largest)


def _for_rows(found: Findings) -> tuple[dict[str, Any], dict[str, str]]:
    wide = [256, 256] if found.num_train > 2000 else [64]
    networks = {
        "teacher": {
            "model": "mlp",
            "options": {"hidden_sizes": wide},
            "train": _train(found),
        },
        "student": {
            "model": "mlp",
            "options": {"hidden_sizes": [16]},
            "train": _train(found),
        },
    }
    return networks, {"student": "Small enough that the teacher has something to add."}


def _for_small_images(found: Findings) -> tuple[dict[str, Any], dict[str, str]]:
    networks = {
        "teacher": {
            "model": "cnn",
            "options": {"filters": [64, 128, 256]},
            "train": {**_train(found), "augment": "shift"},
        },
        "student": {
            "model": "cnn",
            "options": {"filters": [8, 16, 32]},
            "train": _train(found),
        },
    }
    notes = {
        "teacher.train.augment": 'Or "crop_flip", where mirrored images keep their '
        "class.",
        "student": "Small enough that the teacher has something to add.",
    }
    return networks, notes


def _for_photos(found: Findings) -> tuple[dict[str, Any], dict[str, str]]:
    head = _train(found, most_epochs=5, largest_batch=32)
    whole = _train(found, most_epochs=15, largest_batch=32)
    networks = {
        "teacher": {
            "model": "EfficientNetV2B0",
            "weights": "imagenet",
            "head": {k: head[k] for k in ("global_batch_size", "epochs", "optimizer")},
            "train": {**whole, "learning_rate": 1e-4, "augment": "crop_flip"},
        },
        "student": {"model": "squeezenet", "train": _train(found, largest_batch=64)},
    }
    notes = {
        "teacher": "Any classifier of keras.applications; Keras downloads what it "
        "learned from ImageNet, or name a file of such weights.",
        "teacher.head": "First its new last layer alone, then all of it.",
        "teacher.train.augment": '"shift" or "none" where mirrored images change their '
        "class.",
        "student": "SqueezeNet v1.1 learns from nothing but these images and the "
        "teacher.",
    }
    return networks, notes
