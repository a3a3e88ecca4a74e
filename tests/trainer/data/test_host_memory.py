"""A set of images is in memory once, whoever reads it."""

import gc

import numpy as np
import pytest

from trainer.data.host_memory import empty, on_host


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
@pytest.mark.parametrize("shape", [(1000, 7, 5, 3), (1,), (0, 4)])
def test_an_array_to_be_filled_has_its_shape_and_an_aligned_start(shape, dtype):
    array = empty(shape, dtype)
    assert (array.shape, array.dtype) == (shape, dtype)
    assert array.ctypes.data % 64 == 0 or not array.size
    assert array.flags.c_contiguous


def test_a_constant_of_such_an_array_is_no_copy():
    array = empty((64, 3), np.float32)
    array[:] = 1
    constant = on_host(array)
    array[5, 2] = 7
    assert constant[5, 2] == 7


def test_the_memory_stays_when_the_array_goes():
    array = empty((1000, 1000), np.uint8)
    array[:] = np.arange(1000) % 251
    expected = array.copy()
    constant = on_host(array)
    del array
    gc.collect()
    others = [np.full((1000, 1000), 255, np.uint8) for _ in range(8)]
    np.testing.assert_array_equal(constant, expected)
    assert others


@pytest.mark.parametrize(
    ("part", "expected"),
    [(np.s_[1:], [0, 1, 2, 3, 4, 5]), (np.s_[:, ::2], [0, 2, 4])],
    ids=["begins elsewhere", "with gaps"],
)
def test_part_of_such_an_array_is_copied(part, expected):
    array = empty((65, 6), np.float32)
    array[:] = np.arange(6)
    constant = on_host(array[part])
    array[:] = -1
    np.testing.assert_array_equal(constant[9], expected)


def test_text_is_copied():
    assert on_host(np.array(["b/0.jpg"], object)).numpy().tolist() == [b"b/0.jpg"]


def test_a_read_only_array_is_copied():
    array = empty((4,), np.int32)
    array[:] = 3
    array.flags.writeable = False
    np.testing.assert_array_equal(on_host(array), [3, 3, 3, 3])
