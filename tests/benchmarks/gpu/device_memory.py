"""Memory of a device: what the allocator of a GPU gave out, or what a process holds."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from tests.benchmarks.ready import peak_bytes, resident_bytes


class Peak:
    """The most bytes that were in use in the body of `peak`, more than before it."""

    num_bytes = 0


@contextlib.contextmanager
def peak(device: str) -> Iterator[Peak]:
    """Measures it on a GPU; of a CPU it is the peak of the process so far."""
    found = Peak()
    if "gpu" not in device:
        yield found
        found.num_bytes = peak_bytes()
        return
    held = held_bytes(device)
    tf.config.experimental.reset_memory_stats(device.removeprefix("/").upper())
    yield found
    found.num_bytes = _info(device)["peak"] - held


def held_bytes(device: str) -> int:
    """In use now, on a GPU or by this process."""
    return _info(device)["current"] if "gpu" in device else resident_bytes()


def _info(device: str) -> dict[str, int]:
    name = device.removeprefix("/").upper()
    info: dict[str, int] = tf.config.experimental.get_memory_info(name)
    return info
