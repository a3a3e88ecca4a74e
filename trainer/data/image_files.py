"""Examples in image files, decoded when they are asked for. M, B as in examples.

S = image_size, C = channels.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from trainer.config import Colour
from trainer.data.arrays import steps_and_positions
from trainer.data.decode import decode_to_shape, reason
from trainer.data.decoders import BATCHES_IN_THE_MAKING, decoded
from trainer.data.examples import Batch, DataError, InputShard, num_evaluation_steps
from trainer.data.host_memory import empty, on_host
from trainer.data.order import shuffle

_IMAGES_AHEAD = 8  # decoded before they are copied


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileExamples:
    """Examples whose inputs are images in files; see trainer.data.examples.Examples.

    Batches are those of ArrayExamples with the same images, labels and ids.
    """

    paths: np.ndarray  # str [M]
    image_size: int  # of what they are resized to, in pixels a side
    channels: int  # 3 colours, or 1 for grey
    labels: np.ndarray  # int32 [M]
    ids: np.ndarray  # int64 [M]
    has_alpha: np.ndarray  # bool [M]: of those that lie on the background
    background: Colour | None  # none is needed where no image has alpha
    num_threads: int = 0  # that decode; 0: as many as there are processors to use

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, kept: np.ndarray) -> "FileExamples":
        """The examples where bool [M] is true, in their order."""
        return dataclasses.replace(
            self,
            paths=self.paths[kept],
            labels=self.labels[kept],
            ids=self.ids[kept],
            has_alpha=self.has_alpha[kept],
        )

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The images of some examples, in the order of `rows`: uint8 [K, S, S, C].

        Raises:
          DataError: a file is gone or damaged since it was listed.
        """
        paths = self.paths[rows]
        shape = (len(paths), self.image_size, self.image_size, self.channels)
        images = empty(shape, np.uint8)
        files = (on_host(paths), on_host(self.has_alpha[rows]))
        dataset = decoded(
            tf.data.Dataset.from_tensor_slices(files),
            self._image,
            num_threads=self.num_threads,
        )
        done = 0
        try:
            for image in dataset.prefetch(_IMAGES_AHEAD).as_numpy_iterator():
                images[done] = image
                done += 1
        except tf.errors.OpError as error:
            raise DataError(
                f"{paths[done]} cannot be read any more: {reason(error)}; put it back "
                "as it was when the run began"
            ) from error
        return images

    def training(
        self,
        shard: InputShard,
        *,
        seed: int,
        first_step: int,
        map_fn: Callable[[Batch], Batch],
    ) -> tf.data.Dataset:
        """Endless batches; the files of several are decoded at a time."""
        labels, ids = on_host(self.labels), on_host(self.ids)

        def rows_of(element: tf.Tensor) -> Batch:
            step, batch_positions = steps_and_positions(element, shard)
            epochs, rows = shuffle(
                step * shard.global_batch_size + batch_positions,
                num_examples=len(self),
                seed=seed,
            )
            return {
                "input": rows,
                "label": tf.gather(labels, rows),
                "id": tf.gather(ids, rows),
                "batch_position": tf.cast(batch_positions, tf.int32),
                "epoch": epochs,
            }

        elements = tf.data.Dataset.counter(
            first_step * shard.local_replicas, dtype=tf.int64
        )
        batches = self._decode(elements.map(rows_of), shard)
        return batches.map(
            map_fn, num_parallel_calls=BATCHES_IN_THE_MAKING, deterministic=True
        )

    def evaluation(self, shard: InputShard) -> tf.data.Dataset:
        """Batches in order; the last step is filled up with copies of row 0."""

        def rows_of(element: tf.Tensor) -> Batch:
            step, batch_positions = steps_and_positions(element, shard)
            rows = step * shard.global_batch_size + batch_positions
            inside = rows < len(self)
            return {
                "input": tf.where(inside, rows, 0),
                "weight": tf.cast(inside, tf.float32),
            }

        num_elements = num_evaluation_steps(len(self), shard) * shard.local_replicas
        return self._decode(tf.data.Dataset.range(num_elements).map(rows_of), shard)

    def _decode(self, batches: tf.data.Dataset, shard: InputShard) -> tf.data.Dataset:
        """Batches with images in the place of rows."""
        paths, has_alpha = on_host(self.paths), on_host(self.has_alpha)

        def decode(example: Batch) -> Batch:
            row = example["input"]
            image = self._image(tf.gather(paths, row), tf.gather(has_alpha, row))
            return example | {"input": image}

        # Example by example, so that a batch is as quick as its mean file and not as
        # its slowest.
        examples = decoded(batches.unbatch(), decode, num_threads=self.num_threads)
        return examples.batch(shard.per_replica_batch_size, drop_remainder=True)

    def _image(self, path: tf.Tensor, has_alpha: tf.Tensor) -> tf.Tensor:
        shape = (self.image_size, self.image_size, self.channels)
        return decode_to_shape(
            tf.io.read_file(path),
            shape,
            background=self.background if self.has_alpha.any() else None,
            has_alpha=has_alpha,
        )
