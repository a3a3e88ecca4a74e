"""The runtime section: where and how a run executes."""

import dataclasses
from typing import Annotated, Literal

from trainer.config.rules import Count, CountOrNone, between

Every = Count | Literal["epoch"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RuntimeConfig:
    """Devices, precision and cadence of a run; a resumed run may change any of them."""

    # How replicas share a step; "auto": by TF_CONFIG and the devices that are seen.
    strategy: Literal["auto", "one_device", "mirrored", "multi_worker"] = "auto"
    # The number of GPUs that a run needs; with fewer it is refused.
    min_gpus: CountOrNone = 0
    # The number of logical CPU devices, each with a replica; not used with a GPU.
    logical_cpus: Annotated[int, between(1, 256)] = 1
    # What layers compute in; "auto": the fastest type that every GPU has in hardware,
    # float32 without a GPU.
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    # Whether XLA compiles the training step; "auto": on GPUs, and not on CPUs;
    # "teacher" or "student": what that network computes, and nothing of the other.
    xla: Literal["auto", "on", "off", "teacher", "student"] = "auto"
    # Optimizer updates of one program of XLA; above 1 for one device, and where XLA
    # compiles the student's whole step.
    steps_per_execution: Count = 1
    # Updates between two returns to Python; the nearest multiple of steps_per_execution
    # is taken.
    steps_per_loop: Count = 50
    # Updates between two lines of metrics, or "epoch"; the nearest multiple of
    # steps_per_loop is taken.
    log_every_steps: Every = 50
    # Updates between two evaluations on the validation split, or "epoch"; the nearest
    # multiple of log_every_steps is taken.
    eval_every_steps: Every = 200
    # Updates between two checkpoints, or "epoch"; the nearest multiple of
    # log_every_steps is taken.
    save_every_steps: Every = 200
    eval_batch_size: Count = 500  # examples per evaluation step, rounded to replicas
    teacher_batch_size: Count = 256  # examples a replica predicts for a cache
    keep_checkpoints: Count = 2  # newest checkpoints that are kept, beside the best
    # Logs the norm of the gradient of each part of the loss to the student's logits.
    term_gradients: bool = False
    # [a, b]: each training profiles its steps after step a up to step b.
    profile_steps: tuple[CountOrNone, ...] = ()
    rendezvous_secs: Count = 1200  # the time until all workers have to be there
    # The time until a loop or an evaluation step counts as hung.
    watchdog_secs: Count = 1800
    grace_secs: Count = 25  # the time from SIGTERM to the end, with a checkpoint
    # Successive restarts without a new checkpoint, after which the run ends.
    max_restarts: CountOrNone = 5
