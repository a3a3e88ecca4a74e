"""What can be known of a run before it spends hours: `python -m trainer doctor`."""

import tempfile

from etils import epath

from trainer import files
from trainer.config import Config
from trainer.doctor import findings
from trainer.doctor.examination import Examination
from trainer.workdir import LISTS


def examine(config: Config, path: epath.Path) -> tuple[str, ...]:
    """Prints what it finds, one line each; gives the topics of failed checks.

    The workdir `path` is written to and left as it was. What a run would keep there,
    goes to a folder that is removed afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="alambic-") as folder:
        scratch = epath.Path(folder)
        with files.reached(path):
            (scratch / LISTS).mkdir()
            for kept in files.inside(path / LISTS):  # what the run's examples are
                kept.copy(scratch / LISTS / kept.name)
        return findings.run(Examination(config, path, scratch).checks())


__all__ = ["examine"]
