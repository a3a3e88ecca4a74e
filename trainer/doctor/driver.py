"""NVIDIA's driver, asked by its own library, and what stands against it."""

import ctypes
import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

from trainer.devices.gpu_facts import Version

_LIBRARY = "libcuda.so.1"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Driver:
    """The driver's CUDA, and the GPUs that it shows to this process."""

    cuda: Version  # the newest CUDA it can do
    num_bytes: tuple[int, ...]  # of the memory of each GPU
    apart: tuple[tuple[int, int], ...] = ()  # GPUs that cannot read each other's memory

    @property
    def num_gpus(self) -> int:
        """The number of GPUs."""
        return len(self.num_bytes)


def ask() -> Driver:
    """The driver's answers.

    Raises:
      OSError: there is no driver, or it answers with an error.
    """
    cuda = ctypes.CDLL(_LIBRARY)
    _call(cuda, "cuInit", 0)
    version = _number(cuda, "cuDriverGetVersion")
    devices = [
        _number(cuda, "cuDeviceGet", i)
        for i in range(_number(cuda, "cuDeviceGetCount"))
    ]
    return Driver(
        cuda=(version // 1000, version % 1000 // 10),
        num_bytes=tuple(_size(cuda, device) for device in devices),
        apart=tuple(_apart(cuda, devices)),
    )


def problems(driver: Driver, built_for: Version | None) -> Iterator[str]:
    """Tells of a driver too old, or slow, for a TensorFlow `built_for` that CUDA."""
    if built_for and driver.cuda < built_for:
        known = f"NVIDIA's driver can do CUDA {_text(driver.cuda)}, and TensorFlow is "
        known += f"built for {_text(built_for)}: "
        if driver.cuda[0] < built_for[0]:
            yield (
                f"{known}it sees no GPU; install a driver that can do CUDA "
                f"{built_for[0]}.0 or later"
            )
        else:
            yield f"{known}XLA compiles kernels one by one; a newer is quicker"
    if driver.apart:
        pairs = ", ".join(f"{a} and {b}" for a, b in driver.apart)
        yield (
            f"GPUs {pairs} cannot read each other's memory: NCCL goes through the "
            "host's, /dev/shm, which is slower and needs room there"
        )


def _apart(cuda: ctypes.CDLL, devices: list[int]) -> Iterator[tuple[int, int]]:
    """Pairs of which one at least cannot reach the other, by their places."""
    for (i, one), (j, other) in itertools.combinations(enumerate(devices), 2):
        ways = ((one, other), (other, one))
        if not all(_number(cuda, "cuDeviceCanAccessPeer", *way) for way in ways):
            yield i, j


def _size(cuda: ctypes.CDLL, device: int) -> int:
    size = ctypes.c_size_t()
    _call(cuda, "cuDeviceTotalMem_v2", ctypes.byref(size), device)
    return size.value


def _number(cuda: ctypes.CDLL, name: str, *arguments: int) -> int:
    number = ctypes.c_int()
    _call(cuda, name, ctypes.byref(number), *arguments)
    return number.value


def _call(cuda: ctypes.CDLL, name: str, *arguments: Any) -> None:
    code = getattr(cuda, name)(*arguments)
    if code:
        raise OSError(f"{name} gives error {code}")


def _text(version: Version) -> str:
    return ".".join(map(str, version))
