"""What can be known of a run before it spends hours: `python -m trainer doctor`."""

import tempfile

from etils import epath

from trainer import cluster, files
from trainer.config import Config
from trainer.doctor import findings, surroundings
from trainer.doctor.examination import Examination
from trainer.workdir import LISTS


def examine(
    config: Config, path: epath.Path, own: cluster.Cluster | None, *, measures: bool
) -> tuple[str, ...]:
    """Prints what it finds, one line each; gives the topics of failed checks.

    Where it `measures`, it tries every way to compile the student's step.

    The workdir `path` is written to and left as it was. What a run would keep there,
    goes to a folder that is removed afterwards. A process of the cluster `own`, or in
    a pod, looks at its surroundings too.
    """
    with tempfile.TemporaryDirectory(prefix="alambic-") as folder:
        scratch = epath.Path(folder)
        with files.reached(path):
            (scratch / LISTS).mkdir()
            for kept in files.inside(path / LISTS):  # what the run's examples are
                kept.copy(scratch / LISTS / kept.name)
        around = surroundings.checks(own, path) if own or cluster.is_in_pod() else ()
        num_workers = own.size if own else 1
        examination = Examination(config, path, scratch, num_workers=num_workers)
        return findings.run(examination.checks(around, measures=measures))


__all__ = ["examine"]
