"""What the exit code of a command tells; README.md says it to users."""

DONE, BUG, UNUSABLE, DIVERGED, BUDGET_SPENT, CHECK_FAILED = range(6)
INTERRUPTED = 130
