"""Exit codes of tasks, so that the one that srun tells is the one that decides.

srun tells the highest code of its tasks. When a worker fails for good, say with 2, the
others are stopped and end with 143, which a restart would mend. So codes that no
restart mends go to srun as numbers above those of all signals.
"""

from launch import exit_codes

_LAST_OF_SIGNALS = exit_codes.FIRST_OF_SIGNALS + 64
_ANOTHER = 1  # stands for codes without a meaning
# Above 200 are errors of srun's own, such as 233 where it does not reach a host. That
# one hides the code of a task on another host, which the next start comes to again.
_TOLD = {
    code: _LAST_OF_SIGNALS + 1 + index
    for index, code in enumerate(sorted(exit_codes.permanent()))
}
_MEANT = {told: code for code, told in _TOLD.items()}


def told(code: int) -> int:
    """The code with which a task ends whose program has ended with `code`."""
    if code == 0:
        return 0
    if exit_codes.is_worth_a_restart(code):
        return min(code, _LAST_OF_SIGNALS)
    return _TOLD.get(code, _TOLD[_ANOTHER])


def meant(code: int) -> int:
    """The code of the program that decided, from the one that srun has told.

    Below 128 it is srun's own: its tasks could not be started.
    """
    return _MEANT.get(code, code)
