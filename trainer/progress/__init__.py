"""Progress of work: bars on a terminal, plain lines elsewhere, and the time left."""

from trainer.progress.bar import Bar
from trainer.progress.region import is_terminal
from trainer.progress.run_progress import RunProgress, StepBar, show_bar

__all__ = ["Bar", "RunProgress", "StepBar", "is_terminal", "show_bar"]
