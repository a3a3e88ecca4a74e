"""Runs that are variants of one and share its teacher and its soft targets.

`process` loads TensorFlow; the rest does without.
"""

from trainer.cells.cell import Cell, sharing, views

__all__ = ["Cell", "sharing", "views"]
