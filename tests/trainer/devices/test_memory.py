"""Bytes of variables, and peaks of a process."""

import re

import keras
import numpy as np
import pytest

from trainer.devices import memory


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (50_920, "50.9 kB"),
        (2_500_000, "2.5 MB"),
        (150e9, "150.00 GB"),
        (3e15, "3000.00 TB"),
    ],
)
def test_bytes_are_told_with_a_fitting_unit(count, text):
    assert memory.text(int(count)) == text


def test_variables_take_the_bytes_of_their_arrays():
    variables = [
        keras.Variable(np.zeros((3, 5), np.float32)),
        keras.Variable(np.zeros(7, np.float16)),
        keras.Variable(np.zeros((), np.int64), dtype="int64"),
        keras.Variable(np.zeros((2, 0), np.float32)),
    ]
    arrays = [variable.numpy() for variable in variables]
    assert memory.num_bytes(variables) == sum(array.nbytes for array in arrays) == 82


def megabytes(line: str) -> list[float]:
    units = {"B": 1e-6, "kB": 1e-3, "MB": 1, "GB": 1e3}
    found = re.findall(r"([\d.]+) (B|kB|MB|GB)", line)
    return [float(number) * units[unit] for number, unit in found]


def fill(num_bytes: int) -> None:
    np.ones(num_bytes, np.uint8).sum()


def test_a_meter_sees_what_was_freed_before_it_is_read():
    meter = memory.PeakMeter()
    fill(200_000_000)
    (line,) = meter.lines()
    peak, before = megabytes(line)
    assert before + 180 < peak < before + 400


def test_a_meter_does_not_see_what_was_freed_before_it_was_made():
    fill(200_000_000)
    meter = memory.PeakMeter()
    fill(50_000_000)
    (line,) = meter.lines()
    peak, before = megabytes(line)
    assert before + 30 < peak < before + 150


def test_where_the_peak_cannot_begin_again_its_growth_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_CLEAR", tmp_path / "absent" / "clear_refs")
    fill(200_000_000)
    meter = memory.PeakMeter()
    fill(50_000_000)
    (line,) = meter.lines()
    assert "began" in line
    peak, growth = megabytes(line)
    assert peak > 200
    assert growth < 150
