"""Checks of a run before it spends hours: `python -m trainer doctor`."""

import tempfile

from etils import epath

from trainer.cluster import tf_config
from trainer.config import Config
from trainer.devices import gpu_facts
from trainer.doctor import diagnostics, environment
from trainer.doctor.examination import Examination
from trainer.storage import files, workdir


def examine(
    config: Config, path: epath.Path, own: tf_config.Cluster | None, *, measures: bool
) -> tuple[str, ...]:
    """Prints what it finds, one line each; gives the topics of failed checks.

    Where it `measures`, it tries every way to compile the student's step.

    The workdir `path` is written to and left as it was. What a run would keep there,
    goes to a folder that is removed afterwards. A process of the cluster `own`, or in
    a pod, looks at its surroundings too, and one with several GPUs at /dev/shm.
    """
    with tempfile.TemporaryDirectory(prefix="alambic-") as folder:
        scratch = epath.Path(folder)
        with files.wrap_read_errors(path):
            if workdir.holds_training(path):  # else a run begins without them
                copy_beginnings(path, scratch)
        around: tuple[diagnostics.Check, ...] = ()
        if own or tf_config.is_in_pod():
            around = environment.checks(own, path)
        elif len(gpu_facts.seen().gpus) > 1:
            around = environment.shared_memory(num_workers=1)
        num_workers = own.size if own else 1
        examination = Examination(config, path, scratch, num_workers=num_workers)
        return diagnostics.run(examination.checks(around, measures=measures))


def copy_beginnings(path: epath.Path, scratch: epath.Path) -> None:
    """Copies what says with which examples, models and weights a run began."""
    single = (path / workdir.PINS, path / workdir.WEIGHTS)
    for kept in (*filter(files.exists, single), *files.walk(path / workdir.LISTS)):
        copy = scratch / kept.relative_to(path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        kept.copy(copy)


__all__ = ["copy_beginnings", "examine"]
