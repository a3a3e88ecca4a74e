"""The environment of a process in a cluster or a pod."""

import errno
import functools
import os
import pathlib
import socket
import tempfile
import time
from collections.abc import Iterator
from typing import IO

import tensorflow as tf
from etils import epath

from trainer.cluster import rendezvous
from trainer.cluster.tf_config import Cluster, ClusterError
from trainer.config import ConfigError
from trainer.devices import memory
from trainer.doctor.diagnostics import Check
from trainer.storage import files

_SHARED_MEMORY = pathlib.Path("/dev/shm")
_LEAST_SHARED_BYTES = 2**30
_MOST_CLOCK_SECS = 5.0


def checks(own: Cluster | None, workdir: epath.Path) -> tuple[Check, ...]:
    """The checks of a process of the cluster `own`, or of none.

    That of the clock needs a check "workdir" before it.
    """
    found = []
    if own:
        found += [
            Check("own address", functools.partial(_own_address, own), mark="note"),
            Check("peers", functools.partial(_peers, own)),
            Check("peer ports", functools.partial(_ports, own), ("peers",), "note"),
        ]
    found += shared_memory(own.size if own else 1)
    if not files.is_remote(workdir):
        # The dates of a store are not compared with this machine's.
        found.append(Check("clock", functools.partial(_clock, workdir), ("workdir",)))
    return tuple(found)


def shared_memory(num_workers: int) -> tuple[Check, ...]:
    """The check of /dev/shm, through which NCCL may go; none where there is none."""
    if not _SHARED_MEMORY.exists():
        return ()
    look = functools.partial(_check_shared_memory, num_workers)
    return (Check("shared memory", look, mark="note"),)


def _peers(own: Cluster) -> Iterator[str]:
    unknown = []
    for rank in range(own.size):
        if rank == own.rank:
            continue
        try:
            found = ", ".join(_resolve(own.addresses[rank]))
        except OSError as error:
            unknown.append(f"{own.titles([rank])}: {error.strerror}")
        else:
            yield f"{own.titles([rank])} is at {found}"
    if unknown:
        raise ClusterError(
            "each address in TF_CONFIG must have a name that resolves here, got none "
            f"for {'; '.join(unknown)}; in Kubernetes its headless service is missing "
            "or its pod is not ready yet, elsewhere the name is not in the network's "
            "DNS or in /etc/hosts"
        )


def _ports(own: Cluster) -> Iterator[str]:
    absent = rendezvous.absent(own)
    yield f"{own.size - 1 - len(absent)} of {own.size - 1} peers answer" + (
        f"; not {own.titles(absent)}, as before a peer has started" if absent else ""
    )


def _own_address(own: Cluster) -> Iterator[str]:
    title = own.titles([own.rank])
    try:
        found = _resolve(own.addresses[own.rank])
    except OSError as error:
        yield f"{title} does not resolve here: {error.strerror}"
        return
    if any(map(_is_of_this_machine, found)):
        yield f"{title} is this machine's {', '.join(found)}"
    else:
        yield (
            f"{title} is at {', '.join(found)}, which this machine does not have: as "
            "with a service that leads here, or with the task.index of another"
        )


def _resolve(address: str) -> list[str]:
    """The numbers behind "host:port"; an OSError says why there are none."""
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(errno.EINVAL, "no host can have such a name") from error
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def _is_of_this_machine(number: str) -> bool:
    family = socket.AF_INET6 if ":" in number else socket.AF_INET
    try:
        with socket.socket(family) as nobody:
            # The system lets a process listen at its own addresses alone.
            nobody.bind((number, 0))
    except OSError:
        return False
    return True


def _check_shared_memory(num_workers: int) -> Iterator[str]:
    num_gpus = len(tf.config.list_physical_devices("GPU"))
    yield _free_shared_memory(_SHARED_MEMORY, num_replicas=num_gpus * num_workers)


def _free_shared_memory(folder: pathlib.Path, *, num_replicas: int) -> str:
    """Checks the free shared memory, which several GPUs need for NCCL."""
    there = os.statvfs(folder)
    free = there.f_bavail * there.f_frsize
    if num_replicas > 1 and free < _LEAST_SHARED_BYTES:
        raise ConfigError(
            f"{folder} must have {memory.text(_LEAST_SHARED_BYTES)} free where "
            f"{num_replicas} GPUs exchange gradients by NCCL, got {memory.text(free)}; "
            "mount an emptyDir with medium Memory there, as python -m launch tfjob "
            "does, or give docker run --shm-size=8g"
        )
    return f"{memory.text(free)} of {memory.text(there.f_blocks * there.f_frsize)} free"


def _clock(workdir: epath.Path) -> Iterator[str]:
    """Against that of the disk: TFDS, TensorBoard and others compare the two."""
    with files.wrap_write_errors(workdir), _file_near(workdir) as file:
        before = time.time()
        file.write(b"now")
        file.flush()
        os.fsync(file.fileno())
        after = time.time()
        written = os.fstat(file.fileno()).st_mtime
    folder = pathlib.Path(file.name).parent
    # Above 0 where this machine's is ahead; the time of the writing is no difference.
    ahead = max(0.0, before - written) - max(0.0, written - after)
    if abs(ahead) > _MOST_CLOCK_SECS:
        raise files.StorageError(
            f"this machine's clock must be within {_MOST_CLOCK_SECS:.0f} s of that by "
            f"which {folder} dates its files, got {abs(ahead):.0f} s "
            f"{'ahead of' if ahead > 0 else 'behind'} it; set both by NTP"
        )
    yield f"within {_MOST_CLOCK_SECS:.0f} s of that by which {folder} dates its files"


def _file_near(workdir: epath.Path) -> IO[bytes]:
    """A temporary file in the workdir, or in the nearest folder that is there."""
    folder = workdir
    while True:
        try:
            return tempfile.NamedTemporaryFile(dir=folder, prefix=".clock-")
        except FileNotFoundError:
            folder = folder.parent
