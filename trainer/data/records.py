"""Examples in record files, read as they are needed.

An epoch permutes the stretches of files that the split is made of; the records of the
permuted stretches, one after the other, are cut into parts (trainer/data/read_parts.py)
and these into windows, of which each window's records are permuted. So files are read
from front to back, and the order is still a pure function of (seed, epoch). A pipeline
reads the raw records of the parts that have places among its own, and decodes its own.

Shapes: M = examples of the set (the records of the split that are selected), B =
examples of one step on one replica.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from trainer.data.auxiliary import AuxiliaryFeatures, Views
from trainer.data.cropping import Crop, cropped
from trainer.data.decoders import BATCHES_IN_THE_MAKING, decoded
from trainer.data.encoded_images import EncodedImages
from trainer.data.examples import Batch, InputShard, num_evaluation_steps
from trainer.data.host_memory import on_host
from trainer.data.read_parts import ReadParts
from trainer.data.record_files import OfIds, Reader, RecordFiles
from trainer.data.record_windows import RecordWindows


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RecordExamples:
    """Examples in record files; see trainer.data.examples.Examples.

    A training pipeline holds at most three windows of raw records (one being read, of
    the two before only its own records), and the few batches in the making and ready.
    """

    files: RecordFiles
    rows: np.ndarray  # int64 [M], ascending: which records of the split
    window: int  # records shuffled together, in all parts
    num_parts: int = 1  # read side by side, where a batch has as many examples
    auxiliary: AuxiliaryFeatures | None = None  # streamed with the records
    views: Views | None = None  # which of them an epoch takes from there
    num_threads: int = 0  # that decode; 0: as many as there are processors to use
    crop: Crop | None = None  # drawn in training, before an image is resized

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> np.ndarray:
        """The classes: int32 [M]; the first use reads all files once.

        Raises:
          DataError: a file is damaged, or a label is outside the classes.
        """
        labels: np.ndarray = self.files.labels[self.rows]
        return labels

    @property
    def ids(self) -> np.ndarray:
        """Positions in the whole split: int64 [M]."""
        ids: np.ndarray = self.files.ids[self.rows]
        return ids

    def select(self, kept: np.ndarray) -> "RecordExamples":
        """The examples where bool [M] is true, in their order."""
        return dataclasses.replace(self, rows=self.rows[kept])

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The inputs of some examples, in the order of `rows`: [K] -> [K, ...].

        Raises:
          DataError: a file is damaged.
        """
        wanted, places = np.unique(rows, return_inverse=True)
        values = decoded(
            Reader(self.files, self.rows[wanted]).in_order(),
            self._input,
            num_threads=self.num_threads,
        )
        spec = values.element_spec
        inputs = np.empty((len(wanted), *spec.shape), spec.dtype.as_numpy_dtype)
        try:
            for i, value in enumerate(values.as_numpy_iterator()):
                inputs[i] = value
        except tf.errors.OpError as error:
            raise self.files.format.damage_error(error) from error
        selected: np.ndarray = inputs[places]
        return selected

    def training(
        self,
        shard: InputShard,
        *,
        seed: int,
        first_step: int,
        map_fn: Callable[[Batch], Batch],
    ) -> tf.data.Dataset:
        """Endless batches; windows before the one of `first_step` are not read.

        Of the file in which that window starts, the headers of the records before it
        are read too, and the file system skips the rest.
        """
        windows = RecordWindows(
            reader=Reader(self.files, self.rows),
            shard=shard,
            parts=ReadParts(
                count=min(self.num_parts, shard.global_batch_size),
                batch_size=shard.global_batch_size,
                num_examples=len(self),
                seed=seed,
            ),
            window=self.window,
            first_step=first_step,
            auxiliary_of=self._auxiliary_of,
        )
        batches = self._batches(windows.read(), shard)
        return batches.map(
            lambda batch: map_fn(self._with_auxiliary(batch)),
            num_parallel_calls=BATCHES_IN_THE_MAKING,
            deterministic=True,
        )

    def evaluation(self, shard: InputShard) -> tf.data.Dataset:
        """Batches in order; the last step is filled up with copies of row 0.

        With a `crop` they are crops, and have the ids of their examples.
        """
        reader = Reader(self.files, self.rows)
        num_shown = num_evaluation_steps(len(self), shard) * shard.global_batch_size
        copies = (
            reader.in_order()
            .take(1)
            .flat_map(lambda *first: tf.data.Dataset.from_tensors(first).repeat())
        )
        filling = tf.data.Dataset.zip(
            tf.data.Dataset.range(len(self), num_shown), copies
        )
        shown = reader.in_order().enumerate().concatenate(filling)

        # Own examples stand side by side in each global batch.
        begin = shard.first_replica * shard.per_replica_batch_size
        end = begin + shard.local_replicas * shard.per_replica_batch_size
        own = shown.batch(shard.global_batch_size).map(
            lambda places, raw: (places[begin:end], tuple(r[begin:end] for r in raw))
        )
        examples = self._in_order(own.unbatch(), shard)
        return examples.batch(shard.per_replica_batch_size, drop_remainder=True)

    def _in_order(self, shown: tf.data.Dataset, shard: InputShard) -> tf.data.Dataset:
        """Raw records, with their places, decoded one by one; or crops of images."""
        ids, images = on_host(self.files.ids), self._images

        def read(place: tf.Tensor, raw: tuple[tf.Tensor, tf.Tensor]) -> Batch:
            row, record = raw
            weight = tf.cast(place < len(self), tf.float32)
            if images is None:
                return {"input": self._input(row, record), "weight": weight}
            contents = images.parse(record)["contents"]
            return {"contents": contents, "weight": weight, "id": tf.gather(ids, row)}

        if images is None:
            return decoded(shown, read, num_threads=self.num_threads)
        return self._cropped(shown, images, shard, read=read)

    def _batches(self, raw: tf.data.Dataset, shard: InputShard) -> tf.data.Dataset:
        """Batches of raw records decoded one by one, or of crops of their images."""
        ids, form, images = on_host(self.files.ids), self.files.format, self._images
        parse = images.parse if images else form.decode

        def read(raw: Batch) -> Batch:
            return raw | parse(raw.pop("record"))

        # Of a batch at once, which takes as long as of an example.
        def number(batch: Batch) -> Batch:
            row, position = batch.pop("row"), batch.pop("position")
            place = position % shard.global_batch_size
            return batch | {
                "label": tf.cast(batch["label"], tf.int32),
                "id": tf.gather(ids, row),
                "batch_position": tf.cast(place, tf.int32),
                "epoch": position // len(self),
            }

        batch_size = shard.per_replica_batch_size
        if images:
            crops = self._cropped(raw, images, shard, read=read, number=number)
            return crops.batch(batch_size, drop_remainder=True)
        examples = decoded(raw, read, num_threads=self.num_threads)
        return examples.batch(batch_size, drop_remainder=True).map(number)

    @property
    def _images(self) -> EncodedImages | None:
        """The reading of images that a crop is cut out of; None where none is."""
        return self.files.format.encoded if self.crop else None

    def _cropped(
        self,
        raw: tf.data.Dataset,
        images: EncodedImages,
        shard: InputShard,
        *,
        read: Callable[..., Batch],
        number: Callable[[Batch], Batch] = dict,
    ) -> tf.data.Dataset:
        if self.crop is None:
            raise ValueError("no crop")
        return cropped(
            raw,
            self.crop,
            lambda _: images.decoder,
            size=images.decoder.shape[:2],
            read=read,
            number=number,
            batch_size=shard.per_replica_batch_size,
            num_threads=self.num_threads,
        )

    def _with_auxiliary(self, batch: Batch) -> Batch:
        if not (self.auxiliary and self.views):
            return batch
        views = self.views.at_epochs(batch["epoch"])
        return batch | self.auxiliary.decode(batch.pop("auxiliary"), batch["id"], views)

    def _input(self, row: tf.Tensor, record: tf.Tensor) -> tf.Tensor:
        del row
        return self.files.format.decode(record)["input"]

    def _auxiliary_of(self, epoch: tf.Tensor) -> OfIds | None:
        """A function from consecutive ids, first and one past the last, to features."""
        if not (self.auxiliary and self.views):
            return None
        return functools.partial(self.auxiliary.stream, self.views.at_epochs(epoch))
