"""The report stage: figures and one HTML page from the files of the workdir."""

import importlib.util

from trainer import console
from trainer import report as pages
from trainer.stages.session import Session


def report(session: Session) -> None:
    """Writes report/index.html and its figures, where matplotlib is installed."""
    if importlib.util.find_spec("matplotlib"):
        pages.write(session.path)
    else:
        console.say(
            "no report is drawn: matplotlib is not installed; "
            "pip install matplotlib, then python -m trainer report"
        )
