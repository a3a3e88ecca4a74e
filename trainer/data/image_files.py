"""Examples in image files, decoded when they are asked for. M, B as in examples.

S = image_size, C = channels.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.config import Colour, EvaluateView
from trainer.data.arrays import steps_and_positions
from trainer.data.box_decoder import BoxDecoder, evaluation_cuts
from trainer.data.cropping import Crop, cropped
from trainer.data.damage import damage_error
from trainer.data.decode import blended, pixels, reason
from trainer.data.decoders import BATCHES_IN_THE_MAKING, decoded
from trainer.data.examples import Batch, InputShard, num_evaluation_steps
from trainer.data.file_paths import FilePaths
from trainer.data.held_files import HeldFiles
from trainer.data.host_memory import empty, on_host
from trainer.data.order import shuffle

_IMAGES_AHEAD = 8  # decoded, or read, before they are copied


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FileExamples:
    """Examples whose inputs are images in files; see trainer.data.examples.Examples.

    Batches are those of ArrayExamples with the same images, labels and ids; but a
    `crop` is made of the pixels that a file has, before they are resized.
    """

    paths: FilePaths
    image_size: int  # of what they are resized to, in pixels a side
    channels: int  # 3 colours, or 1 for grey
    labels: np.ndarray  # int32 [M]
    ids: np.ndarray  # int64 [M]
    has_alpha: np.ndarray  # bool [M]: of those that lie on the background
    background: Colour | None  # none is needed where no image has alpha
    sizes: np.ndarray  # int32 [M, 2]: heights and widths; 0 where one is not known
    view: EvaluateView  # where no crop is drawn
    num_threads: int = 0  # that decode; 0: as many as there are processors to use
    held: HeldFiles | None = None  # their contents, where these are in memory
    crop: Crop | None = None  # drawn in training

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, kept: np.ndarray) -> "FileExamples":
        """The examples where bool [M] is true, in their order."""
        return dataclasses.replace(
            self,
            paths=self.paths.take(kept),
            labels=self.labels[kept],
            ids=self.ids[kept],
            has_alpha=self.has_alpha[kept],
            sizes=self.sizes[kept],
            held=self.held and self.held.take(kept),
        )

    def joined_by(self, others: "FileExamples") -> "FileExamples":
        """The examples with others after them, of labels and ids of their own."""
        held = [each.held for each in (self, others) if each.held]
        return dataclasses.replace(
            self,
            paths=FilePaths.concatenate([self.paths, others.paths]),
            labels=np.concatenate([self.labels, others.labels]),
            ids=np.concatenate([self.ids, others.ids]),
            has_alpha=np.concatenate([self.has_alpha, others.has_alpha]),
            sizes=np.concatenate([self.sizes, others.sizes]),
            held=HeldFiles.concatenate(held) if len(held) == 2 else None,
        )

    def in_memory(self) -> "FileExamples":
        """The same, with the contents of the files in memory.

        Raises:
          DataError: a file is gone since it was listed.
        """
        contents: list[Any] = []
        self._read(np.arange(len(self)), lambda x: x["contents"], contents.append)
        return dataclasses.replace(self, held=HeldFiles.of(contents))

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The images of some examples, in the order of `rows`: uint8 [K, S, S, C].

        Raises:
          DataError: a file is gone or damaged since it was listed.
        """
        images = empty((len(rows), *self._shape), np.uint8)
        places = iter(range(len(rows)))

        def keep(image: np.ndarray) -> None:
            images[next(places)] = image

        self._read(rows, lambda x: self._decode(x)["input"], keep)
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
        batches = self._decoded(elements.map(rows_of), shard)
        return batches.map(
            map_fn, num_parallel_calls=BATCHES_IN_THE_MAKING, deterministic=True
        )

    def evaluation(self, shard: InputShard) -> tf.data.Dataset:
        """Batches in order; the last step is filled up with copies of row 0.

        With a `crop` they are crops, and have the ids of their examples.
        """
        ids = on_host(self.ids)

        def rows_of(element: tf.Tensor) -> Batch:
            step, batch_positions = steps_and_positions(element, shard)
            rows = step * shard.global_batch_size + batch_positions
            inside = rows < len(self)
            shown = tf.where(inside, rows, 0)
            batch = {"input": shown, "weight": tf.cast(inside, tf.float32)}
            return batch | {"id": tf.gather(ids, shown)} if self.crop else batch

        num_elements = num_evaluation_steps(len(self), shard) * shard.local_replicas
        batches = tf.data.Dataset.range(num_elements).map(rows_of)
        return self._decoded(batches, shard)

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.image_size, self.image_size, self.channels

    @property
    def _has_sizes(self) -> bool:
        return bool(self.sizes.all())

    @functools.cached_property
    def _paths(self) -> tf.Tensor:
        """The paths for all pipelines, which would take as much memory each."""
        return on_host(np.array(list(self.paths), object))

    def _decoded(self, batches: tf.data.Dataset, shard: InputShard) -> tf.data.Dataset:
        """Batches with images in the place of rows, or with crops of these."""
        opened, crop = self._opener(), self.crop
        batch_size = shard.per_replica_batch_size

        def cut(crop: Crop, example: Batch) -> Batch:
            example = opened(example)
            return crop.cut(example, self._decoder(example))

        # Example by example, so that a batch is as quick as its mean file and not as
        # its slowest.
        as_decoded = functools.partial(decoded, num_threads=self.num_threads)
        examples = batches.map(self._planner()).unbatch()
        if crop is None:
            examples = as_decoded(examples, lambda x: self._decode(opened(x)))
        elif self._has_sizes:
            examples = as_decoded(examples, functools.partial(cut, crop))
        else:
            examples = cropped(
                examples,
                crop,
                self._decoder,
                size=self._shape[:2],
                read=opened,
                batch_size=batch_size,
                num_threads=self.num_threads,
            )
        return examples.batch(batch_size, drop_remainder=True)

    def _planner(self) -> Callable[[Batch], Batch]:
        """A function from a batch of rows to what tells of their files and cuts."""
        files, crop, size = self._files(), self.crop, self._shape[:2]
        sizes = on_host(self.sizes) if self._has_sizes else None

        # For the batch: alone, this arithmetic would take as long as a small image.
        def planned(batch: Batch) -> Batch:
            rows = batch.pop("input")
            if sizes is None:
                return batch | files(rows)
            of_rows = tf.gather(sizes, rows)
            if crop:
                batch = crop.plan(batch, of_rows, size)
            else:
                batch["cut"] = evaluation_cuts(of_rows, self.view, size)
            return batch | files(rows)

        return planned

    def _files(self) -> Callable[[tf.Tensor], Batch]:
        """A function from a row, or rows, to what tells of files."""
        has_alpha = on_host(self.has_alpha)
        if self.held:  # whose contents are not copied into batches
            return lambda row: {"row": row, "has_alpha": tf.gather(has_alpha, row)}
        paths = self._paths
        return lambda row: {
            "path": tf.gather(paths, row),
            "has_alpha": tf.gather(has_alpha, row),
        }

    def _opener(self) -> Callable[[Batch], Batch]:
        """A function from an example of `_files` to one with its file's "contents"."""
        held = self.held.reader() if self.held else None

        def opened(example: Batch) -> Batch:
            if held:
                contents = held(example.pop("row"))
            else:
                contents = tf.io.read_file(example.pop("path"))
            return example | {"contents": contents}

        return opened

    def _decode(self, example: Batch) -> Batch:
        decoder, contents = self._decoder(example), example.pop("contents")
        image = decoder.evaluation(contents, example.pop("cut", None))
        return example | {"input": image}

    def _decoder(self, example: Batch) -> BoxDecoder:
        """The decoder of a file's contents; takes out what tells of its alpha."""
        has_alpha, background = example.pop("has_alpha"), self.background
        whole = pixels
        if background is not None and self.has_alpha.any():
            whole = functools.partial(
                blended, has_alpha=has_alpha, background=background
            )
        return BoxDecoder(shape=self._shape, view=self.view, whole=whole)

    def _read(
        self,
        rows: np.ndarray,
        make: Callable[[Batch], tf.Tensor],
        keep: Callable[[Any], None],
    ) -> None:
        """Makes something of each file of `rows`, in their order."""
        files, opened = self._files(), self._opener()
        made = decoded(
            tf.data.Dataset.from_tensor_slices(on_host(np.asarray(rows, np.int64))),
            lambda row: make(opened(files(row))),
            num_threads=self.num_threads,
        )
        done = 0
        try:
            for one in made.prefetch(_IMAGES_AHEAD).as_numpy_iterator():
                keep(one)
                done += 1
        except tf.errors.OpError as error:
            raise damage_error(self.paths[rows[done]], reason(error)) from error
