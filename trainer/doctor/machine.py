"""The machine that a run would be on, and what it makes of settings left to it."""

import dataclasses
from collections.abc import Iterator

import tensorflow as tf

from trainer.config import RuntimeConfig
from trainer.devices import compilation, distribution, gpu_facts
from trainer.doctor import hardware
from trainer.session.networks import Networks


def parts() -> Iterator[str]:
    """Lists the machine's parts, with the versions of their drivers."""
    yield hardware.versions()
    yield hardware.host()
    yield from hardware.gpus() or ["no GPU is seen"]


def gpu_hints(runtime: RuntimeConfig) -> Iterator[str]:
    """Problems of the driver; why fewer GPUs are seen than it shows or are wanted."""
    yield from hardware.driver_problems()
    num_seen = len(tf.config.list_physical_devices("GPU"))
    wanted = max(runtime.min_gpus, hardware.num_driver_gpus())
    if num_seen < wanted:
        yield from hardware.gpu_hints(distribution.visible_gpus())


def undemanding(runtime: RuntimeConfig) -> RuntimeConfig:
    """The section without what these devices may have failed to give."""
    xla_fails = bool(compilation.xla_problem(gpu_facts.seen()))
    return dataclasses.replace(
        runtime,
        min_gpus=0,
        strategy="auto",
        steps_per_execution=1,
        xla="auto" if xla_fails else runtime.xla,
    )


def precision(networks: Networks) -> Iterator[str]:
    """The precision of each model, and whether XLA compiles it, with the reasons."""
    config = networks.config
    wanted = {role: teacher.precision for role, teacher in config.teachers.items()}
    wanted["student"] = config.student.precision
    for role, value in wanted.items():
        reason = distribution.precision_reason(value, config.runtime, setting=role)
        yield f"{role} {networks.precision(role)} ({reason})"
    compiled = compilation.describe_xla(config.runtime)
    yield f"{compiled} ({compilation.xla_reason(config.runtime)})"
