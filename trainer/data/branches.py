"""Branches of a graph that are seldom taken."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def seldom(branch: Callable[..., Any]) -> Callable[..., Any]:
    """The branch as one operation of its graph.

    Where it is not taken, each of its operations would take time all the same, for an
    image as much as a step of its decoding.
    """
    function: Callable[..., Any] = tf.function(
        branch, autograph=False, experimental_attributes={"_noinline": True}
    )
    return function
