"""Chiefs in one process, each of which waits at a port for its one worker.

python -m tests.helpers.waiting_chiefs WORKDIR SECS PORT ...

Prints a line once all listen, and then the exit code that each would end with, and by
how many kilobytes the peak of memory has grown meanwhile.
"""

import concurrent.futures
import json
import os
import sys

from etils import epath

from tests.helpers.strangers import peak_kilobytes
from trainer.cluster import rendezvous
from trainer.cluster.tf_config import Cluster, ClusterError


def cluster_at(port: int, rank: int) -> Cluster:
    addresses = (f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}")
    return Cluster(names=("worker-0", "worker-1"), addresses=addresses, rank=rank)


def main(workdir: str, secs: float, ports: list[int]) -> None:
    secret = rendezvous.Secret.of_workdir(epath.Path(workdir))
    secret.read_or_create()

    def code(port: int) -> int:
        try:
            rendezvous.meet(
                cluster_at(port, 0),
                {"x": 1},
                timeout_secs=secs,
                say=lambda sentence: print(sentence, file=sys.stderr),
                secret=secret,
            )
        except rendezvous.PeerLostError:
            return 138
        except ClusterError:
            return 2
        except Exception as error:
            print(repr(error), file=sys.stderr)
            return 1
        return 0

    with concurrent.futures.ThreadPoolExecutor(len(ports)) as pool:
        codes = [pool.submit(code, port) for port in ports]
        before = peak_kilobytes(os.getpid())
        print("listening", flush=True)
        print(json.dumps([each.result() for each in codes]))
    print(peak_kilobytes(os.getpid()) - before)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), [int(port) for port in sys.argv[3:]])
