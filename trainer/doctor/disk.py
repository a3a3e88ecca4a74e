"""How much a whole run writes."""

from collections.abc import Mapping

import keras

from trainer.stages.trial import Footprint, Trial, footprint


def needed_bytes(
    trials: Mapping[str, Trial],
    teachers: Mapping[str, keras.Model],
    *,
    num_trainings: Mapping[str, int],
    keep_checkpoints: int,
) -> int:
    """Of all checkpoints and models, by the trials of the trainings in each role.

    Checkpoints are the newest, the best and one in the making. A teacher is saved with
    and without a training.
    """
    needed = sum(_saved(footprint(model, {})) for model in teachers.values())
    for role, tried in trials.items():
        each = (keep_checkpoints + 2) * tried.footprint.state
        if role not in teachers:
            each += _saved(tried.footprint)
        needed += num_trainings[role] * each
    return needed


def _saved(model: Footprint) -> int:
    """Bytes of the last and of the best model."""
    return 2 * model.weights
