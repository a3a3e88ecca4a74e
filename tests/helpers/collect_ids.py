"""A worker that writes the ids of the examples it is given, and trains nothing.

python -m tests.helpers.collect_ids FOLDER NUM_EXAMPLES BATCH NUM_STEPS FIRST_STEP
"""

import json
import os
import pathlib
import sys

import numpy as np

from trainer import data
from trainer.cluster import rendezvous, termination, tf_config, workers
from trainer.config import RuntimeConfig
from trainer.devices import distribution


def main(
    folder: str, num_examples: int, batch: int, num_steps: int, first: int
) -> None:
    own = tf_config.read()
    rendezvous.meet(own, {}, timeout_secs=60, say=print)
    own.announce()
    with workers.joining(own):
        strategy = distribution.strategy(RuntimeConfig(), num_workers=own.size)
    examples = data.ArrayExamples(
        inputs=np.zeros((num_examples, 2, 2, 1), np.uint8),
        labels=np.arange(num_examples, dtype=np.int32),
        ids=np.arange(num_examples) + 1000,
    )
    batches = iter(
        data.training_batches(
            examples,
            augment=data.Augment(operations=(), crop=None),
            views=data.Views(seed=5, count=None),
            auxiliary=None,
            seed=5,
            per_replica_batch_size=batch // strategy.num_replicas_in_sync,
            first_step=first,
            strategy=strategy,
        )
    )
    seen = []
    for _ in range(num_steps):
        element = next(batches)
        slots, ids = (
            strategy.experimental_local_results(element[name])[0].numpy().tolist()
            for name in ("batch_position", "id")
        )
        seen.append([slots, ids])
    pathlib.Path(folder, f"{own.rank}.json").write_text(json.dumps(seen))
    everyone = workers.Workers(own)
    nobody_stops = termination.Termination(grace_secs=1, watchdog_secs=60)
    with everyone.leaving_together(nobody_stops):
        everyone.barrier()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
