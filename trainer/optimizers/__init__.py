"""From reduced gradients to new weights."""

from trainer.optimizers.keras_optimizers import build_optimizer
from trainer.optimizers.schedules import Schedule, num_steps, schedule
from trainer.optimizers.update import OptimizerUpdate, trained_variables

__all__ = [
    "OptimizerUpdate",
    "Schedule",
    "build_optimizer",
    "num_steps",
    "schedule",
    "trained_variables",
]
