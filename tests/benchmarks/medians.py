"""What several runs of the throughput benchmark say of its targets together.

    python -m tests.benchmarks.medians RUN.json RUN.json ...

takes the files that --json wrote, and prints each target's figure in every run, their
median, and whether that meets the target.
"""

import json
import pathlib
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.benchmarks.targets import TARGETS, judged_value


def lines(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The table in Markdown; a target that a run has not measured is left out."""
    values = [
        {told["target"]["name"]: told["value"] for told in run["targets"]}
        for run in runs
    ]
    heads = " | ".join(f"run {i + 1}" for i in range(len(runs)))
    yield f"| target | bound | {heads} | median | |"
    yield f"| --- | ---: {'| ---: ' * (len(runs) + 1)}| --- |"
    for target in TARGETS:
        found = [run.get(target.name) for run in values]
        measured = [value for value in found if value is not None]
        if len(measured) < len(runs):
            continue
        median = statistics.median(measured)
        sign = "at most" if target.at_most else "at least"
        cells = " | ".join(f"{value:.3g}" for value in [*measured, median])
        bound = f"{sign} {target.bound:g}"
        verdict = judged_value(target, median).verdict
        yield f"| {target.name} | {bound} | {cells} | {verdict} |"


if __name__ == "__main__":
    for line in lines([json.loads(pathlib.Path(p).read_text()) for p in sys.argv[1:]]):
        print(line)
