"""From reduced gradients to new weights."""

from trainer.optimizers.rules import optimizer
from trainer.optimizers.schedules import Schedule, num_steps, schedule
from trainer.optimizers.update import Update

__all__ = ["Schedule", "Update", "num_steps", "optimizer", "schedule"]
