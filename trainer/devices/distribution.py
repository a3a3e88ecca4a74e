"""Devices, precision and compilation, decided once from the runtime section."""

import contextlib
import functools
import os

import keras
import tensorflow as tf

from trainer.config import Config, ConfigError, RuntimeConfig, TrainConfig
from trainer.devices import compilation, gpu_facts
from trainer.devices.gpu_facts import Version


def num_local_replicas(runtime: RuntimeConfig, *, num_workers: int) -> int:
    """The replicas of this process, before there is a strategy.

    Raises:
      ConfigError: the section asks for devices or workers that are not there.
    """
    devices = _devices(runtime)
    _check_workers(runtime, num_workers)
    return 1 if runtime.strategy == "one_device" else len(devices)


def strategy(runtime: RuntimeConfig, *, num_workers: int) -> tf.distribute.Strategy:
    """The strategy of the run; call it before anything else touches TensorFlow.

    With several workers it waits for all of them.

    Raises:
      ConfigError: fewer GPUs than asked for, XLA on GPUs that are too new for it,
        "mirrored" on one device only, or a strategy that is not for so many workers.
    """
    devices = _devices(runtime)
    compilation.check_xla(runtime)
    _check_workers(runtime, num_workers)
    if num_workers > 1:
        # Left to itself TensorFlow chooses anew for each tensor.
        on_gpus = tf.distribute.experimental.CommunicationImplementation.NCCL
        on_cpus = tf.distribute.experimental.CommunicationImplementation.RING
        gpus = tf.config.list_physical_devices("GPU")
        return tf.distribute.MultiWorkerMirroredStrategy(
            communication_options=tf.distribute.experimental.CommunicationOptions(
                implementation=on_gpus if gpus else on_cpus
            )
        )
    if runtime.strategy == "one_device":
        devices = devices[:1]
    if len(devices) > 1:
        return mirrored(tuple(devices))
    if runtime.strategy == "mirrored":
        raise ConfigError(
            "runtime.strategy = 'mirrored' needs two devices or more, got one "
            f"({devices[0]}); use 'auto', or set runtime.logical_cpus = 2 on a CPU"
        )
    return tf.distribute.OneDeviceStrategy(devices[0])


@functools.cache
def mirrored(devices: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    """The strategy of these devices, one in a process whatever runs there.

    Two would number their collectives alike, and break each other's.
    """
    return tf.distribute.MirroredStrategy(devices)


def stop_flag() -> tf.Variable:
    """A variable that tells steps that the process is to end: float32 [], first 0."""
    with tf.device("/cpu:0"):
        return tf.Variable(0.0, trainable=False)


def _check_workers(runtime: RuntimeConfig, num_workers: int) -> None:
    if num_workers > 1 and runtime.strategy not in ("auto", "multi_worker"):
        raise ConfigError(
            f"runtime.strategy must be 'auto' or 'multi_worker' with the {num_workers} "
            f"workers of TF_CONFIG, got {runtime.strategy!r}, with which each would "
            "train alone"
        )
    if num_workers > 1 and runtime.logical_cpus > 1:
        raise ConfigError(
            f"runtime.logical_cpus must be 1 with the {num_workers} workers of "
            f"TF_CONFIG, got {runtime.logical_cpus}; a worker without GPUs is one "
            "replica: start more workers instead"
        )
    if num_workers == 1 and runtime.strategy == "multi_worker":
        raise ConfigError(
            "runtime.strategy = 'multi_worker' needs a TF_CONFIG with two tasks or "
            "more, got none; start it by python -m launch, or use 'auto'"
        )


def _devices(runtime: RuntimeConfig) -> list[str]:
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) < runtime.min_gpus:
        raise ConfigError(
            f"runtime.min_gpus = {runtime.min_gpus} asks for GPUs, got {len(gpus)}; "
            "install the extra `gpu` and its driver, make them visible "
            "(CUDA_VISIBLE_DEVICES), or set runtime.min_gpus = 0"
        )
    for gpu in gpus:
        # The default takes all memory at once, and leaves none to another program. In
        # a program that has used TensorFlow already it has taken it.
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)
    if gpus:
        return [f"/gpu:{i}" for i in range(len(gpus))]
    cpu = tf.config.list_physical_devices("CPU")[0]
    wanted = [tf.config.LogicalDeviceConfiguration()] * runtime.logical_cpus
    if len(tf.config.get_logical_device_configuration(cpu) or [None]) < len(wanted):
        try:
            tf.config.set_logical_device_configuration(cpu, wanted)
        except RuntimeError as error:
            raise ConfigError(
                f"runtime.logical_cpus must be set before TensorFlow computes, got "
                f"{runtime.logical_cpus} in a program with a model in memory; call "
                "tf.config.set_logical_device_configuration before it builds one, or "
                "give functions instead of models"
            ) from error
    return [f"/cpu:{i}" for i in range(runtime.logical_cpus)]


def per_replica_batch_size(
    train: TrainConfig, num_replicas: int, *, setting: str
) -> int:
    """Examples of one step on one replica; `setting` names the section in the message.

    Raises:
      ConfigError: the replicas cannot share the global batch equally, or cannot cut
        their shares into equal micro-batches.
    """
    parts = num_replicas * train.accumulate
    if train.global_batch_size % parts:
        nearest = max(1, round(train.global_batch_size / parts)) * parts
        raise ConfigError(
            f"{setting}.global_batch_size must be a multiple of the {num_replicas} "
            f"replicas times {setting}.accumulate ({train.accumulate}), "
            f"got {train.global_batch_size}; nearest: {nearest}"
        )
    return int(train.global_batch_size // num_replicas)


def check_groups(
    train: TrainConfig,
    num_replicas: int,
    *,
    size: int,
    why: str,
    setting: str,
    more: str = "",
) -> None:
    """Finds whole groups of `size` neighbours in each micro-batch of one replica.

    `why` says in a message what the groups are for, and `more` ends it.

    Raises:
      ConfigError: the micro-batches of the section `setting` cut a group.
    """
    parts = num_replicas * train.accumulate
    share = per_replica_batch_size(train, num_replicas, setting=setting)
    share //= train.accumulate
    if share % size == 0:
        return
    batch = train.global_batch_size
    nearest = max(1, round(batch / (size * parts))) * size * parts
    replicas = [
        str(n)
        for n in range(1, batch // train.accumulate + 1)
        if batch % (n * train.accumulate * size) == 0
    ]
    raise ConfigError(
        f"{setting}.global_batch_size must be a multiple of {size} times the "
        f"{num_replicas} replicas times {setting}.accumulate ({train.accumulate}), "
        f"because {why}, got {batch}, {share} at a time; nearest: {nearest}, or keep "
        f"it and use {', '.join(replicas) or 'no such number of'} replicas"
        f"{more}"
    )


def check_execution(config: Config, num_replicas: int) -> None:
    """Finds XLA and one replica, where programs are to have several steps.

    Raises:
      ConfigError: another replica would have to be waited for, or XLA does not compile
        all that a student's step computes.
    """
    runtime = config.runtime
    if runtime.steps_per_execution == 1:
        return
    wrong = ""
    if runtime.xla == "teacher":
        wrong = "runtime.xla = 'teacher'"
    elif runtime.xla == "student" and not config.distill.is_cached:
        source = config.distill.soft_targets
        wrong = f"runtime.xla = 'student' and distill.soft_targets = {source!r}"
    elif not compilation.compiles_with_xla(runtime, "student"):
        wrong = "XLA off"
    if num_replicas > 1:
        wrong = f"{num_replicas} replicas"
    if wrong:
        raise ConfigError(
            f"runtime.steps_per_execution must be 1 with {wrong}, got "
            f"{runtime.steps_per_execution}; XLA makes one program of several steps "
            "only where it compiles all of them and one replica trains alone: set it "
            "to 1, or train on one device of one machine with runtime.xla = 'on'"
        )


def precision(wanted: str, runtime: RuntimeConfig) -> str:
    """The Keras dtype policy for a model that asks for `wanted` precision."""
    if wanted == "inherit":
        wanted = runtime.precision
    if wanted != "auto":
        return wanted
    return _automatic_precision(_compute_capabilities())


def _compute_capabilities() -> list[Version | None]:
    return [gpu.compute_capability for gpu in gpu_facts.seen().gpus]


def _automatic_precision(compute_capabilities: list[Version | None]) -> str:
    """The fastest that every GPU has in hardware; float32 without a GPU.

    bfloat16 comes with compute capability 8.0 and needs no loss scale; float16 is fast
    from 7.0 on.
    """
    least = min((known or (0, 0) for known in compute_capabilities), default=(0, 0))
    if least >= (8, 0):
        return "mixed_bfloat16"
    return "mixed_float16" if least >= (7, 0) else "float32"


def precision_reason(wanted: str, runtime: RuntimeConfig, *, setting: str) -> str:
    """The reason for the precision of a model, whose section `setting` has `wanted`."""
    if wanted != "inherit":
        return f"set by {setting}.precision"
    if runtime.precision != "auto":
        return "set by runtime.precision"
    capabilities = _compute_capabilities()
    if not capabilities:
        return "auto, no GPU is seen"
    major, minor = min(known or (0, 0) for known in capabilities)
    return f"auto, compute capability of every GPU {major}.{minor} or more"


def visible_gpus() -> str | None:
    """CUDA_VISIBLE_DEVICES, to which CUDA keeps a process; None where it is not set."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def describe_devices(strategy: tf.distribute.Strategy) -> str:
    """Names strategy and devices: "MirroredStrategy, 2 replicas on GPU:0, GPU:1"."""
    count = strategy.num_replicas_in_sync
    names = [name.split("device:")[-1] for name in strategy.extended.worker_devices]
    num_workers = count // len(names)
    kind = "MultiWorkerMirroredStrategy" if num_workers > 1 else type(strategy).__name__
    on_each = f"{num_workers} workers, each with " if num_workers > 1 else ""
    return (
        f"{kind}, {count} replica{'' if count == 1 else 's'} on "
        f"{on_each}{', '.join(names)}"
    )


def describe(strategy: tf.distribute.Strategy, runtime: RuntimeConfig) -> str:
    """One line on where the run executes, for the log."""
    return (
        f"{describe_devices(strategy)}, {compilation.describe_xla(runtime)}, "
        f"{precision('inherit', runtime)}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__}"
    )
