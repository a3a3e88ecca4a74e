"""Numbers and files of runs in a team's own store, such as MLflow, beside the workdir.

All is sent from the files of the workdir, by keys that it keeps: what was not sent,
because a server was down or a process was killed, is sent later, and nothing twice.
"""

from trainer.tracking.follow import Following, following
from trainer.tracking.sender import Counts, Sender
from trainer.tracking.tracker import TrackedRun, Tracker, TrackingError, opening

__all__ = [
    "Counts",
    "Following",
    "Sender",
    "TrackedRun",
    "Tracker",
    "TrackingError",
    "following",
    "opening",
]
