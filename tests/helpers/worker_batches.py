"""The batches that the input pipelines of several workers make."""

from collections.abc import Callable, Iterator

import numpy as np

from trainer import data
from trainer.data import Batch


def of_workers(
    examples: data.Examples,
    map_fn: Callable[[Batch], Batch],
    *,
    batch_size: int,
    num_replicas: int,
    num_workers: int,
    seed: int,
    first_step: int = 0,
    num_steps: int,
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Each step with the batch of each replica, those of one worker after another's."""
    local = num_replicas // num_workers
    for worker in range(num_workers):
        shard = data.InputShard(
            per_replica_batch_size=batch_size // num_replicas,
            num_replicas=num_replicas,
            first_replica=worker * local,
            local_replicas=local,
        )
        batches = examples.training(
            shard, seed=seed, first_step=first_step, map_fn=map_fn
        )
        parts = batches.take(num_steps * local).as_numpy_iterator()
        for i, part in enumerate(parts):
            yield first_step + i // local, part


def join(
    parts: Iterator[tuple[int, dict[str, np.ndarray]]],
) -> list[dict[str, np.ndarray]]:
    """The global batch of each step, by the positions in it."""
    steps: dict[int, list[dict[str, np.ndarray]]] = {}
    for step, part in parts:
        steps.setdefault(step, []).append(part)
    joined = [
        {name: np.concatenate([part[name] for part in found]) for name in found[0]}
        for _, found in sorted(steps.items())
    ]
    return [_in_order(batch) for batch in joined]


def _in_order(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    order = batch["batch_position"].argsort()
    return {name: values[order] for name, values in batch.items()}
