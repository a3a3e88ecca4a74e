"""The report stage: figures and one HTML page from the files of the workdir."""

import importlib.util

from absl import logging

from trainer.stages.session import Session


def report(session: Session) -> None:
    """Writes report/index.html and its figures, where matplotlib is installed."""
    if importlib.util.find_spec("matplotlib") is None:
        logging.warning(
            "no report is drawn: matplotlib is not installed; "
            "pip install 'alambic[report]', then `python -m trainer report`"
        )
        return
    from trainer.report import page

    logging.info("report: %s", page.write(session.workdir))
