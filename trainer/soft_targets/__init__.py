"""Teacher signals: where the teacher's logits for a batch come from.

A signal is a function of the batch, called inside the compiled step; the losses do not
know which kind they are given.
"""

from trainer.soft_targets.ensemble import ensemble
from trainer.soft_targets.online import online

__all__ = ["ensemble", "online"]
