"""TF_CONFIG: the addresses of a cluster's workers, and which of them a process is."""

import json
from collections.abc import Sequence


def text(addresses: Sequence[str], index: int) -> str:
    """The value for one worker; `addresses` are "host:port" by index."""
    return json.dumps(
        {
            "cluster": {"worker": list(addresses)},
            "task": {"type": "worker", "index": index},
        }
    )
