"""Facts of GPUs, on which decisions about them rest."""

import dataclasses

import tensorflow as tf

Version = tuple[int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU, as TensorFlow tells it."""

    name: str = "a GPU without a name"
    compute_capability: Version | None = None  # None: it tells none


@dataclasses.dataclass(frozen=True, kw_only=True)
class GpuFacts:
    """The GPUs of a process, and the CUDA that its TensorFlow was built for."""

    gpus: tuple[Gpu, ...] = ()
    cuda: Version | None = None  # None: built without CUDA


def seen() -> GpuFacts:
    """The facts of this process; it starts no device."""
    return GpuFacts(
        gpus=tuple(map(_gpu, tf.config.list_physical_devices("GPU"))),
        cuda=_built_for(),
    )


def _gpu(device: tf.config.PhysicalDevice) -> Gpu:
    details = tf.config.experimental.get_device_details(device)
    known = {"name": "device_name", "compute_capability": "compute_capability"}
    return Gpu(**{own: details[key] for own, key in known.items() if key in details})


def _built_for() -> Version | None:
    build = tf.sysconfig.get_build_info()
    if not build["is_cuda_build"]:
        return None
    major, minor, *_ = build["cuda_version"].split(".")
    return int(major), int(minor)
