"""The evaluate stage: the test split, read once, and every model's metrics on it."""

from trainer.stages.evaluate.stage import evaluate

__all__ = ["evaluate"]
