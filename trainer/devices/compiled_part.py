"""A part of a step that XLA compiles apart from the rest of it.

Of a student that learns from live teachers `runtime.xla` compiles:

| runtime.xla | teachers' forward passes | student's pass, losses, gradients | update |
| --- | --- | --- | --- |
| "on" | one program with the student's | one program with the teachers' | a program |
| "teacher" | a program each | not compiled | not compiled |
| "student" | not compiled | a program | a program |

Without live teachers a step is the student's alone. Its micro-batches run the programs
one after the other; several steps cannot be one program, since a part of each is none.

A part is a function without arguments: what it uses of the graph around it, tensors of
the batch or the teacher's predictions, becomes an input of its program. So the step is
written in one order, whatever is compiled, and its graph has no trace of parts that are
not.
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
