"""What a terminal shows of a run besides its progress."""

import os

from absl import logging


def prepare() -> None:
    """Sets up the log, and leaves out TensorFlow's own; before TensorFlow is imported.

    Its C++ part tells of processor features and missing GPU drivers at every start. A
    TF_CPP_MIN_LOG_LEVEL from outside holds.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
