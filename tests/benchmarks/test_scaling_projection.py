"""The projection of docs/scaling.md against numbers worked out by hand."""

import pytest

from tests.benchmarks import projection

LINK = projection.Link(name="a gigabyte a second", bytes_per_sec=1e9, hop_secs=1e-4)


@pytest.mark.parametrize(
    ("num_replicas", "sent", "secs"),
    [
        (1, 0, 0),
        # 8 MB in halves: each replica sends 4 MB, twice; 8 ms and 2 hops.
        (2, 8e6, 0.0082),
        # In quarters of 2 MB: 6 hops of 2 ms and 0.1 ms.
        (4, 12e6, 0.0126),
        # In parts of 1 MB: 14 hops of 1 ms and 0.1 ms.
        (8, 14e6, 0.0154),
    ],
)
def test_a_ring_passes_parts_on_in_hops(num_replicas, sent, secs):
    assert projection.bytes_sent(8e6, num_replicas) == pytest.approx(sent)
    got = projection.exchange_secs(8e6, num_replicas, LINK)
    assert got == pytest.approx(secs)


def test_efficiency_is_what_computing_takes_of_a_step():
    assert projection.efficiency(0.05, 0.0) == 1
    assert projection.efficiency(0.03, 0.01) == pytest.approx(0.75)


def test_every_row_is_marked_and_a_known_one_has_known_numbers():
    student = projection.Student(
        name="ResNet-18", num_floats=11_689_512, compute_secs=0.05
    )
    rows = [line for line in projection.lines([student]) if line.endswith("% |")]
    assert len(rows) == 3 * 4
    assert all(row.startswith("| projection |") for row in rows)
    # 1.75 * 46.758 MB / 11 GB/s = 7.44 ms; 14 hops of 10 us = 0.14 ms; 50 / 57.58.
    assert (
        "| projection | ResNet-18 | 100 Gb/s RoCE or InfiniBand | 8 "
        "| 7.58 | 57.6 | 87% |"
    ) in rows
