"""Parts that passed or failed: a line for each, and a table of all."""

import dataclasses
import time
from collections.abc import Callable, Sequence


class PartError(Exception):
    """A part has not done what it should; the message says what it did."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of one part."""

    what: str
    secs: float
    failure: str | None  # the reason, where it failed

    @property
    def result(self) -> str:
        """The word "passed", or the reason."""
        return f"failed: {self.failure}" if self.failure else "passed"


def attempt(what: str, part: Callable[[], None]) -> Outcome:
    """Runs a part and prints its line."""
    started, failure = time.monotonic(), None
    try:
        part()
    except Exception as error:  # the other parts can still be tried
        name = "" if isinstance(error, PartError) else f"{type(error).__name__}: "
        failure = " ".join(f"{name}{error}".split())
    outcome = Outcome(what=what, secs=time.monotonic() - started, failure=failure)
    print(f"{what}: {outcome.secs:.0f} s, {outcome.result}", flush=True)
    return outcome


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes in Markdown."""
    rows = [
        f"| {outcome.what} | {outcome.secs:.0f} | {outcome.result} |"
        for outcome in outcomes
    ]
    return "\n".join(["| Part | Seconds | Result |", "| --- | --- | --- |", *rows])
