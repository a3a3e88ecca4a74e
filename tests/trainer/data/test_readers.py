"""Threads that look at many files."""

import threading
import time

import numpy as np

from trainer.data import readers

ROWS = np.arange(5000)


def seen(secs: float) -> tuple[list[list[int]], set[int]]:
    """The results for all rows, of which a block takes so long, and who made them."""
    threads: set[int] = set()

    def double(block: np.ndarray) -> list[int]:
        threads.add(threading.get_ident())
        time.sleep(secs)
        return (2 * block).tolist()

    return readers.in_blocks(double, ROWS, title="looking"), threads


def test_blocks_are_in_order_and_threads_take_those_that_are_waited_for():
    quick, alone = seen(0)
    slow, several = seen(0.1)
    for found in (quick, slow):
        assert [row for block in found for row in block] == (2 * ROWS).tolist()
    assert alone == {threading.get_ident()}
    assert len(several) > 1


def test_no_rows_have_no_results():
    assert readers.in_blocks(lambda block: block.tolist(), ROWS[:0], title="") == []
