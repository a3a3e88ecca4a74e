"""Versions, CPUs and GPUs of the machine, and what GPUs may lack."""

import importlib.metadata
import os
import pathlib
import platform
import re
import shutil

import keras
import tensorflow as tf

from trainer.devices import gpu_facts, memory, processors
from trainer.doctor import driver

_EXTRA = "and-cuda"  # of TensorFlow: CUDA's libraries, which the extra `gpu` brings


def versions() -> str:
    """The versions of Python and of the libraries that compute."""
    return (
        f"Python {platform.python_version()}, TensorFlow {tf.__version__} "
        f"({_cuda_build()}), Keras {keras.__version__}"
    )


def host() -> str:
    """CPUs and memory of the machine."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    usable, every = processors.count(), os.cpu_count()
    part = "" if usable == every else f"{usable} of "
    return f"{part}{every} CPUs, {memory.text(total)} of memory"


def gpus() -> list[str]:
    """One line on each GPU that TensorFlow sees."""
    seen = gpu_facts.seen().gpus
    found = _driver()
    sizes = [f", {memory.text(size)}" for size in found.num_bytes] if found else []
    # TensorFlow leaves out GPUs that are too old for it, and numbers the others anew.
    if len(sizes) != len(seen):
        sizes = [""] * len(seen)
    lines = []
    for i, (gpu, size) in enumerate(zip(seen, sizes, strict=True)):
        major, minor = gpu.compute_capability or ("?", "?")
        lines.append(f"GPU:{i} is {gpu.name}, compute capability {major}.{minor}{size}")
    return lines


def num_driver_gpus() -> int:
    """GPUs that NVIDIA's driver shows to this process; 0 without a driver."""
    found = _driver()
    return found.num_gpus if found else 0


def driver_problems() -> list[str]:
    """Problems of the driver, in words; none without one."""
    found = _driver()
    return list(driver.problems(found, gpu_facts.seen().cuda)) if found else []


def _driver() -> driver.Driver | None:
    """The driver's answers; None without one."""
    try:
        return driver.ask()
    except OSError:
        return None


def gpu_hints(visible: str | None) -> list[str]:
    """Reasons that hide GPUs from TensorFlow; `visible` is CUDA_VISIBLE_DEVICES."""
    if visible is None:
        asked = "CUDA_VISIBLE_DEVICES is not set, which hides none"
    else:
        asked = f"CUDA_VISIBLE_DEVICES is {visible!r}; CUDA hides all others"
    build = f"TensorFlow is {_cuda_build()}"
    return [_device_hint(), _driver_hint(), build, _extra_hint(), asked]


def _cuda_build() -> str:
    build = tf.sysconfig.get_build_info()
    if not build["is_cuda_build"]:
        return "built without CUDA"
    return f"built for CUDA {build['cuda_version']}, cuDNN {build['cudnn_version']}"


def _device_hint() -> str:
    tool = shutil.which("nvidia-smi")
    found = f"nvidia-smi is {tool}" if tool else "no nvidia-smi is on the PATH"
    if pathlib.Path("/dev/nvidia0").exists():
        return f"/dev/nvidia0 is there, {found}"
    return (
        f"/dev/nvidia0 is not there, {found}: the machine has no NVIDIA GPU, or the "
        "container got none (docker run --gpus all; nvidia.com/gpu in Kubernetes)"
    )


def _driver_hint() -> str:
    try:
        return f"NVIDIA's driver shows {driver.ask().num_gpus} GPUs to this process"
    except OSError as error:
        return f"NVIDIA's driver cannot be asked: {error}"


def _extra_hint() -> str:
    try:
        requirements = importlib.metadata.requires("tensorflow") or []
    except importlib.metadata.PackageNotFoundError:
        return "the package tensorflow is not installed; another one brings TensorFlow"
    names = [
        re.split(r"[^\w.-]", requirement)[0]
        for requirement in requirements
        if _EXTRA in requirement
    ]
    missing = [name for name in names if not _is_installed(name)]
    if not missing:
        return f"the {len(names)} packages of the extra `gpu` are installed"
    return (
        f"{len(missing)} of the {len(names)} packages of the extra `gpu` are missing "
        f"({missing[0]} is one); pip install --editable '.[gpu]'"
    )


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
