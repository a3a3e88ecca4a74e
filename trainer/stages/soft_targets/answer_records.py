"""Records of the answers on one set, as files of them are read.

Shapes: N = rows of a file, R = ids of a split, V = views.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf
from etils import epath

from trainer.config import EMBEDDING, ClassMap
from trainer.config.errors import some_names
from trainer.evaluation import metrics
from trainer.session.transfer_sets import TransferSet
from trainer.soft_targets import Answers, LogitsFormat, Manifest, SoftTargetsError

_BLOCK = 4096  # rows that become records at a time


class AnswerRecords:
    """A record for each view and id of a set, in a file of their own."""

    def __init__(
        self,
        transfer: TransferSet,
        manifest: Manifest,
        names: Iterable[str] | None,
        file: epath.Path,
    ) -> None:
        """Makes the `file`; `names` are those of the examples, where they have some."""
        self.manifest = manifest
        self._transfer = transfer
        self._names = names
        shape = (manifest.views, transfer.num_ids)
        self.records = np.lib.format.open_memmap(
            str(file), mode="w+", dtype=manifest.format.record, shape=shape
        )
        self.is_held = np.zeros(shape, bool)
        self.predicted = np.full(transfer.num_ids, -1, np.int32)

    def add(self, answers: Answers, class_map: ClassMap | None) -> None:
        """Puts the answers of one more file in their places."""
        ids, views = self._ids(answers), self._views(answers)
        self._check_once(answers.path, ids, views)
        for rows, fields in self._encoded(answers):
            for name, values in fields.items():
                self.records[name][views[rows], ids[rows]] = values
            first = views[rows] == 0
            mapped = metrics.map_logits(answers.logits[rows][first], class_map)
            self.predicted[ids[rows][first]] = mapped.argmax(axis=1)
        self.records["id"][views, ids] = ids
        self.is_held[views, ids] = True

    def _encoded(
        self, answers: Answers
    ) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
        form = self.manifest.format
        if form.embedding and (
            answers.embedding is None
            or answers.embedding.shape[1] != form.embedding.size
        ):
            found = "none" if answers.embedding is None else answers.embedding.shape[1]
            raise SoftTargetsError(
                f"{answers.path} must hold embedding of {form.embedding.size} numbers "
                f"a row, as the first file, got {found}; write them alike"
            )
        for begin in range(0, len(answers.ids), _BLOCK):
            rows = slice(begin, begin + _BLOCK)
            features = {}
            with tf.device("/cpu:0"):
                if form.embedding and answers.embedding is not None:
                    features[EMBEDDING] = tf.constant(answers.embedding[rows])
                encoded = form.encode(tf.constant(answers.logits[rows]), features)
            fields = {name: values.numpy() for name, values in encoded.items()}
            _check_fit(answers, rows, fields, form)
            yield rows, fields

    def _ids(self, answers: Answers) -> np.ndarray:
        """The ids of the rows, by themselves or by names: int64 [N]."""
        ids, count = answers.ids, self._transfer.num_ids
        split = f"split {self._transfer.split!r}"
        if ids.dtype.kind != "U":
            unknown = ids[(ids < 0) | (ids >= count)].tolist()
            what = f"ids of {split}, from 0 to {count - 1:,}"
        elif self._names is None:
            raise SoftTargetsError(
                f"{answers.path} must have ids that are numbers, because examples of "
                f"{split} have no files of their own, got texts such as {ids[0]!r}; "
                "write the ids that `python -m trainer soft-targets ids` lists"
            )
        else:
            number_of = {name: i for i, name in enumerate(self._names)}
            unknown = [name for name in ids.tolist() if name not in number_of]
            what = f"files of {split}, as paths below its folder"
            if not unknown:
                ids = np.array([number_of[name] for name in ids.tolist()], np.int64)
        if unknown:
            raise SoftTargetsError(
                f"{answers.path} must have {what}, got {len(unknown):,} others of "
                f"{len(answers.ids):,}: {some_names(unknown)}; leave these out, or see "
                "`python -m trainer soft-targets ids`"
            )
        return ids

    def _views(self, answers: Answers) -> np.ndarray:
        """The views of the rows: int64 [N]."""
        if answers.views is None:
            if self.manifest.augment["name"] != "none":
                raise SoftTargetsError(
                    f"{answers.path} must say of which view each answer is, because "
                    "students see augmented images, got no array view; add it, or set "
                    "student.train.augment = 'none'"
                )
            return np.zeros(len(answers.ids), np.int64)
        outside = (answers.views < 0) | (answers.views >= self.manifest.views)
        if outside.any():
            raise SoftTargetsError(
                f"{answers.path} must have views from 0 to {self.manifest.views - 1} "
                f"(distill.views), got {answers.views[outside][0]} ({outside.sum():,} "
                "such rows); leave these out, or set distill.views"
            )
        return answers.views

    def _check_once(self, path: epath.Path, ids: np.ndarray, views: np.ndarray) -> None:
        places = views * self._transfer.num_ids + ids
        found, counts = np.unique(places, return_counts=True)
        twice = found[(counts > 1) | self.is_held.reshape(-1)[found]]
        if len(twice):
            again = (twice % self._transfer.num_ids).tolist()
            raise SoftTargetsError(
                f"{path} must have one answer on an example"
                f"{' in each view' * (self.manifest.views > 1)}, got more, here or in "
                f"the files before, on {len(twice):,}: id {some_names(again)}; leave "
                "out all but one"
            )


def _check_fit(
    answers: Answers, rows: slice, fields: dict[str, np.ndarray], form: LogitsFormat
) -> None:
    kinds = {"logits": (form.dtype, "soft_targets_dtype")}
    if form.embedding:
        kinds[EMBEDDING] = (form.embedding.dtype, "cache_embedding_dtype")
    for name, (dtype, setting) in kinds.items():
        broken = ~np.isfinite(fields[name]).all(axis=1)
        if broken.any():
            raise SoftTargetsError(
                f"{answers.path} must hold {name} that fit {dtype}, got one beyond it "
                f"for id {answers.ids[rows][broken][0]}; set distill.{setting} = "
                "'float32'"
            )
