"""The exit codes of a command: what each tells, and which errors end with it."""

import dataclasses
from collections.abc import Mapping

DONE, BUG, UNUSABLE, DIVERGED, BUDGET_SPENT, CHECK_FAILED = range(6)
# After 138 and 143 a supervisor should start the process again, after 130 not.
INTERRUPTED, PEER_LOST = 130, 138
STOPPED = 143  # 128 + SIGTERM, as if the signal had ended the process


class CheckFailedError(ValueError):
    """A check that found something wrong; the message says it, and a way out."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExitCode:
    """One way for a command to end."""

    meaning: str  # for people; its details after a semicolon
    is_restartable: bool = (
        False  # the same command may succeed when it is started again
    )
    # Each as module:class, for most of the modules load TensorFlow.
    errors: tuple[str, ...] = ()


EXIT_CODES: Mapping[int, ExitCode] = {
    DONE: ExitCode(
        meaning="done",
        errors=("trainer.cluster.tf_config:NothingToDoError",),
    ),
    BUG: ExitCode(meaning="a bug; the log has the stack"),
    UNUSABLE: ExitCode(
        meaning="unusable command line, configuration, data, storage or TF_CONFIG",
        errors=(
            "trainer.commands.command_line:UsageError",
            "trainer.config.errors:ConfigError",
            "trainer.cluster.tf_config:ClusterError",
            "trainer.data.examples:DataError",
            "trainer.report.problems:ReportError",
            "trainer.storage.files:StorageError",
            "trainer.tracking.tracker:TrackingError",
            "trainer.train.checkpoint_file:CheckpointError",
            # A device has too little memory.
            "tensorflow.python.framework.errors_impl:ResourceExhaustedError",
        ),
    ),
    DIVERGED: ExitCode(
        meaning="training diverged", errors=("builtins:FloatingPointError",)
    ),
    BUDGET_SPENT: ExitCode(
        meaning="restart budget spent without progress",
        errors=("trainer.cluster.restart_budget:BudgetSpentError",),
    ),
    CHECK_FAILED: ExitCode(
        meaning="a check failed", errors=("trainer.exit_codes:CheckFailedError",)
    ),
    INTERRUPTED: ExitCode(
        meaning="interrupted",
        errors=(
            "builtins:KeyboardInterrupt",
            "trainer.cluster.termination:InterruptError",
        ),
    ),
    # Also without an error, by Termination.leave: a step took longer than
    # runtime.watchdog_secs, or another host took the lease (cluster/hold.py).
    PEER_LOST: ExitCode(
        meaning="a peer was lost or did not come",
        is_restartable=True,
        errors=("trainer.cluster.rendezvous.patience:PeerLostError",),
    ),
    STOPPED: ExitCode(
        meaning="stopped by SIGTERM, after a checkpoint where the program saves one",
        is_restartable=True,
        errors=("trainer.cluster.termination:StoppedError",),
    ),
}
_OF_ERRORS = {name: code for code, row in EXIT_CODES.items() for name in row.errors}


def from_error(error: BaseException) -> int:
    """The code that a command ends with after `error`; BUG where none is said to."""
    names = (f"{kind.__module__}:{kind.__qualname__}" for kind in type(error).__mro__)
    return next((_OF_ERRORS[name] for name in names if name in _OF_ERRORS), BUG)
