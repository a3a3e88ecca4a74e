"""What was asked of GPUs, and whether the findings of the parts meet it."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.benchmarks.gpu import pairs, plan
from tests.benchmarks.targets import RATE, Target, Verdict, judged_value

_OVER_KERAS, _OVER_FLOOR = 1.0, 0.9
_EFFICIENCY, _ALL_REDUCE_SHARE = 0.9, 0.1
_GROWN_BYTES = 64e6  # of what a process holds, in which allocators round
_GROWN_DEVICE_BYTES, _GROWN_THREADS = 1e6, 4

Found = Mapping[str, Sequence[Mapping[str, Any]]]  # rows by their kind


def judged(found: Found, *, num_devices: int, small: bool) -> list[Verdict]:
    """The verdicts on all parts, of what is missing too."""
    return [
        *_of_numbers(found, num_devices=num_devices),
        *_of_speed(found, small=small),
        *_of_first_steps(found),
        *_of_scaling(found),
        *_of_soak(found),
    ]


def _of_numbers(found: Found, *, num_devices: int) -> Iterator[Verdict]:
    for row in found.get("losses", ()):
        name = f"losses, {row['name']}, {row['precision']}, XLA {row['xla']}"
        yield _at_most(f"{name}: largest relative error", row["error"], row["bound"])
    sums = [row["error"] for row in found.get("sums", ())]
    if sums or num_devices > 1:
        error = max(sums, default=None)
        yield _at_most("sum of whole numbers over all devices: error", error, 0.0)


def _of_speed(found: Found, *, small: bool) -> Iterator[Verdict]:
    compiled = "on" if _device(found).get("xla") else "off"
    rates = {
        (row["workload"], row["precision"], row["contender"]): row[RATE]
        for row in found.get("rows", ())
    }
    for name, (precision, cached) in itertools.product(
        pairs.chosen(small=small), pairs.cases(small=small)
    ):
        where = ", cached" if cached else ""
        ours = rates.get((name, precision, f"ours{where}, XLA {compiled}"))
        keras = [
            rates[key]
            for xla in ("on", "off")
            if (key := (name, precision, f"keras{where}, XLA {xla}")) in rates
        ]
        floor = rates.get((name, precision, f"floor{where}"))
        title = f"{name}{where} {precision}, XLA {compiled}"
        best = max(keras, default=None)
        yield _at_least(f"{title} / the best of Keras", ours, best, _OVER_KERAS)
        yield _at_least(f"{title} / its floor", ours, floor, _OVER_FLOOR)


def _of_first_steps(found: Found) -> Iterator[Verdict]:
    rows = found.get("first", ())
    secs = {(row["workload"], row["label"]): row["secs"] for row in rows}
    for name in dict.fromkeys(name for name, _ in secs):
        with_cache = secs.get((name, plan.CACHE))
        without = secs.get((name, plan.NO_CACHE))
        value = with_cache / without if with_cache and without else None
        yield _at_most(f"{name} first step with XLA's cache / without", value, 1.0)


def _of_scaling(found: Found) -> Iterator[Verdict]:
    rows = {
        (row["workload"], int(row["contender"].split()[1])): row
        for row in found.get("rows", ())
        if row["contender"].endswith(" devices")
    }
    for (name, count), row in rows.items():
        if count == 1:
            continue
        one = rows.get((name, 1))
        ideal = count * one[RATE] if one else None
        title = f"{name} on {count} devices"
        yield _at_least(f"{title} / {count} x one", row[RATE], ideal, _EFFICIENCY)
        share = row.get("all_reduce_share")
        yield _at_most(f"{title}: share of the all-reduce", share, _ALL_REDUCE_SHARE)


def _of_soak(found: Found) -> Iterator[Verdict]:
    marks = found.get("soak", ())
    grown: dict[str, float | None] = dict.fromkeys(("memory", "devices", "threads"))
    if len(marks) > 2:
        first, last = marks[1], marks[-1]
        grown["memory"] = last["resident_bytes"] - first["resident_bytes"]
        grown["devices"] = max(
            after - before
            for before, after in zip(
                first["device_bytes"], last["device_bytes"], strict=True
            )
        )
        grown["threads"] = last["threads"] - first["threads"]
    steps = f"{marks[-1]['step']:,} steps" if marks else "the soak"
    yield _at_most(f"{steps}: bytes grown", grown["memory"], _GROWN_BYTES)
    if _device(found).get("gpus"):
        title = f"{steps}: bytes grown on a device"
        yield _at_most(title, grown["devices"], _GROWN_DEVICE_BYTES)
    yield _at_most(f"{steps}: threads grown", grown["threads"], _GROWN_THREADS)


def _device(found: Found) -> Mapping[str, Any]:
    rows = found.get("devices", ())
    return rows[0] if rows else {}


def _at_least(
    name: str, value: float | None, over: float | None, bound: float
) -> Verdict:
    quotient = value / over if value is not None and over else None
    return judged_value(_target(name, bound, at_most=False), quotient)


def _at_most(name: str, value: float | None, bound: float) -> Verdict:
    return judged_value(_target(name, bound, at_most=True), value)


def _target(name: str, bound: float, *, at_most: bool) -> Target:
    return Target(name=name, figure="", of=("", "", ""), bound=bound, at_most=at_most)
