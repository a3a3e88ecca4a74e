"""The report stage: figures and one HTML page from the files of the workdir."""

import importlib.util
import json
import pathlib

from trainer import console
from trainer import report as pages
from trainer.stages.session import Session
from trainer.workdir import RESULTS


def report(session: Session) -> None:
    """Writes report/index.html and its figures, where matplotlib is installed."""
    if importlib.util.find_spec("matplotlib"):
        console.say(f"report: {pages.write(session.path)}")
    else:
        console.say(
            "no report is drawn: matplotlib is not installed; "
            "pip install 'alambic[report]', then python -m trainer report"
        )


def outcome(workdir: pathlib.Path) -> str:
    """The table of the finished models, as text; empty before there are results."""
    path = workdir / RESULTS
    return pages.render(json.loads(path.read_text())) if path.exists() else ""
