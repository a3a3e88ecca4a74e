"""Checks a cache: its files are whole, and the teacher predicts a sample as before."""

import dataclasses

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
from trainer.stages.soft_targets.caches import TransferSet
from trainer.stages.soft_targets.teacher_logits import TeacherLogits

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
            embedding = ""
            if manifest.embedding:
                embedding = (
                    f"; of a value of the embedding it is {found.largest_embedding:.3g}"
                    f" (at most {found.embedding_tolerance:.3g})"
                )
            print(
                f"{folder}: {manifest.num_records:,} records whole; of "
                f"{found.num_predictions} asked again the largest error of a logit is "
                f"{found.largest:.3g} (at most {found.tolerance:.3g} is rounding), the "
                f"mean {found.mean:.3g}, the same class comes first in "
                f"{100 * found.same_top:.2f} %{embedding}"
            )
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
    folder = caches.folder(networks.config, networks.path, teacher, transfer)
    logits = TeacherLogits(networks, model, transfer, manifest)
    errors, hits, largest = [], [], 0.0
    embedding_errors, largest_value = [0.0], 0.0
    for place, view in _choose_stretches(manifest):
        kept = _read_stretch(folder, transfer, manifest, place, view)
        if not len(kept):
            continue
        first = manifest.shards[place].first
        count = int(kept["id"][-1]) + 1 - first
        stretch = Shard(first=first, num_ids=count, count=len(kept))
        again = logits.records(stretch, [view], lambda count: None)[view]
        before, now = (_logits(records, manifest) for records in (kept, again))
        errors.append(np.abs(before - now))
        hits.append(_first(before, manifest) == _first(now, manifest))
        largest = max(largest, float(np.abs(before).max()))
        if manifest.embedding:
            values, anew = (x[EMBEDDING].astype(np.float64) for x in (kept, again))
            embedding_errors.append(float(np.abs(values - anew).max()))
            largest_value = max(largest_value, float(np.abs(values).max()))
    if not errors:
        raise SoftTargetsError(
            f"the split {transfer.split!r} must have images with predictions, got "
            "none that is still there; build anew in another distill.soft_targets_dir"
        )
    every = np.concatenate(errors)
    tolerance = _tolerance(networks, teacher, manifest)
    return Differences(
        num_predictions=len(every),
        largest=float(every.max()),
        mean=float(every.mean()),
        same_top=float(np.concatenate(hits).mean()),
        tolerance=tolerance * max(1.0, largest),
        largest_embedding=float(np.max(embedding_errors)),  # NaN is no rounding
        embedding_tolerance=tolerance * max(1.0, largest_value),
    )


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
