"""A baseline that an earlier variant has trained serves others where it is the same."""

from collections.abc import Sequence

from etils import epath

from trainer import console
from trainer.runs.variant import Variant
from trainer.storage import files, workdir
from trainer.study.variants import baseline_identity


def take_over(variant: Variant, others: Sequence[Variant]) -> None:
    """Copies to `variant` the baselines that it would train as one of `others` did."""
    identity = baseline_identity(variant.config)
    same = [other for other in others if baseline_identity(other.config) == identity]
    for seed in variant.config.seeds:
        folder = workdir.training_folder(variant.path, "baseline", seed)
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
            folder.rmtree()  # begun by this variant, or a copy that was not finished
    # The model last: it says that the training has ended.
    found = sorted(files.walk(source), key=lambda path: path.name == workdir.FINISHED)
    for path in found:
        with (
            files.wrap_read_errors(path),
            files.atomic_path(folder / path.relative_to(source)) as temporary,
        ):
            temporary.write_bytes(path.read_bytes())
