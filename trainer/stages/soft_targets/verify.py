"""Checks a cache: its files are whole, and the teacher predicts a sample as before."""

import dataclasses
from collections.abc import Iterator

import keras
import numpy as np
from etils import epath

from trainer import models, soft_targets
from trainer.config import EMBEDDING
from trainer.exit_codes import CheckFailedError
from trainer.session import Session
from trainer.session.networks import Networks
from trainer.soft_targets import Manifest, Shard, SoftTargetsError
from trainer.stages.soft_targets import caches
from trainer.stages.soft_targets.teacher_logits import TeacherLogits
from trainer.stages.soft_targets.transfer_set import TransferSet

_NUM_STRETCHES = 8  # of ids, or as many as there are views
_STRETCH = 128  # ids

# Of the largest logit. Half a unit in the last place of float16 is 2**-11 of it; other
# devices and batches round the sums in a network of float32 by less than the rest. With
# 8 bits of mantissa, as bfloat16 has, they round by more.
_FLOAT32_TOLERANCE = 2**-9
_MIXED_TOLERANCE = 2**-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Differences:
    """Between the predictions of a cache and those that the teacher gives now."""

    num_predictions: int
    largest: float  # absolute error of a logit
    mean: float
    same_top: float  # share of predictions with the same largest logit
    tolerance: float  # of the largest error
    largest_embedding: float  # absolute error of a value of an embedding; 0: none there
    embedding_tolerance: float

    @property
    def are_small(self) -> bool:
        """Whether rounding explains them."""
        return (
            self.largest <= self.tolerance
            and self.largest_embedding <= self.embedding_tolerance
        )

    @property
    def text(self) -> str:
        """Both of them and what is tolerated, as people read them."""
        embedding = ""
        if self.embedding_tolerance:
            embedding = (
                f"; of a value of the embedding it is {self.largest_embedding:.3g} (at "
                f"most {self.embedding_tolerance:.3g})"
            )
        return (
            f"of {self.num_predictions} asked again the largest error of a logit is "
            f"{self.largest:.3g} (at most {self.tolerance:.3g} is rounding), the mean "
            f"{self.mean:.3g}, the same class comes first in "
            f"{100 * self.same_top:.2f} %{embedding}"
        )


def verify(session: Session) -> None:
    """Prints how each cache compares with its teacher.

    Raises:
      CheckFailedError: a shard is damaged, or predictions differ.
      SoftTargetsError: a cache is not there, or not for this run.
    """
    failed = []
    # Once for all teachers, since a set reads its whole split.
    sets = caches.transfer_sets(session.config, session.datasets)
    for teacher, model in enumerate(session.networks.teachers):
        weights = models.fingerprint(model)
        for transfer in sets:
            folder = caches.folder(session.config, session.path, teacher, transfer)
            wanted = caches.manifest(
                session.networks, teacher, transfer, weights=weights
            )
            manifest = soft_targets.Cache(folder, wanted).manifest
            problem = soft_targets.damage(folder, manifest, views=manifest.views)
            if problem:
                print(f"{folder}: {problem}")
                failed.append(str(folder))
                continue
            found = differences(session.networks, teacher, model, transfer, manifest)
            print(f"{folder}: {manifest.num_records:,} records whole; {found.text}")
            if not found.are_small:
                failed.append(str(folder))
    if failed:
        raise CheckFailedError(
            f"the soft targets in {', '.join(failed)} are not what the teacher "
            "predicts; remove what is damaged, or the folder, and run `python -m "
            "trainer soft-targets build`"
        )


def differences(
    networks: Networks,
    teacher: int,
    model: keras.Model,
    transfer: TransferSet,
    manifest: Manifest,
) -> Differences:
    """Asks the teacher again about some stretches of ids.

    Raises:
      SoftTargetsError: a shard is damaged, or a prediction is no finite number.
    """
    pairs = [*_ask_again(networks, teacher, model, transfer, manifest)]
    if not pairs:
        raise SoftTargetsError(
            f"the split {transfer.split!r} must have images with predictions, got "
            "none that is still there; build anew in another distill.soft_targets_dir"
        )
    kept, again = (np.concatenate(side) for side in zip(*pairs, strict=True))
    before, now = (_logits(records, manifest) for records in (kept, again))
    errors = np.abs(before - now)
    tolerance = _tolerance(networks, teacher, manifest)
    embedding_error, largest_value = 0.0, 0.0
    if manifest.embedding:
        values, anew = (x[EMBEDDING].astype(np.float64) for x in (kept, again))
        embedding_error = float(np.abs(values - anew).max())
        largest_value = max(1.0, float(np.abs(values).max()))
    return Differences(
        num_predictions=len(errors),
        largest=float(errors.max()),
        mean=float(errors.mean()),
        same_top=float((_first(before, manifest) == _first(now, manifest)).mean()),
        tolerance=tolerance * max(1.0, float(np.abs(before).max())),
        largest_embedding=embedding_error,
        embedding_tolerance=tolerance * largest_value,
    )


def _ask_again(
    networks: Networks,
    teacher: int,
    model: keras.Model,
    transfer: TransferSet,
    manifest: Manifest,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Some stretches of records: those of the cache, and those of now."""
    folder = caches.folder(networks.config, networks.path, teacher, transfer)
    logits = TeacherLogits(networks, model, transfer, manifest)
    for place, view in _choose_stretches(manifest):
        kept = _read_stretch(folder, transfer, manifest, place, view)
        if not len(kept):
            continue
        first = manifest.shards[place].first
        count = int(kept["id"][-1]) + 1 - first
        stretch = Shard(first=first, num_ids=count, count=len(kept))
        yield kept, logits.records(stretch, [view], lambda count: None)[view]


def _read_stretch(
    folder: epath.Path,
    transfer: TransferSet,
    manifest: Manifest,
    place: int,
    view: int,
) -> np.ndarray:
    """The first records of a shard: of examples that are gone nothing can be asked."""
    records = soft_targets.read_shard(folder, manifest, view=view, number=place)
    return records[np.isin(records["id"], transfer.examples.ids)][:_STRETCH]


def _choose_stretches(manifest: Manifest) -> list[tuple[int, int]]:
    """Pairs of a shard and a view: each view, and shards from the first to the last."""
    count = max(_NUM_STRETCHES, manifest.views)
    shards = np.linspace(0, len(manifest.shards) - 1, count).astype(int)
    # Neighbours in the list of shards are of different views.
    pairs = [(int(shard), i % manifest.views) for i, shard in enumerate(shards)]
    return list(dict.fromkeys(pairs))


def _tolerance(networks: Networks, teacher: int, manifest: Manifest) -> float:
    """The tolerated error, relative to the largest logit."""
    role = list(networks.config.teachers)[teacher]
    both = {networks.precision(role), manifest.precision}
    return _FLOAT32_TOLERANCE if both == {"float32"} else _MIXED_TOLERANCE


def _logits(records: np.ndarray, manifest: Manifest) -> np.ndarray:
    """All that they keep of the logits, in float64: [M, C], of the top k [M, C + T].

    There the classes that are not kept stand at the last that is, beside which one
    may stand by rounding.
    """
    logits = records["logits"].astype(np.float64)
    if not manifest.top_k:
        return logits
    every = np.repeat(logits[:, -1:], len(manifest.class_names), axis=1)
    np.put_along_axis(every, records["classes"].astype(int), logits, axis=1)
    return np.concatenate([every, records["tails"].astype(np.float64)], axis=1)


def _first(logits: np.ndarray, manifest: Manifest) -> np.ndarray:
    """The class of the largest logit: int [M]."""
    largest: np.ndarray = logits[:, : len(manifest.class_names)].argmax(axis=1)
    return largest
