"""A whole split that students' images come from, as its caches know it."""

import dataclasses
import functools

import numpy as np

from trainer import data, soft_targets
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

    def has_same_pixels(self, found: Manifest) -> bool:
        """Whether a cache of an earlier version, which tells none, has these pixels."""
        if "pixels" in found.dataset:
            return False
        return not data.has_changed(
            self.source, crops=self.crops, split=self.split, num_ids=found.num_ids
        )

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
