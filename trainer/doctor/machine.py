"""The machine that a run would be on, and what it makes of settings left to it."""

from collections.abc import Iterator

import tensorflow as tf

from trainer.config import RuntimeConfig
from trainer.devices import distribution
from trainer.doctor import hardware
from trainer.session.networks import Networks


def parts() -> Iterator[str]:
    """Lists the machine's parts, with the versions of their drivers."""
    yield hardware.versions()
    yield hardware.host()
    yield from hardware.gpus() or ["no GPU is seen"]


def gpu_hints(runtime: RuntimeConfig) -> Iterator[str]:
    """Reasons why fewer GPUs are seen than are wanted, or than the driver shows."""
    num_seen = len(tf.config.list_physical_devices("GPU"))
    wanted = max(runtime.min_gpus, hardware.num_driver_gpus())
    if num_seen < wanted:
        yield from hardware.gpu_hints(distribution.visible_gpus())


def precision(networks: Networks) -> Iterator[str]:
    """The precision of each model, and whether XLA compiles it, with the reasons."""
    config = networks.config
    wanted = {role: teacher.precision for role, teacher in config.teachers.items()}
    wanted["student"] = config.student.precision
    for role, value in wanted.items():
        reason = distribution.precision_reason(value, config.runtime, setting=role)
        yield f"{role} {networks.precision(role)} ({reason})"
    compiled = "on" if networks.devices.xla else "off"
    yield f"XLA {compiled} ({distribution.xla_reason(config.runtime)})"
