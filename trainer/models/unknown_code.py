"""Code that a model's file needs, and that Keras does not have or does not run."""

import dataclasses
import re

_MISSING = re.compile(r"Could not locate (class|function) '[^']*'")
_LAMBDA = re.compile(r"Python lambda|`Lambda` layer|function identifier: \{'value'")


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnknownCode:
    """The messages of Keras that tell of it."""

    reason: str
    is_lambda: bool  # kept in the file as code, which nobody else's file may run


def unknown_code(error: Exception) -> UnknownCode | None:
    """The code that is missing, by Keras's error of reading a file; None for none.

    Its class of error is one for many causes, and its text may be of pages.
    """
    text = " ".join(str(error).split())
    if _LAMBDA.search(text):
        return UnknownCode(
            reason="it has a Lambda of Python code, which Keras reads from no file",
            is_lambda=True,
        )
    missing = _MISSING.search(text)
    return UnknownCode(reason=missing[0], is_lambda=False) if missing else None
