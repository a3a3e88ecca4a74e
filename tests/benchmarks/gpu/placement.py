"""Devices of a part: all GPUs, or logical CPUs in their place."""

import tensorflow as tf

from trainer.devices import distribution

_SPLIT_MB = 4096  # of each half of a GPU


def names(num_logical_cpus: int) -> tuple[str, ...]:
    """The devices of this process, which must not have used TensorFlow before."""
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if gpus:
        return tuple(f"/gpu:{i}" for i in range(len(gpus)))
    (cpu, *_) = tf.config.list_physical_devices("CPU")
    _cut(cpu, num_logical_cpus)
    return tuple(f"/cpu:{i}" for i in range(num_logical_cpus))


def halves() -> tuple[str, ...]:
    """One device, cut into two logical ones."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return names(2)
    _cut(gpus[0], 2, memory_limit=_SPLIT_MB)
    tf.config.set_visible_devices(gpus[:1], "GPU")
    return "/gpu:0", "/gpu:1"


def strategy(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """The strategy of the trainer on these; one mirrored one in a process."""
    if len(devices) == 1:
        return tf.distribute.OneDeviceStrategy(devices[0])
    return distribution.mirrored(devices)


def _cut(device: tf.config.PhysicalDevice, count: int, **limit: int) -> None:
    logical = [tf.config.LogicalDeviceConfiguration(**limit)] * count
    tf.config.set_logical_device_configuration(device, logical)
