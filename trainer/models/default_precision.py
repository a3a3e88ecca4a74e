"""The precision of layers that are given none."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def default_precision(policy: str) -> Iterator[None]:
    """In the body, layers that are made without a precision have this Keras policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
