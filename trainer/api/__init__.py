"""The functions for Python programs: the same stages as those of the command line."""

from trainer.api.distillation import distill, run
from trainer.api.result import Gain, Page, Result

__all__ = ["Gain", "Page", "Result", "distill", "run"]
