"""A run in one process: devices, data, networks, and trainings with them."""

from trainer.session.opening import open_session
from trainer.session.session import Session

__all__ = ["Session", "open_session"]
