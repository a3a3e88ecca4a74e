"""The command line: `python -m trainer COMMAND --config=FILE --workdir=DIR`."""

import traceback

from trainer import commands, config, console
from trainer.cluster import attempts, termination, tf_config
from trainer.cluster.rendezvous import PeerLostError
from trainer.exit_codes import (
    BUDGET_SPENT,
    BUG,
    CHECK_FAILED,
    DIVERGED,
    DONE,
    INTERRUPTED,
    UNUSABLE,
    CheckFailedError,
)
from trainer.storage import files


def main(argv: list[str]) -> int:
    """Runs one command; returns the exit code."""
    console.prepare()
    if not console.is_open():
        return UNUSABLE
    # Before TensorFlow is imported, whose threads would see it.
    with termination.sigterm_blocked():
        try:
            return commands.run(argv)
        except Exception as error:
            reason, code = _reason(error)
            if code == BUG:
                traceback.print_exc()
            reason = console.shorten(reason)
        except KeyboardInterrupt:
            reason = "interrupted; start the same command again to go on"
            code = INTERRUPTED
        termination.tell(reason, code)
        return code


def _reason(error: Exception) -> tuple[str, int]:
    """What to say of an error, and the exit code; a bug tells its own story."""
    known: tuple[tuple[type[Exception], int], ...] = (
        (tf_config.NothingToDoError, DONE),
        (FloatingPointError, DIVERGED),
        (attempts.BudgetSpentError, BUDGET_SPENT),
        (CheckFailedError, CHECK_FAILED),
        (PeerLostError, termination.PEER_LOST),
        (termination.InterruptError, INTERRUPTED),
        (termination.StoppedError, termination.STOPPED),
        (commands.UsageError, UNUSABLE),
        (config.ConfigError, UNUSABLE),
        (tf_config.ClusterError, UNUSABLE),
        (files.StorageError, UNUSABLE),
    )
    for kind, code in known:
        if isinstance(error, kind):
            return str(error), code
    sentence = _unusable_input(error)
    if sentence:
        return sentence, UNUSABLE
    return f"this is a bug: {type(error).__name__}: {error}", BUG


def _unusable_input(error: Exception) -> str:
    """What to say of an error that modules with TensorFlow raise; "" for a bug."""
    # They are loaded when such an error is raised.
    import tensorflow as tf

    from trainer import data, report
    from trainer.devices import memory
    from trainer.train import checkpoint_file

    if isinstance(error, tf.errors.ResourceExhaustedError):
        return memory.OUT_OF_MEMORY
    known = (checkpoint_file.CheckpointError, data.DataError, report.ReportError)
    return str(error) if isinstance(error, known) else ""
