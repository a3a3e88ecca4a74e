"""Exit codes of programs: their meanings, and whether to start again after them."""

import signal

UNUSABLE, INTERRUPTED, PEER_LOST, TERMINATED = 2, 130, 138, 143
FIRST_OF_SIGNALS = 128  # what signal n has ended has 128 + n

# Those that mean it for the trainer alone.
_OF_TRAINER = {
    1: "a bug; the log has the stack",
    UNUSABLE: "unusable command line, configuration, data, storage or TF_CONFIG",
    3: "training diverged",
    4: "restart budget spent without progress",
    5: "a check failed",
}
# Those that a system adds, or that every program of a cluster may end with.
_OF_ANY = {
    0: "done",
    INTERRUPTED: "interrupted",
    137: "SIGKILL, for instance where memory or the grace ran out",
    PEER_LOST: "a peer was lost or did not come",
    139: "SIGSEGV, a crash in compiled code",
    142: "SIGALRM, for instance where workers that met did not connect",
    TERMINATED: "stopped by SIGTERM, after a checkpoint where the program saves one",
}
_MEANINGS = _OF_TRAINER | _OF_ANY


def from_status(status: int) -> int:
    """The exit code of a `Popen.returncode`, where -n stands for signal n."""
    return status if status >= 0 else FIRST_OF_SIGNALS - status


def meaning(code: int) -> str:
    """The meaning of the trainer's exit code; "" where it is not known."""
    if code in _MEANINGS:
        return _MEANINGS[code]
    number = code - FIRST_OF_SIGNALS
    return signal.Signals(number).name if number in set(signal.Signals) else ""


def describe(code: int, *, of_trainer: bool) -> str:
    """The code, and in brackets what it says where that is known."""
    said = meaning(code) if of_trainer or code not in _OF_TRAINER else ""
    return f"{code} ({said})" if said else str(code)


def is_worth_a_restart(code: int) -> bool:
    """Whether the same command may succeed next time, and nobody has stopped it."""
    return code >= FIRST_OF_SIGNALS and code != INTERRUPTED


def permanent() -> list[int]:
    """The known codes of failures that a restart would only repeat."""
    return [code for code in _MEANINGS if code and not is_worth_a_restart(code)]
