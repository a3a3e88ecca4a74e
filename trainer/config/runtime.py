"""The runtime section: where and how a run executes."""

import dataclasses
from typing import Annotated, Literal

from trainer.config.rules import Count, CountOrNone, between


@dataclasses.dataclass(frozen=True, kw_only=True)
class RuntimeConfig:
    """Devices, precision and cadence of a run; a resumed run may change any of them."""

    strategy: Literal["auto", "one_device", "mirrored", "multi_worker"] = "auto"
    min_gpus: CountOrNone = 0  # refuse to run where fewer are seen
    # CPU devices to mirror over where there is no GPU.
    logical_cpus: Annotated[int, between(1, 256)] = 1
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    xla: Literal["auto", "on", "off"] = "auto"
    steps_per_execution: Count = 1  # optimizer updates of one program of XLA
    steps_per_loop: Count = 50  # a multiple; between two returns to Python
    log_every_steps: Count = 50  # a multiple of steps_per_loop
    eval_every_steps: Count = 200  # a multiple of log_every_steps
    save_every_steps: Count = 200  # a multiple of log_every_steps
    eval_batch_size: Count = 500  # examples per evaluation step, rounded to replicas
    teacher_batch_size: Count = 256  # examples a replica predicts for a cache
    keep_checkpoints: Count = 2  # newest ones kept, beside the best
    # Logs the norm of the gradient of each part of the loss to the student's logits.
    term_gradients: bool = False
    # [a, b]: each training profiles its steps after step a up to step b.
    profile_steps: tuple[CountOrNone, ...] = ()
    rendezvous_secs: Count = 1200  # until all workers have to be there
    watchdog_secs: Count = 1800  # until a loop or an evaluation step counts as hung
    grace_secs: Count = 25  # from SIGTERM to the end, with a checkpoint
    # After so many restarts in a row that kept no step the run gives up.
    max_restarts: CountOrNone = 5
