"""Collecting the answers of a teacher that is elsewhere, file by file.

Shapes: M = examples of a set, R = ids of its split, V = views.
"""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
from etils import epath

from trainer import data
from trainer.config import ClassMap, Config
from trainer.config.errors import some_names
from trainer.session import imported
from trainer.session.datasets import Datasets
from trainer.session.transfer_sets import TransferSet
from trainer.soft_targets import (
    Answers,
    EmbeddingFormat,
    Manifest,
    SoftTargetsError,
    answer_files,
)
from trainer.stages.soft_targets.answer_records import AnswerRecords
from trainer.stages.soft_targets.answered_parts import AnsweredPart
from trainer.storage import folders

_LAYER = "imported"  # stands for the path of the teacher's last layer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Collected:
    """The answers on one set, from all of its files."""

    part: AnsweredPart
    manifest: Manifest  # without shards
    records: np.ndarray  # [V, R], in a file; without tags
    is_held: np.ndarray  # bool [R]: what has a record in each view
    predicted: np.ndarray  # int32 [R]: classes of the data by the first view, or -1
    checksums: dict[str, str]  # of the files, by their names

    @property
    def text(self) -> str:
        """One clause for people."""
        used = self.part.transfer.used
        more = int(self.is_held.sum()) - int(self.is_held[used].sum())
        beside = f", and {more:,} more that this run does not use" if more else ""
        views = self.manifest.views
        return (
            f"answers on all {len(used):,} examples"
            f"{f' in {views} views' if views > 1 else ''}{beside}, from "
            f"{some_names(self.checksums)}"
        )


class Collector:
    """Reads the files of each set; all of them have the classes of the first."""

    def __init__(self, config: Config, datasets: Datasets, scratch: epath.Path) -> None:
        """Records lie in the folder `scratch` until it is removed."""
        self._config = config
        self._datasets = datasets
        self._scratch = scratch
        self._names: tuple[str, ...] = ()
        self.class_map: ClassMap | None = None

    def collect(
        self,
        part: AnsweredPart,
        paths: Sequence[epath.Path],
        *,
        is_whole: bool = True,
    ) -> Collected:
        """The answers on a part in the files `paths`.

        They are on all that has to be answered, where they must be `is_whole`.

        Raises:
          SoftTargetsError, DataError: a file is no such file, answers are missing,
            twice there, of no example, or of other classes.
          ConfigError: the class_map names what is not there.
        """
        into: AnswerRecords | None = None
        checksums: dict[str, str] = {}
        for path in paths:
            answers = self._in_order(answer_files.read(path))
            into = into or self._begin(part.transfer, answers)
            into.add(answers, self.class_map)
            checksums[path.name] = folders.checksum(path)
        if into is None:
            raise ValueError("no files")
        if is_whole:
            _check_covered(part, into.is_held)
        digest = hashlib.sha256("".join(sorted(checksums.values())).encode())
        teacher = {**into.manifest.teacher, "weights": digest.hexdigest()}
        return Collected(
            part=part,
            manifest=dataclasses.replace(into.manifest, teacher=teacher),
            records=into.records,
            is_held=np.logical_and.reduce(into.is_held),
            predicted=into.predicted,
            checksums=checksums,
        )

    def _in_order(self, answers: Answers) -> Answers:
        """The answers with the classes in the order of the data, or of the first."""
        if not self._names:
            self._names = self._datasets.source.class_names
            if self._config.distill.class_map is not None:
                self._names = answers.class_names
                self.class_map = imported.class_map(
                    self._config, self._datasets, self._names
                )
        own, names = answers.class_names, self._names
        if own == names:
            return answers
        if sorted(own) != sorted(names):
            missing = [repr(name) for name in names if name not in own]
            surplus = [repr(name) for name in own if name not in names]
            whose = "the data" if self.class_map is None else "the other files"
            raise SoftTargetsError(
                f"{answers.path} must have the class_names of {whose}, "
                f"{len(names)}, in any order, got {len(own)}: without "
                f"{some_names(missing)}, with {some_names(surplus)}; name them alike, "
                "or join them by distill.class_map"
            )
        if len(set(own)) < len(own):
            raise SoftTargetsError(
                f"{answers.path} must have its classes in the order of the other "
                "files, because some are of one name, got another order; write them "
                "alike"
            )
        return answers.ordered(names)

    def _begin(self, transfer: TransferSet, first: Answers) -> AnswerRecords:
        distill = self._config.distill
        is_learned = transfer.name in ("train", "unlabeled")
        embedding = None
        if distill.cache_embedding and is_learned:
            if first.embedding is None:
                raise SoftTargetsError(
                    f"{first.path} must hold embedding, numbers [{len(first.ids)}, "
                    "...], for distill.cache_embedding = true, got none; add it, or "
                    "remove the setting"
                )
            embedding = EmbeddingFormat(
                layer=_LAYER,
                size=first.embedding.shape[1],
                dtype=distill.cache_embedding_dtype,
            )
        planned = imported.manifest(
            self._config,
            transfer,
            class_names=self._names,
            embedding=embedding,
            weights="",
        )
        names = data.example_names(transfer.source, transfer.split)
        return AnswerRecords(transfer, planned, names, self._scratch / transfer.name)


def _check_covered(part: AnsweredPart, is_held: np.ndarray) -> None:
    """Refuses answers that are not on all examples, in each view."""
    wanted, transfer = part.needed, part.transfer
    for view, held in enumerate(is_held):
        missing = wanted[~held[wanted]]
        if not len(missing):
            continue
        names = data.example_names(transfer.source, transfer.split)
        shown = missing.tolist()
        if names is not None:
            shown = [f"{i} ({names[i]})" for i in shown[:5]] + shown[5:]
        raise SoftTargetsError(
            f"the imported answers of part {transfer.name!r} must be on each of the "
            f"{len(wanted):,} examples of the run{f' in view {view}' * (view > 0)}, "
            f"got none on {len(missing):,} of them: id {some_names(shown)}; add them, "
            "or narrow the split"
        )
