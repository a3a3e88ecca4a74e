"""Messages of errors, known by the settings, values and numbers in them.

Their wording is free to improve; the facts in them are not.
"""

import contextlib
import re
from collections.abc import Callable, Iterator

import pytest


def assert_states(message: str, *facts: object) -> None:
    """Each fact stands in `message` by itself: 1 is not in 10, 0.1, -1, T1 or a-1."""
    missing = [fact for fact in map(str, facts) if not _stands(fact, message)]
    assert not missing, f"{missing} must be in: {message}"


def _stands(fact: str, message: str) -> bool:
    before = r"(?<![\w.])" if re.match(r"\w", fact) else ""
    before = r"(?<![\w.-])" if re.match(r"\d", fact) else before
    after = r"(?!\w|\.\w)" if re.search(r"\w\Z", fact) else ""
    return re.search(before + re.escape(fact) + after, message) is not None


@contextlib.contextmanager
def refused(kind: type[Exception], *facts: object) -> Iterator[None]:
    """The body raises an error of this kind, whose message states the facts."""
    with pytest.raises(kind) as caught:
        yield
    assert_states(str(caught.value), *facts)


def refusal(action: Callable[[], object], kind: type[Exception] = ValueError) -> str:
    """The message of the error of this kind that `action` raises."""
    with pytest.raises(kind) as caught:
        action()
    return str(caught.value)


def assert_a_line_states(text: str, *facts: object) -> None:
    """One line of `text` states all facts, whatever the others say."""
    found = any(
        all(_stands(str(fact), line) for fact in facts) for line in text.splitlines()
    )
    assert found, f"{[*map(str, facts)]} must be in one line of: {text}"


_OURS = re.compile(
    r"(\[[\w-]+\] )?"  # what a launcher puts before the lines of its workers
    r"(trainer: |launch: |✓ |(teacher|student|baseline|finetune)[^:]* seed \d+: )"
)


def foreign_lines(text: str) -> list[str]:
    """The lines on standard error that other programs than ours have written."""
    return [line for line in text.splitlines() if line and not _OURS.match(line)]
