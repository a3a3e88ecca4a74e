"""Threads of a pipeline that decode examples, several at a time."""

from collections.abc import Callable

import tensorflow as tf

from trainer.data.examples import Batch
from trainer.devices import processors

# Views of so many batches are made while a step runs, on any number of processors.
BATCHES_IN_THE_MAKING = 4


def decoded(
    examples: tf.data.Dataset,
    decode: Callable[..., Batch | tf.Tensor],
    *,
    num_threads: int,
) -> tf.data.Dataset:
    """The examples decoded one by one, in their order.

    With `num_threads` 0 as many threads do it as the process may use processors.
    """
    # Autotuning is off, see trainer.data.pipeline.
    result = examples.map(
        decode,
        num_parallel_calls=num_threads or processors.count(),
        deterministic=True,
    )
    if num_threads:
        # TensorFlow's own threads are one a processor, also where files are waited for.
        options = tf.data.Options()
        options.threading.private_threadpool_size = num_threads
        result = result.with_options(options)
    return result
