"""The share of a machine's cores and GPUs that each of several workers gets."""

import os
import subprocess
from collections.abc import Mapping

from launch.errors import LaunchError

# gRPC would send even what is meant for this machine to a proxy, which is there for
# datasets and stores.
_NO_PROXY, _LOOPBACK = "no_grpc_proxy", "127.0.0.1"
# TF_NUM_INTEROP_THREADS is left alone: those threads also wait for other workers.
_THREADS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")
_VISIBLE = "CUDA_VISIBLE_DEVICES"


def environments(num_workers: int, outer: Mapping[str, str]) -> list[dict[str, str]]:
    """The environment of each worker, made from that of the launcher.

    Variables for threads that are set already stay as they are. Where there are no
    GPUs, CUDA_VISIBLE_DEVICES does too.

    Raises:
      LaunchError: the GPUs cannot be shared equally.
    """
    inner = dict(outer)
    # gRPC reads this one in place of the other.
    direct = outer.get(_NO_PROXY, outer.get("no_proxy", ""))
    inner[_NO_PROXY] = ",".join(filter(None, (direct, _LOOPBACK)))
    cores = max(1, len(os.sched_getaffinity(0)) // num_workers)
    for name in _THREADS:
        inner.setdefault(name, str(cores))
    # What a Python program has printed before it is killed is not lost in its buffer.
    inner.setdefault("PYTHONUNBUFFERED", "1")
    gpus = _visible_gpus(outer)
    if len(gpus) % num_workers:
        raise LaunchError(
            f"--workers must divide the {len(gpus)} GPUs ({','.join(gpus)}), got "
            f"{num_workers}; choose some by {_VISIBLE}=0,1,... or none by {_VISIBLE}=-1"
        )
    share = len(gpus) // num_workers
    return [
        inner | {_VISIBLE: ",".join(gpus[i * share : (i + 1) * share])}
        if share
        else dict(inner)
        for i in range(num_workers)
    ]


def _visible_gpus(outer: Mapping[str, str]) -> list[str]:
    """The GPUs that CUDA would show, as that variable names them."""
    if _VISIBLE in outer:
        names = [name.strip() for name in outer[_VISIBLE].split(",")]
        # CUDA sees none at or after a name that is no GPU's.
        hidden = [i for i, name in enumerate(names) if name in ("", "-1")]
        return names[: hidden[0]] if hidden else names
    try:
        listing = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    except OSError:
        return []
    # It fails where there is no driver, and then TensorFlow finds no GPU either.
    return listing.stdout.split() if listing.returncode == 0 else []
