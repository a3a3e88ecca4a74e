"""What steps should take on more GPUs than are here: a formula, not a measurement.

    step = compute + exchange
    exchange = 2 (N - 1) / N * bytes / bandwidth + 2 (N - 1) * latency

A ring of N replicas passes the flat vector on in 2 (N - 1) hops, of one N-th of it
each. The exchange follows the whole backward pass (trainer/train/step.py): none is
hidden behind computation. The batch of a replica stays the same, and so does the time
in which it computes; efficiency is compute / step.
"""

import dataclasses
from collections.abc import Iterator, Sequence

BYTES_OF_A_FLOAT = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Link:
    """What joins two neighbours of the ring. Assumed, not measured."""

    name: str
    bytes_per_sec: float  # in one direction, as a program gets it
    hop_secs: float  # from sending to receiving, without the bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Student:
    """A model in training, as far as its exchange goes."""

    name: str
    num_floats: int  # of the flat vector
    compute_secs: float  # of one replica's share of the batch. Assumed


LINKS = (
    Link(name="NVLink", bytes_per_sec=300e9, hop_secs=5e-6),
    Link(name="100 Gb/s RoCE or InfiniBand", bytes_per_sec=11e9, hop_secs=10e-6),
    Link(name="10 Gb/s Ethernet", bytes_per_sec=1.1e9, hop_secs=50e-6),
)
REPLICAS = (8, 16, 32, 64)


def bytes_sent(num_bytes: float, num_replicas: int) -> float:
    """By each replica of a ring for the sum of a vector of `num_bytes`."""
    return 2 * (num_replicas - 1) / num_replicas * num_bytes


def exchange_secs(num_bytes: float, num_replicas: int, link: Link) -> float:
    """For the sum of a vector of `num_bytes` on all replicas of a ring."""
    hops = 2 * (num_replicas - 1)
    sent = bytes_sent(num_bytes, num_replicas)
    return sent / link.bytes_per_sec + hops * link.hop_secs


def efficiency(compute_secs: float, exchange_secs: float) -> float:
    """The share of a step in which replicas compute."""
    return compute_secs / (compute_secs + exchange_secs)


def lines(students: Sequence[Student]) -> Iterator[str]:
    """The assumptions and the table, in Markdown; every row says what it is."""
    yield "Projection, nothing of it is measured. Assumed:"
    yield ""
    for link in LINKS:
        yield (
            f"- {link.name}: {link.bytes_per_sec / 1e9:g} GB/s between neighbours of "
            f"the ring, {link.hop_secs * 1e6:g} us a hop"
        )
    for student in students:
        yield (
            f"- {student.name}: {student.num_floats:,} floats, "
            f"{student.num_floats * BYTES_OF_A_FLOAT / 1e6:.1f} MB; "
            f"{student.compute_secs * 1e3:g} ms of computation a step, whatever N is"
        )
    yield ""
    yield "| | student | link | GPUs | exchange ms | step ms | efficiency |"
    yield "| --- | --- | --- | ---: | ---: | ---: | ---: |"
    for student in students:
        for link in LINKS:
            for num_replicas in REPLICAS:
                yield _row(student, link, num_replicas)


def _row(student: Student, link: Link, num_replicas: int) -> str:
    num_bytes = student.num_floats * BYTES_OF_A_FLOAT
    exchange = exchange_secs(num_bytes, num_replicas, link)
    share = efficiency(student.compute_secs, exchange)
    return (
        f"| projection | {student.name} | {link.name} | {num_replicas} "
        f"| {exchange * 1e3:.2f} | {(student.compute_secs + exchange) * 1e3:.1f} "
        f"| {share:.0%} |"
    )
