"""Lines on the terminal besides the progress of a run."""

import contextlib
import logging as standard_logging
import os
import sys
from collections.abc import Iterator

from absl import logging

_MOST_CHARACTERS = 950  # of a sentence, whatever a user has typed
_MOST_LINES = 25


def prepare() -> None:
    """Leaves out what the Python parts of libraries tell at every start.

    TensorFlow's reports that functions of one name are traced for each model, its
    datasets each file they open. `tensorflow_log` has what its C++ part tells.
    """
    logging.use_absl_handler()
    logging.set_verbosity(logging.WARNING)
    standard_logging.getLogger("tensorflow").setLevel(standard_logging.ERROR)


@contextlib.contextmanager
def quiet_tracing() -> Iterator[None]:
    """In the body TensorFlow's Python part tells errors alone, as in a process of ours.

    It would warn of functions of one name that are traced for each model.
    """
    logger = standard_logging.getLogger("tensorflow")
    before = logger.level
    logger.setLevel(standard_logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def is_open() -> bool:
    """Whether there is somewhere to print to; says so where there is not.

    Files that are opened later would take the place of what was closed.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            print(
                f"trainer: {name} must be open, got a closed one; send it to /dev/null",
                file=sys.stderr or sys.stdout,
            )
            return False
    return True


def shorten(sentence: str) -> str:
    """The sentence, or its beginning and its end where it is very long.

    Of several lines, each is one.
    """
    if "\n" in sentence:
        return "\n".join(map(shorten, sentence.split("\n")[:_MOST_LINES]))
    if len(sentence) <= _MOST_CHARACTERS:
        return sentence
    return f"{sentence[:600]} [...] {sentence[-300:]}"


def as_started(text: str) -> str:
    """The text with the commands that it tells of as those of the installed package.

    Where this is not the installed `alambic` they stay as they are.
    """
    if os.path.basename(sys.argv[0]) != "alambic":
        return text
    text = text.replace("python -m trainer", "alambic")
    return text.replace("python -m launch", "alambic-launch")


def log(sentence: str) -> None:
    """One line for the person or the log that follows the run."""
    print(f"trainer: {as_started(sentence)}", file=sys.stderr, flush=True)
