"""Per-example losses; the caller reduces them."""

from trainer.losses.hard import hard_loss
from trainer.losses.soft import soft_loss
from trainer.losses.targets import SoftTargets, to_buckets
from trainer.losses.total import total_loss

__all__ = ["SoftTargets", "hard_loss", "soft_loss", "to_buckets", "total_loss"]
