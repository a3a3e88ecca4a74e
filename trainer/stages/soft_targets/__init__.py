"""Caches of soft targets: what they cost, building, checking and growing them."""

from trainer.stages.soft_targets.build import build
from trainer.stages.soft_targets.extend import extend, predict_new
from trainer.stages.soft_targets.ids import ids
from trainer.stages.soft_targets.importing import import_answers
from trainer.stages.soft_targets.info import info
from trainer.stages.soft_targets.parts import build_part, wait
from trainer.stages.soft_targets.plan import plan
from trainer.stages.soft_targets.verify import verify

__all__ = [
    "build",
    "build_part",
    "extend",
    "ids",
    "import_answers",
    "info",
    "plan",
    "predict_new",
    "verify",
    "wait",
]
