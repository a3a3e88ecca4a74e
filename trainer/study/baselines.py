"""A baseline that an earlier cell has trained serves the cells where it is the same."""

from collections.abc import Sequence

from etils import epath

from trainer import console
from trainer.runs.variant import Variant
from trainer.storage import files, workdir
from trainer.study.variants import baseline_identity


def take_over(cell: Variant, others: Sequence[Variant]) -> None:
    """Copies to `cell` the baselines that it would train as one of `others` did."""
    identity = baseline_identity(cell.config)
    same = [other for other in others if baseline_identity(other.config) == identity]
    for seed in cell.config.seeds:
        folder = workdir.training_folder(cell.path, "baseline", seed)
        if files.exists(folder / workdir.FINISHED):
            continue
        for other in same:
            source = workdir.training_folder(other.path, "baseline", seed)
            if files.exists(source / workdir.FINISHED):
                console.log(f"baseline seed {seed} is that of cell {other.name}")
                _copy(source, folder)
                break


def _copy(source: epath.Path, folder: epath.Path) -> None:
    with files.wrap_write_errors(folder):
        if folder.exists():
            folder.rmtree()  # begun by this cell, or a copy that was not finished
    # The model last: it says that the training has ended.
    found = sorted(files.walk(source), key=lambda path: path.name == workdir.FINISHED)
    for path in found:
        with (
            files.wrap_read_errors(path),
            files.atomic_path(folder / path.relative_to(source)) as temporary,
        ):
            temporary.write_bytes(path.read_bytes())
