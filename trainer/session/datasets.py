"""Examples of a run, which all workers read alike."""

import dataclasses
import functools
import hashlib
from typing import Any

import numpy as np
from etils import epath

from trainer import console, data
from trainer.cluster.hold import FREE, is_free
from trainer.config import Config, resolve_class_weights
from trainer.evaluation import metrics
from trainer.session.run_devices import Devices
from trainer.storage import workdir


@dataclasses.dataclass(frozen=True, kw_only=True)
class Datasets:
    """The examples of each split, loaded when they are first asked for."""

    config: Config
    path: epath.Path  # the workdir
    devices: Devices
    index_dir: epath.Path  # the folder of the lists of files that give them their ids
    begun: epath.Path | None  # the run's workdir, where `path` stands for it
    given: data.GivenData | None = None  # the objects of a dataset in memory

    @property
    def sources(self) -> tuple[data.Source, ...]:
        """The dataset and that of data.unlabeled; the chief lists what has to be."""
        return self._opened[0]

    @functools.cached_property
    def _opened(self) -> tuple[tuple[data.Source, ...], data.Streaming]:
        """The sources, and the way in which the first is read if it is streamed."""

        def open_sources() -> tuple[tuple[data.Source, ...], data.Streaming]:
            if self.config.distill.is_cached:
                # The ids of a cache are lines of its own lists.
                caches = workdir.soft_targets_folder(self.path, self.config)
                kept = caches / workdir.LISTS
                data.take_over(self.config.data, kept, self.index_dir, are_own=False)
            section, may_write = self.config.kept_data, self._may_write
            sources = data.open_sources(
                section, self.index_dir, may_write=may_write, given=self.given
            )
            if self.devices.workers.is_chief:  # with which the others are compared
                data.hold_contents(sources[0], self.index_dir, may_write=may_write)
            has_begun = bool(workdir.kept_files(self.begun or self.path))
            streaming = data.streaming(
                sources[0], self.index_dir, has_begun=has_begun, may_write=may_write
            )
            return tuple(
                data.as_begun(
                    source,
                    index_dir,
                    has_begun=has_begun,
                    crops=self.config.crops_images,
                    may_write=may_write,
                )
                for source, (_, index_dir) in zip(
                    sources, data.parts(section, self.index_dir), strict=True
                )
            ), streaming

        workers = self.devices.workers
        sources, streaming = workers.chief_first(open_sources)
        notes = streaming.note(workers.count), data.unused_settings(sources[0])
        for note in filter(None, notes if workers.is_chief else ()):
            console.log(note)
        return sources, streaming

    def open(self) -> None:
        """Looks whether the datasets are those that the run began with.

        Raises:
          DataError: they are not, or cannot be read.
        """
        for source in self.sources:
            source.read(self.config.data.test_split)

    @property
    def _may_write(self) -> bool:
        """Whether no other process keeps what the workdir says of the data."""
        is_own = self.devices.hold is not FREE or is_free(self.path)
        return self.devices.workers.is_chief and is_own

    @property
    def source(self) -> data.Source:
        """The dataset that has labels."""
        return self.sources[0]

    @functools.cached_property
    def training(self) -> data.Examples:
        """All training examples: the teacher's."""
        return self.read(self.config.data.train_split)

    @functools.cached_property
    def class_counts(self) -> list[int]:
        """The training examples of each class."""
        examples, num_classes = self.training, len(self.source.class_names)
        # The chief keeps the labels that it reads, so that others need not.
        labels = self.devices.workers.chief_first(lambda: examples.labels)
        counts: list[int] = np.bincount(labels, minlength=num_classes).tolist()
        return counts

    @property
    def class_weights(self) -> tuple[float, ...]:
        """The weight of each class in the loss on the labels; () where all are 1.

        Raises:
          ConfigError: data.class_weights is not for these classes and examples.
        """
        section = self.config.data
        if section.class_weights is None:
            return ()
        return resolve_class_weights(
            section.class_weights,
            names=self.source.class_names,
            counts=self.class_counts,
            split=f"data.train_split = {section.train_split!r}",
        )

    @functools.cached_property
    def labeled(self) -> data.Examples:
        """The students' training examples that have labels.

        They are without data.exclude_labels.
        """
        section = self.config.data
        split = section.transfer_split
        examples = self.read(split) if split else self.training
        # The chief keeps the labels that it reads, so that others need not.
        return self.devices.workers.chief_first(
            lambda: data.without_labels(examples, section.exclude_labels)
        )

    @functools.cached_property
    def transfer(self) -> data.Examples:
        """The students' training examples, with those of data.unlabeled."""
        unlabeled = self.config.data.unlabeled
        if unlabeled is None:
            return self.labeled
        others = self.read_from(self.sources[1], unlabeled.split)
        return data.concatenate(self.labeled, others)

    @functools.cached_property
    def validation(self) -> data.Examples:
        """The examples that select a checkpoint."""
        return self.read(self.config.data.validation_split)

    def read(self, split: str) -> data.Examples:
        """The examples of `split`, which are the same on all workers.

        Raises:
          DataError: they are not, or cannot be read.
        """
        return self.read_from(self.source, split)

    def read_from(self, source: data.Source, split: str) -> data.Examples:
        """The examples of `split` of one of the sources, as `read` has them."""
        examples = self._opened[1].of(source.read(split))
        if self.devices.workers.count == 1:
            return examples
        digest = hashlib.sha256(repr(source.class_names).encode())
        if isinstance(examples, data.RecordExamples):
            # Labels would take a reading of all files.
            digest.update(examples.files.digest.encode())
        else:
            for array in (examples.ids, examples.labels):
                digest.update(np.ascontiguousarray(array).tobytes())
            digest.update(repr(sorted(source.contents.items())).encode())
        if source.data.is_table:
            digest.update(examples.read(np.arange(len(examples))).tobytes())
        disagreement = data.DataError(
            f"all workers must read the same examples of {split!r} in "
            f"{source.data.setting} {source.data.dataset!r}, got others on some of "
            "them; give all the same files"
        )
        self.devices.workers.assert_equal(digest.hexdigest(), disagreement)
        return examples

    def validate(self, logits: np.ndarray) -> dict[str, Any]:
        """Metrics of validation logits [M, C] against the labels."""
        return metrics.classification_metrics(logits, self.validation.labels)
