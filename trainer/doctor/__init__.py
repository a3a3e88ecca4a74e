"""What can be known of a run before it spends hours: `python -m trainer doctor`."""

import pathlib
import shutil
import tempfile

from trainer.config import Config
from trainer.doctor import findings
from trainer.doctor.examination import Examination
from trainer.workdir import LISTS


def examine(config: Config, path: pathlib.Path) -> tuple[str, ...]:
    """Prints what it finds, one line each; gives the topics of failed checks.

    The workdir `path` is written to and left as it was. What a run would keep there,
    goes to a folder that is removed afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="alambic-") as folder:
        scratch = pathlib.Path(folder)
        if (path / LISTS).is_dir():  # which say what the run's examples are
            shutil.copytree(path / LISTS, scratch / LISTS)
        return findings.run(Examination(config, path, scratch).checks())


__all__ = ["examine"]
