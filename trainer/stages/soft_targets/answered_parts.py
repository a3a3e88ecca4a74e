"""Parts of a run that a teacher elsewhere answers."""

import dataclasses
from collections.abc import Collection

import numpy as np

from trainer import data
from trainer.session import Session
from trainer.session.datasets import Datasets
from trainer.session.transfer_sets import TransferSet, evaluation_set, transfer_sets
from trainer.soft_targets import SoftTargetsError

EVALUATED = ("validation", "test")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnsweredPart:
    """A set of examples that have to be answered."""

    transfer: TransferSet
    needed: np.ndarray  # int64 [M]: the ids on which there must be answers
    # By whose labels the teacher is judged; None of images without labels, and of the
    # test split, which nobody looks at before the end.
    labeled: data.Examples | None


def answered_parts(
    session: Session, names: Collection[str] | None = None
) -> dict[str, AnsweredPart]:
    """The parts of these `names`, or all that the run has; all workers take part.

    Raises:
      SoftTargetsError: one that students learn from is not among the `names`, or one
        that the run has not is.
      ConfigError: a part is of several whole splits.
    """
    config, datasets = session.config, session.datasets
    found: dict[str, AnsweredPart] = {}
    for transfer in transfer_sets(config, datasets):
        is_labeled = transfer.name == "train"
        found[transfer.name] = AnsweredPart(
            transfer=transfer,
            needed=_between(datasets) if is_labeled else transfer.used,
            labeled=datasets.labeled if is_labeled else None,
        )
    if names is not None:
        _check_learned(found, names, config.distill.soft_targets_dir)
    for part in EVALUATED:
        if names is None or part in names:
            examples = datasets.validation
            if part == "test":
                examples = datasets.read(config.data.test_split)
            transfer = evaluation_set(datasets, part, examples)
            found[part] = AnsweredPart(
                transfer=transfer,
                needed=transfer.used,
                labeled=examples if part == "validation" else None,
            )
    return found


def _between(datasets: Datasets) -> np.ndarray:
    """The ids of labelled examples that students learn from, and those between them.

    Where examples are streamed, the records of these are read too.
    """
    section = datasets.config.data
    if not isinstance(datasets.transfer, data.RecordExamples):
        return datasets.labeled.ids
    return datasets.read(section.splits[section.learned_from]).ids


def _check_learned(found: Collection[str], names: Collection[str], folder: str) -> None:
    missing = [name for name in found if name not in names]
    surplus = [name for name in names if name not in (*found, *EVALUATED)]
    for part in missing:
        raise SoftTargetsError(
            f"{folder} must hold answers as {part}.npz or {part}.parquet, got none; "
            "add them"
        )
    for part in surplus:
        raise SoftTargetsError(
            f"{folder} must have no answers of the part {part!r}, got some, and there "
            "is no data.unlabeled; remove them"
        )
