"""What the exit code of a worker means, and whether to start again after it."""

import signal

INTERRUPTED, PEER_LOST, TERMINATED = 130, 138, 143

_MEANINGS = {
    1: "a bug",
    2: "unusable command line, configuration, data, storage or TF_CONFIG",
    3: "training diverged",
    4: "restart budget spent",
    5: "a check failed",
    INTERRUPTED: "interrupted",
    137: "SIGKILL, for instance where memory ran out",
    PEER_LOST: "a peer was lost or did not come",
    TERMINATED: "stopped by SIGTERM, after a checkpoint where the program saves one",
}


def of_status(status: int) -> int:
    """The exit code of a `Popen.returncode`, where -n stands for signal n."""
    return status if status >= 0 else 128 - status


def described(code: int) -> str:
    """The code, and in brackets what it says where that is known."""
    meaning = _MEANINGS.get(code)
    if meaning is None and code - 128 in set(signal.Signals):
        meaning = signal.Signals(code - 128).name
    return f"{code} ({meaning})" if meaning else str(code)


def is_worth_a_restart(code: int) -> bool:
    """Whether the same command may succeed next time, as Kubernetes' TFJob has it."""
    return code >= 128 and code != INTERRUPTED
