"""A part of a step that XLA compiles apart from the rest of it.

Of a student that learns from live teachers `runtime.xla` compiles:

| runtime.xla | teachers' forward passes | student's pass, losses, gradients | update |
| --- | --- | --- | --- |
| "on" | one program with the student's | one program with the teachers' | a program |
| "teacher" | a program each | not compiled | not compiled |
| "student" | not compiled | a program | a program |

Without live teachers the whole step is the student's. Where a part of it is no
program, several steps cannot be one (runtime.steps_per_execution).

A part is a function without arguments. Tensors that it uses of the graph around it,
such as the batch or the teacher's predictions, become inputs of its program. So a step
is written in one order, whatever XLA compiles of it.
"""

from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf

T = TypeVar("T")


def call_part(part: Callable[[], T], *, xla: bool) -> T:
    """Calls a part that gives tensors; XLA compiles it apart where `xla` says so."""
    if not xla:
        return part()
    result: T = tf.function(part, jit_compile=True, autograph=False)()
    return result
