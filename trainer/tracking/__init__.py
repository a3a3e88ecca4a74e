"""Numbers and files of runs in a team's own store, such as MLflow, beside the workdir.

All is sent from the files of the workdir, by keys that it keeps: what was not sent,
because a server was down or a process was killed, is sent later, and nothing twice.
`sender` loads NumPy; importing this does not.
"""

from trainer.tracking.follow import Following, following
from trainer.tracking.tracker import TrackedRun, Tracker, TrackingError, opening

__all__ = [
    "Following",
    "TrackedRun",
    "Tracker",
    "TrackingError",
    "following",
    "opening",
]
