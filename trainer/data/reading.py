"""Reading batches, and the damaged file that ended it, which pipelines do not name."""

import contextlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf

from trainer.data import looks
from trainer.data.damage import damage_error
from trainer.data.decode import reason
from trainer.data.examples import DataError, Examples
from trainer.data.file_bytes import bytes_of
from trainer.data.image_files import FileExamples
from trainer.data.listed_files import EXAMPLE
from trainer.data.order import shuffle
from trainer.data.readers import for_each

FindDamage = Callable[[], DataError | None]


@contextlib.contextmanager
def reading(find_damage: FindDamage = lambda: None) -> Iterator[None]:
    """Batches are taken in the body, on the devices.

    Where that fails, `find_damage` is asked which file is to blame.

    Raises:
      DataError: a pipeline failed, because files are gone or damaged by now.
    """
    try:
        yield
    except tf.errors.OpError as error:
        # When another worker is lost, pipelines are cancelled too.
        is_lost = isinstance(error, tf.errors.CancelledError) or (
            "Collective ops is aborted" in error.message
        )
        if "IteratorGetNext" not in error.message or is_lost:
            raise
        raise find_damage() or DataError(
            f"the dataset cannot be read any more: {reason(error)}; mend it and start "
            "the same command again, which goes on from the last checkpoint"
        ) from error


def damage_of_steps(
    examples: Examples, steps: Iterable[int], *, seed: int, batch_size: int
) -> DataError | None:
    """The error of the first file of some training steps that cannot be decoded.

    `batch_size` is of all replicas, `seed` of the order. It is None of examples that
    are in no files, and where all can be decoded.
    """

    def rows_of(step: int) -> np.ndarray:
        positions = tf.range(batch_size, dtype=tf.int64) + step * batch_size
        _, rows = shuffle(positions, num_examples=len(examples), seed=seed)
        found: np.ndarray = rows.numpy()
        return found

    # No further than to the first, for there the pipeline ended.
    return next(
        filter(None, (_damage(examples, rows_of(step)) for step in steps)), None
    )


def damage_of_rows(examples: Examples, first: int, count: int) -> DataError | None:
    """The same of so many examples from `first` on, or of those that there are."""
    return _damage(examples, np.arange(first, min(first + count, len(examples))))


def _damage(examples: Examples, rows: np.ndarray) -> DataError | None:
    if not isinstance(examples, FileExamples):
        return None
    paths, held = examples.paths, examples.held

    def state_of(row: int) -> str:
        try:
            contents = held[row] if held else bytes_of(paths[row])
        except DataError as error:
            cause = error.__cause__
            return reason(cause if isinstance(cause, Exception) else error)
        return looks.decoded(contents, "").state

    states = for_each(state_of, rows.tolist(), title="looking for a damaged file")
    for row, state in zip(rows.tolist(), states, strict=True):
        if state != EXAMPLE:
            return damage_error(paths[row], state)
    return None
