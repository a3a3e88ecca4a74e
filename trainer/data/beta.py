"""The symmetric Beta distribution, in whole steps that all devices draw alike."""

import functools

import numpy as np
import tensorflow as tf

# The steps of a coefficient between 0 and 1. With these float32 holds every product
# and sum of 8-bit pixels exactly, whatever a compiler fuses: all devices mix alike.
LEVELS = 2**16

_ROUNDING = 2e-15  # more than that of the distribution near whole numbers


@functools.cache
def quantiles(beta: float) -> np.ndarray:
    """The quantiles at the middles of LEVELS equal shares of Beta(`beta`, `beta`).

    int32 [LEVELS], in steps of 1 / LEVELS and rounded down: of the uniform
    distribution, `beta` 1, they are 0, 1, 2, ...
    """
    steps = np.arange(LEVELS + 1)
    # Once, on the host and in float64; also while a step is traced.
    with tf.init_scope(), tf.device("/CPU:0"):
        below = tf.math.betainc(
            np.float64(beta), np.float64(beta), steps / LEVELS
        ).numpy()
    middles = (steps[:-1] + 0.5) / LEVELS
    # The last step below which there is no more: a quantile without an inverse. Some
    # are exact, of whole numbers, and no host's rounding may decide on them.
    last = np.searchsorted(below, middles + _ROUNDING, side="right") - 1
    return last.astype(np.int32)
