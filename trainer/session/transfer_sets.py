"""Whole splits that soft targets are of: what students learn from, or are judged by."""

import dataclasses
import functools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from trainer import data, soft_targets
from trainer.config import Config, ConfigError, EvaluateView, plain_options
from trainer.session.datasets import Datasets
from trainer.soft_targets import Manifest, Shard


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransferSet:
    """A whole split that the students' images come from."""

    name: str  # of its folder
    source: data.Source
    split: str
    first: int  # what the run adds to its ids
    used: np.ndarray  # int64 [M]: the ids that the run trains on
    crops: bool  # whether one of the run's trainings begins with a random crop

    @functools.cached_property
    def examples(self) -> data.Examples:
        """All of them, in the order of their ids where the split has one."""
        return self.source.read(self.split)

    @property
    def num_ids(self) -> int:
        """The number of ids of the split; some may be of files that are no examples."""
        return int(self.source.whole_splits[self.split].num_examples)

    @functools.cached_property
    def fingerprint(self) -> str:
        """The fingerprint of all ids' examples, the same for every teacher."""
        return self.source.fingerprint(self.split, num_ids=self.num_ids)

    @functools.cached_property
    def pixels(self) -> dict[str, str]:
        """The version of the pixels in a new cache, where there were others."""
        version = data.pixel_version(self.source, crops=self.crops)
        return {"pixels": version} if version else {}

    def pixels_in(self, found: Manifest) -> dict[str, str]:
        """The version of the pixels that a cache must tell, of an earlier one its own.

        That is where the earlier version made the same pixels.
        """
        before = found.dataset.get("pixels", "")
        if not self.pixels or data.has_changed(
            self.source,
            crops=self.crops,
            before=before,
            split=self.split,
            num_ids=found.num_ids,
        ):
            return self.pixels
        return {"pixels": before} if before else {}

    def shards(self, *, first: int = 0) -> tuple[Shard, ...]:
        """The shards of the ids from `first` on."""
        is_example = np.zeros(self.num_ids, bool)
        is_example[self.examples.ids] = True
        return soft_targets.shards_of(is_example[first:].tolist(), first=first)

    def recount(self, shard: Shard) -> Shard:
        """The shard with as many examples as its ids have now."""
        ids = self.examples.ids
        count = int(((ids >= shard.first) & (ids < shard.last)).sum())
        return dataclasses.replace(shard, count=count)

    def identity(self, config: Config) -> dict[str, Any]:
        """The split and the view of it, as manifests have them beside the pixels."""
        return {
            "split": self.split,
            "input_shape": list(self.source.input_shape),
            **_view(config),
        }


def transfer_sets(config: Config, datasets: Datasets) -> list[TransferSet]:
    """The labelled examples' split, and the unlabelled ones' where there are any.

    Raises:
      ConfigError: the labelled ones come from several whole splits.
    """
    ids = datasets.transfer.ids
    return [
        TransferSet(
            name=name,
            source=source,
            split=_whole(source, setting, split),
            first=first,
            used=ids[ids // data.UNLABELED_FROM == first // data.UNLABELED_FROM]
            - first,
            crops=config.crops_images,
        )
        for name, source, setting, split, first in _parts(config, datasets)
    ]


def evaluation_set(
    datasets: Datasets, part: str, examples: data.Examples
) -> TransferSet:
    """The whole split that the `examples` are of, which select or test.

    `part` is "validation" or "test".

    Raises:
      ConfigError: they come from several whole splits.
    """
    setting, source = f"data.{part}_split", datasets.source
    split = _whole(source, setting, datasets.config.data.splits[setting])
    return TransferSet(
        name=part,
        source=source,
        split=split,
        first=0,
        used=examples.ids,
        crops=datasets.config.crops_images,
    )


def several_splits(config: Config, datasets: Datasets) -> str:
    """A clause on parts of several whole splits, which have no cache; or ""."""
    for _, source, setting, split, _ in _parts(config, datasets):
        if len(data.whole_names(source.whole_splits, split)) > 1:
            return f"{setting} = {split!r} is of several whole splits"
    return ""


def _parts(
    config: Config, datasets: Datasets
) -> Iterator[tuple[str, data.Source, str, str, int]]:
    """Name, source, setting, split and first id of what students learn from."""
    section = config.data
    setting = section.learned_from
    yield "train", datasets.source, setting, section.splits[setting], 0
    if section.unlabeled:
        setting, split = "data.unlabeled.split", section.unlabeled.split
        yield "unlabeled", datasets.sources[1], setting, split, data.UNLABELED_FROM


def augment_identity(config: Config) -> dict[str, Any]:
    """The augmentation of the views, its seed and its options, in JSON's types."""
    name, chosen = config.augmenting_section("student.train", config.student.train)
    if chosen.augment == "none":
        return {"name": "none"}
    options = plain_options(chosen.augment_options, setting=f"{name}.augment_options")
    shown = {"name": chosen.augment, "seed": config.seeds[0], **options}
    return dict(json.loads(json.dumps(shown)))


def _view(config: Config) -> dict[str, Any]:
    """The view of images that are resized, and what crops of them are made of."""
    if not config.data.is_decoded_to_size:
        return {}
    view = {} if config.data.view == EvaluateView() else config.data.view.settings
    is_kept = config.crops_images and config.data.keep == "pixels"
    return view | ({"keep": "pixels"} if is_kept else {})


def _whole(source: data.Source, setting: str, split: str) -> str:
    names = data.whole_names(source.whole_splits, split)
    if len(names) > 1:
        raise ConfigError(
            f"{setting} must be parts of one whole split for distill.soft_targets = "
            f"'cached', got {split!r}; its records are numbered by the ids of one: use "
            "'online', or name parts of one"
        )
    return names[0]
