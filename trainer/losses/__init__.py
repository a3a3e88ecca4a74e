"""Per-example losses; the caller reduces them."""

from trainer.losses.hard import hard_loss
from trainer.losses.soft import soft_loss
from trainer.losses.targets import SoftTargets, bucketed
from trainer.losses.total import total_loss

__all__ = ["SoftTargets", "bucketed", "hard_loss", "soft_loss", "total_loss"]
