"""The throughput benchmark's tables in Markdown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tests.benchmarks.growth import Growth
from tests.benchmarks.targets import Verdict

_LETTERS = {"ours": "a", "keras": "b", "example": "c", "floor": "d", "matmul": "e"}


def contender_lines(
    rows: Iterable[Mapping[str, Any]], titles: Mapping[str, str]
) -> Iterator[str]:
    """All contenders, a row each; `titles` are those of the workloads."""
    yield (
        "| workload | contender | precision | examples/s (min - max) | steps/s "
        "| of matmul peak | peak memory | first step | others |"
    )
    yield "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for row in rows:
        if "steps_per_sec" in row:
            title = f"{row['workload']} {titles[row['workload']]}"
            if row["contender"] == "matmul":
                title = "matrix product"
            yield f"| {title} | {_contender(row)} | {' | '.join(_cells(row))} |"


def target_lines(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """What was asked for, what came, and whether that is enough."""
    yield "| target | bound | value | |"
    yield "| --- | ---: | ---: | --- |"
    for each in verdicts:
        sign = "at most" if each.target.at_most else "at least"
        value = "" if each.value is None else f"{each.value:.3g}"
        yield (
            f"| {each.target.name} | {sign} {each.target.bound:g} | {value} "
            f"| {each.verdict} |"
        )


def growth_lines(growths: Sequence[Growth]) -> Iterator[str]:
    """Costs against sizes, and which of them grow faster than the size."""
    yield "| what grows | size | examples/s | cost grows as size to the | |"
    yield "| --- | ---: | ---: | ---: | --- |"
    for growth in growths:
        exponents = ["", *(f"{each:.2f}" for each in growth.exponents)]
        for i, size in enumerate(growth.sizes):
            mark = "super-linear" if i and growth.is_super_linear(i) else ""
            rate = f"{growth.examples_per_sec[i]:,.0f}"
            yield f"| {growth.name} | {size:,} | {rate} | {exponents[i]} | {mark} |"


def _contender(row: Mapping[str, Any]) -> str:
    name = row["contender"]
    letter = _LETTERS[name.partition(",")[0]]
    notes = [f"({letter}) {name}"]
    if "way" in row:
        notes.append(row["way"])
    if "tuning" in row:
        tuning = row["tuning"]
        notes.append("XLA" if tuning["jit_compile"] else "no XLA")
        notes.append(f"{tuning['steps_per_execution']} at a time")
        notes.append("tf.data" if tuning["tf_data"] else "arrays")
    if "compiled" in row:
        notes += [
            f"{part} {1000 * row['part_secs'][part]:.3g} ms ({how or 'no XLA'})"
            for part, how in row["compiled"].items()
        ]
    if "all_reduce_share" in row:
        notes.append(f"all-reduce {row['all_reduce_share']:.0%}")
    return ", ".join(notes)


def _cells(row: Mapping[str, Any]) -> list[str]:
    share = f"{row['peak_share']:.1%}" if "peak_share" in row else ""
    rate = row["examples_per_sec"]
    times = sorted(row["secs"])
    per_step = rate / row["steps_per_sec"]
    rates = f"{rate:,.0f} ({per_step / times[-1]:,.0f} - {per_step / times[0]:,.0f})"
    if row["contender"] == "matmul":
        rates = f"{row['flops_per_sec'] / 1e9:,.0f} GFLOP/s"
    first = f"{row['first_step_secs']:.1f} s" if "first_step_secs" in row else ""
    return [
        row["precision"],
        rates,
        f"{row['steps_per_sec']:,.4g}",
        share,
        f"{row['peak_bytes'] / 1e6:,.0f} MB",
        first,
        f"{max(row['others']):.0%}",
    ]
