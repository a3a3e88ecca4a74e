"""A worker that joins the others and waits until all have come to the same place.

python -m tests.helpers.wait_for_others SECS

The last worker takes SECS seconds until then.
"""

import os
import sys
import time

from trainer.cluster import rendezvous, termination, tf_config, workers
from trainer.config import RuntimeConfig
from trainer.devices import distribution


def main(secs: float) -> None:
    own = tf_config.read()
    rendezvous.meet(own, {}, timeout_secs=60, say=print)
    own.announce()
    with workers.joining(own):
        distribution.strategy(RuntimeConfig(), num_workers=own.size)
    everyone = workers.Workers(own)
    print("joined", file=sys.stderr, flush=True)
    if own.rank == own.size - 1:
        time.sleep(secs)
    try:
        nobody_stops = termination.Termination(grace_secs=1, watchdog_secs=60)
        with everyone.leaving_together(nobody_stops):
            everyone.barrier()
    except rendezvous.PeerLostError as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(138)
    os._exit(0)


if __name__ == "__main__":
    main(float(sys.argv[1]))
