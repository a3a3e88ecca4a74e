"""What a terminal shows of a run besides its progress."""

import logging as standard_logging
import os
import sys

from absl import logging


def prepare() -> None:
    """Leaves out what libraries tell at every start; before TensorFlow is imported.

    TensorFlow's C++ part reports processor features and missing GPU drivers, its
    Python part that functions of one name are traced for each model, its datasets each
    file they open. A TF_CPP_MIN_LOG_LEVEL from outside holds.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.use_absl_handler()
    logging.set_verbosity(logging.WARNING)
    standard_logging.getLogger("tensorflow").setLevel(standard_logging.ERROR)


def say(sentence: str) -> None:
    """One line for the person or the log that follows the run."""
    print(f"trainer: {sentence}", file=sys.stderr, flush=True)
