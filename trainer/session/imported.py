"""A teacher that is elsewhere: its answers, as `soft-targets import` has kept them.

They are caches of its logits over its own classes, in the folder of the run's soft
targets. Shapes: M = examples, K = its classes.
"""

import dataclasses
import functools

import numpy as np
from etils import epath

from trainer import data, soft_targets
from trainer.config import ClassMap, Config, resolve_class_map
from trainer.session.datasets import Datasets
from trainer.session.transfer_sets import (
    TransferSet,
    augment_identity,
    evaluation_set,
    transfer_sets,
)
from trainer.soft_targets import (
    Cache,
    EmbeddingFormat,
    LogitsFormat,
    Manifest,
    SoftTargetsError,
)
from trainer.storage import files, workdir

MODEL = "imported"  # stands for the teacher's model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Imported:
    """The answers that a run has imported."""

    config: Config
    datasets: Datasets
    root: epath.Path  # the folder of the caches

    @functools.cached_property
    def manifest(self) -> Manifest:
        """The manifest of the answers on the labelled examples.

        Raises:
          SoftTargetsError: nothing is imported.
        """
        found = None
        if files.exists(self.root / workdir.IMPORTED):
            found = soft_targets.read(self.root / "train")
        if found is None:
            raise SoftTargetsError(
                f"{self.root} must hold the imported answers of a teacher, got none; "
                "run `python -m trainer soft-targets import` with the same --config "
                "and --workdir"
            )
        return found

    @property
    def format(self) -> LogitsFormat:
        """The format of the records that students learn from."""
        return self.manifest.format

    @functools.cached_property
    def class_map(self) -> ClassMap | None:
        """The classes of the data that the teacher's are; None where they are so.

        Raises:
          ConfigError: it names what is not there.
        """
        return class_map(self.config, self.datasets, self.manifest.class_names)

    def cache(self, transfer: TransferSet) -> Cache:
        """The answers on the examples of one set, on all that are used.

        Raises:
          SoftTargetsError: they are not there, or of other examples, or damaged.
        """
        cache = self.open(transfer)
        cache.check_holds(transfer.used)
        return cache

    def open(self, transfer: TransferSet) -> Cache:
        """The same, whose records nobody has looked at."""
        folder = self.root / transfer.name
        found = soft_targets.read(folder)
        known = found or self.manifest
        planned = manifest(
            self.config,
            transfer,
            class_names=known.class_names,
            embedding=known.embedding,
            weights=str(known.teacher.get("weights")),
        )
        return Cache(folder, planned)

    def logits(self, part: str, examples: data.Examples) -> np.ndarray | None:
        """The answers on examples that select or test: float32 [M, K]; None without.

        `part` is "validation" or "test".
        """
        if soft_targets.read(self.root / part) is None:
            return None
        cache = self.cache(evaluation_set(self.datasets, part, examples))
        found: np.ndarray = cache.records(0)["logits"][examples.ids]
        return found

    def learned_logits(self, examples: data.Examples) -> np.ndarray:
        """The answers on labelled examples that students learn from: float32 [M, K].

        Of those of the top k the others are below the last one.
        """
        transfer = transfer_sets(self.config, self.datasets)[0]
        records = self.cache(transfer).records(0)[examples.ids]
        logits: np.ndarray = records["logits"].astype(np.float32)
        if not self.format.top_k:
            return logits
        every = np.repeat(logits[:, -1:], self.format.num_classes, axis=1)
        every -= 1.0
        np.put_along_axis(every, records["classes"].astype(int), logits, axis=1)
        return every

    def weights(self, part: str) -> str:
        """The SHA-256 of the files that the answers on a part come from."""
        found = soft_targets.read(self.root / part)
        return str(found.teacher["weights"]) if found else ""


def manifest(
    config: Config,
    transfer: TransferSet,
    *,
    class_names: tuple[str, ...],
    embedding: EmbeddingFormat | None,
    weights: str,
) -> Manifest:
    """The manifest that the answers on a set must have for this run, without shards.

    What selects and tests is kept whole; the config says what students learn from.
    """
    form = LogitsFormat(
        num_classes=len(class_names), dtype="float32", top_k=0, temperatures=()
    )
    is_learned = transfer.name in ("train", "unlabeled")
    if is_learned:
        form = soft_targets.logits_format(config, len(class_names))
    return Manifest(
        teacher={"model": MODEL, "options": {}, "image_size": 0, "weights": weights},
        dataset=transfer.identity(config) | transfer.pixels,
        growth=({"num_ids": transfer.num_ids, "fingerprint": transfer.fingerprint},),
        precision="float32",
        class_names=class_names,
        augment=augment_identity(config) if is_learned else {"name": "none"},
        views=config.distill.views if is_learned else 1,
        dtype=form.dtype,
        top_k=form.top_k,
        temperatures=form.temperatures,
        shards=(),
        embedding=embedding,
    )


def class_map(
    config: Config, datasets: Datasets, names: tuple[str, ...]
) -> ClassMap | None:
    """The map from classes of these names to the data's, as the config has it."""
    if config.distill.class_map is None:
        return None
    return resolve_class_map(
        config.distill.class_map,
        teacher=names,
        data=datasets.source.class_names,
        setting="distill.class_map",
    )
