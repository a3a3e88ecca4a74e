"""From the turns of contenders to the figures of a table."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks.specs import Spec
from tests.benchmarks.targets import Key
from tests.benchmarks.turns import Turn

_TOLD = ("first_step_secs", "tuning", "compiled", "traces", "size", "way")


def row(spec: Spec, facts: Mapping[str, Any], side: Sequence[Turn]) -> dict[str, Any]:
    """The medians over a contender's turns, and what it told of itself."""
    found = [turn.found[0] for turn in side]
    secs = [each["secs"] for each in found]
    median = statistics.median(secs)
    counted = {name: facts[name] for name in _TOLD if name in facts}
    if "all_reduce_secs" in found[0]:
        share = statistics.median(e["all_reduce_secs"] / e["secs"] for e in found)
        counted["all_reduce_share"] = share
    if "compiled" in facts:
        counted["part_secs"] = {
            part: statistics.median(each[f"{part}_secs"] for each in found)
            for part in facts["compiled"]
        }
    workload, precision, contender = spec.key
    return {
        "workload": workload,
        "precision": precision,
        "contender": contender,
        "secs": secs,
        "others": [turn.others for turn in side],
        "examples_per_sec": spec.work.batch_size / median,
        "steps_per_sec": 1 / median,
        "peak_bytes": max(each["peak_bytes"] for each in found),
        "flops_per_sec": facts["flops"] / median,
        **counted,
    }


def with_shares(rows: Mapping[Key, dict[str, Any]]) -> dict[Key, dict[str, Any]]:
    """Each row with its share of the matmul peak in its precision, if that is known."""
    peaks = {
        precision: found["flops_per_sec"]
        for (_, precision, contender), found in rows.items()
        if contender == "matmul"
    }
    return {
        key: found | {"peak_share": found["flops_per_sec"] / peaks[key[1]]}
        if key[1] in peaks and found["flops_per_sec"]
        else found
        for key, found in rows.items()
    }
