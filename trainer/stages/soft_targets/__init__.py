"""Caches of soft targets: what they cost, building, checking and growing them."""

from trainer.stages.soft_targets.build import build
from trainer.stages.soft_targets.extend import answer_new, extend
from trainer.stages.soft_targets.info import info
from trainer.stages.soft_targets.plan import plan
from trainer.stages.soft_targets.verify import verify

__all__ = ["answer_new", "build", "extend", "info", "plan", "verify"]
