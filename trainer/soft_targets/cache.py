"""Soft targets on disk, opened for a run. B = examples, R = ids, V = views."""

import functools

import numpy as np
import tensorflow as tf
from etils import epath

from trainer.data import Batch
from trainer.soft_targets import comparison, shards
from trainer.soft_targets import manifest as manifests
from trainer.soft_targets.errors import SoftTargetsError
from trainer.soft_targets.manifest import Manifest
from trainer.soft_targets.record_format import LogitsFormat


class Cache:
    """One teacher's predictions for one split; all of its files are there."""

    def __init__(self, folder: epath.Path, wanted: Manifest) -> None:
        """Opens the cache in `folder`, which has to hold what is `wanted`.

        Raises:
          SoftTargetsError: it does not, or a file is missing or cut off.
        """
        found = manifests.read(folder)
        if found is None:
            raise SoftTargetsError(
                f"{folder} must hold soft targets, got none; run `python -m trainer "
                "soft-targets build` with the same --config and --workdir"
            )
        comparison.check(folder, found, wanted)
        comparison.check_ids(folder, found, wanted)
        _check_views(folder, found, wanted)
        # A run that began before the cache grew has no use for the rest.
        self.manifest = found.until(wanted.num_ids)
        shards.check_there(folder, self.manifest, views=wanted.views)
        self.folder = folder
        self._views = wanted.views

    @property
    def format(self) -> LogitsFormat:
        """The format of a record."""
        return self.manifest.format

    @property
    def num_ids(self) -> int:
        """R, for which there may be a record."""
        return self.manifest.num_ids

    @property
    def num_bytes(self) -> int:
        """The size of the records in memory, of all views that are used."""
        return self.manifest.memory_bytes(views=self._views)

    def records(self, view: int) -> np.ndarray:
        """The records of a view by their ids: [R]; those of no example are zeros.

        Raises:
          SoftTargetsError: a shard is damaged.
        """
        records = np.zeros(self.num_ids, self.format.record)
        for number in range(len(self.manifest.shards)):
            read = shards.read_shard(
                self.folder, self.manifest, view=view, number=number
            )
            records[read["id"]] = read
        return records

    def check_holds(self, ids: np.ndarray) -> None:
        """Looks whether each of the examples `ids` has a record.

        Raises:
          SoftTargetsError: one has not.
        """
        for number, shard in enumerate(self.manifest.shards):
            within = ids[(ids >= shard.first) & (ids < shard.last)]
            if shard.count == shard.num_ids or not len(within):
                continue
            for view in range(self._views):
                held = shards.read_shard(
                    self.folder,
                    self.manifest,
                    view=view,
                    number=number,
                    is_compared=False,
                )["id"]
                absent = within[~np.isin(within, held)]
                if len(absent):
                    path = shards.shard_path(self.folder, view, number)
                    raise SoftTargetsError(
                        f"{path} must hold soft targets of every example of the run, "
                        f"got none of the one with id {absent[0]}; it was damaged or "
                        "gone when they were built, or not among imported answers: "
                        "start anew in another --workdir"
                    )

    def check_streams(self) -> None:
        """Looks whether each shard has a record for each of its ids, or none.

        Raises:
          SoftTargetsError: one has some, which `stream` would mistake for others.
        """
        for number, shard in enumerate(self.manifest.shards):
            if 0 < shard.count < shard.num_ids:
                path = shards.shard_path(self.folder, 0, number)
                raise SoftTargetsError(
                    f"{path} must hold a record of each id to be streamed, got "
                    f"{shard.count} of {shard.num_ids}; "
                    "import answers on the whole split, those of data.exclude_labels "
                    "too, or raise data.memory_budget_bytes"
                )

    def stream(
        self, view: tf.Tensor, first: tf.Tensor, last: tf.Tensor
    ) -> tf.data.Dataset:
        """Raw records of the ids from `first` to `last` - 1, none of them left out."""
        paths, bounds = self._files
        numbers = tf.searchsorted(bounds, [first, last - 1], side="right") - 1

        def of_shard(number: tf.Tensor) -> tf.data.Dataset:
            begin = tf.maximum(first, bounds[number])
            count = tf.minimum(last, bounds[number + 1]) - begin
            return (
                tf.data.TFRecordDataset(
                    paths[view, number], buffer_size=shards.READ_BUFFER_BYTES
                )
                .skip(begin - bounds[number])
                .take(count)
                .apply(tf.data.experimental.assert_cardinality(count))
            )

        first_number, last_number = tf.unstack(tf.cast(numbers, tf.int64))
        return tf.data.Dataset.range(first_number, last_number + 1).flat_map(of_shard)

    def parse(self, records: tf.Tensor, ids: tf.Tensor, views: tf.Tensor) -> Batch:
        """The fields of raw records, which have to be those of `ids`: string [B].

        They have to be those in `views`, int64 [B], of this cache.
        """
        found, fields = self.format.decode(records)
        tags = [self.manifest.tag(view) for view in range(self._views)]
        right = found == ids + tf.gather(tf.constant(tags, tf.int64), views)
        rule = f"records of {self.folder} must be those of the examples"
        with tf.control_dependencies(
            [tf.debugging.Assert(tf.reduce_all(right), [rule, ids, found])]
        ):
            return {name: tf.identity(field) for name, field in fields.items()}

    def damage(self) -> str:
        """Describes the first shard that cannot be read; "" where all can."""
        return shards.damage(self.folder, self.manifest, views=self._views)

    @functools.cached_property
    def _files(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Paths [V, shards] and the shards' first ids, with one past the last."""
        every = self.manifest.shards
        paths = [
            [str(shards.shard_path(self.folder, view, i)) for i in range(len(every))]
            for view in range(self._views)
        ]
        bounds = [shard.first for shard in every] + [every[-1].last]
        # Asked for in the graph of a pipeline first, and kept for other pipelines.
        with tf.init_scope(), tf.device("/cpu:0"):
            return tf.constant(paths), tf.constant(bounds, tf.int64)


def _check_views(folder: epath.Path, found: Manifest, wanted: Manifest) -> None:
    if found.views < wanted.views:
        raise SoftTargetsError(
            f"{folder} must hold {wanted.views} views, got {found.views}; run `python "
            "-m trainer soft-targets build`, which adds the others"
        )
