"""The kit's page in Markdown, for BUILD.md."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from tests.benchmarks import table
from tests.benchmarks.gpu import pairs
from tests.benchmarks.targets import Target, Verdict


def lines(results: Mapping[str, Any]) -> Iterator[str]:
    """All tables, from the figures that are written in JSON."""
    found = results["found"]
    yield _where(results)
    yield ""
    yield "| part | | s |"
    yield "| --- | --- | ---: |"
    for part in results["parts"]:
        yield f"| {part['name']} | {part['end']} | {part['secs']:.0f} |"
    for part in results["parts"]:
        if part["end"] != "done" and part["told"]:
            yield from _fenced(part["name"], part["told"])
    yield ""
    every = pairs.chosen(small=results["small"])
    titles = {name: pair.title for name, pair in every.items()}
    yield from table.contender_lines(found.get("rows", ()), titles)
    yield ""
    yield from table.target_lines(
        Verdict(**told | {"target": Target(**told["target"])})
        for told in results["targets"]
    )
    yield from _left_out(found)
    for part in results["parts"]:
        if part["name"] == "doctor":
            yield from _fenced("doctor", part["told"])


def verdicts_as_json(verdicts: list[Verdict]) -> list[dict[str, Any]]:
    """As `lines` reads them."""
    return [dataclasses.asdict(each) for each in verdicts]


def _where(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    cores = f"{machine['cores']} cores of {machine['processor']}"
    (devices,) = results["found"].get("devices") or [{}]
    gpus = [gpu["name"] for gpu in devices.get("gpus", ())]
    what = f"{len(gpus)} x {gpus[0]}" if gpus else "no GPU: logical CPUs"
    return (
        f"{results['date']}, {what}, {cores}, "
        f"TensorFlow {devices.get('tensorflow', '?')}, {results['command']}, "
        f"{results['secs'] / 60:.1f} minutes"
    )


def _left_out(found: Mapping[str, Any]) -> Iterator[str]:
    for row in found.get("skipped", ()):
        where = "cached" if row["cached"] else "online"
        yield ""
        yield f"No time was left for {row['workload']} {row['precision']} {where}."
    for row in found.get("failed", ()):
        yield ""
        yield (
            f"{row['workload']} {row['precision']} {row['contender']} failed: "
            f"{row['told']}"
        )


def _fenced(title: str, text: str) -> Iterator[str]:
    yield from ("", f"{title}:", "", "```", *text.splitlines(), "```")
