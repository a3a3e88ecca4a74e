"""What the exit code of a command tells; README.md says it to users."""

DONE, BUG, UNUSABLE, DIVERGED, BUDGET_SPENT, CHECK_FAILED = range(6)
INTERRUPTED = 130


class CheckFailedError(ValueError):
    """What was checked is not as it must be; the message says how, and a way out."""
