"""The cluster a process belongs to, as TF_CONFIG describes it."""

import json
import os


class ClusterError(ValueError):
    """TF_CONFIG asks for something that this program does not do."""


def require_single_task() -> None:
    """Refuses a TF_CONFIG with more than one task, before TensorFlow reads it.

    Each task would otherwise train alone and overwrite the others' workdir. One task
    is one process and needs no cluster.

    Raises:
      ClusterError: TF_CONFIG is no JSON, or names two or more tasks.
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text:
        return
    try:
        cluster = dict(json.loads(text).get("cluster", {}))
        addresses = [address for task in cluster.values() for address in task]
    except (ValueError, TypeError, AttributeError):
        raise ClusterError(
            f"TF_CONFIG must be JSON with a cluster of address lists, got {text!r}; "
            "unset it to run on this machine alone"
        ) from None
    if len(addresses) > 1:
        raise ClusterError(
            f"TF_CONFIG must name one task at most, got {len(addresses)} "
            f"({', '.join(map(str, addresses))}); a run is one process with any number "
            "of devices: start it once, with TF_CONFIG unset"
        )
