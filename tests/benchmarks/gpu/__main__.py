"""All that GPUs have to show, in one command: numbers, speed, scaling, a soak, doctor.

    python -m tests.benchmarks.gpu [--json=FILE] [--small] [PART ...]

runs the parts that are named, or all of them, and prints a page in Markdown.

  --json=FILE  also write all measurements to FILE
  --small      everything at the size of a test
  --help       this text

It needs at most 8 minutes on one GPU and 15 on several; without a GPU it uses two
logical CPUs. Each part is a process of its own, and one that fails or hangs leaves the
others their time. The exit code is 1 if a part or a target failed, and 2 if the
command line cannot be used. docs/gpu.md describes the parts.
"""

import collections
import datetime
import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from absl import flags

from tests.benchmarks import figures
from tests.benchmarks.gpu import page, plan, verdicts
from tests.benchmarks.gpu.processes import Outcome, Part, run
from tests.benchmarks.machine import machine


def main(argv: list[str]) -> int:
    """Runs all parts, prints the page and gives the exit code."""
    values = flags.FlagValues()
    flags.DEFINE_string("json", None, "a file for all figures", flag_values=values)
    flags.DEFINE_boolean("small", False, "the size of a test", flag_values=values)
    flags.DEFINE_boolean("help", False, "the usage", flag_values=values)
    try:
        names = values(argv)[1:]
    except flags.Error as error:
        return _refuse(str(error))
    if values.help:
        print(f"{(__doc__ or '').strip()}\n\nParts: {', '.join(plan.names())}")
        return 0
    if unknown := [name for name in names if name not in plan.names()]:
        return _refuse(f"{unknown[0]!r} is not one of {', '.join(plan.names())}")
    results = measured(names, small=values.small)
    results["command"] = " ".join(("python -m tests.benchmarks.gpu", *argv[1:]))
    if values.json:
        pathlib.Path(values.json).write_text(json.dumps(results, indent=1) + "\n")
    for line in page.lines(results):
        print(line, flush=True)
    failed = any(part["end"] != "done" for part in results["parts"])
    return int(failed or any(t["verdict"] != "met" for t in results["targets"]))


def _refuse(reason: str) -> int:
    usage = "see python -m tests.benchmarks.gpu --help"
    print(f"{reason.rstrip('.')}; {usage}", file=sys.stderr)
    return 2


def measured(names: Sequence[str], *, small: bool) -> dict[str, Any]:
    """All figures, as they are written in JSON."""
    started = time.monotonic()
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="alambic-") as name:
        folder = pathlib.Path(name)
        prepared = folder / "prepared"
        prepared.mkdir()
        material = plan.material(prepared, small=small)
        limit = plan.limit_secs(1) if not small else float("inf")
        outcomes.append(_told(material, folder, end=started + limit))
        (devices,) = outcomes[0].found.get("devices") or [{"names": [""], "gpus": []}]
        num_gpus, num_devices = len(devices["gpus"]), len(devices["names"])
        limit = plan.limit_secs(num_gpus) if not small else float("inf")
        for part in plan.parts(
            prepared, num_gpus=num_gpus, num_devices=num_devices, small=small
        ):
            if not names or part.name in names:
                outcomes.append(_told(part, folder, end=started + limit))
    found: dict[str, list[Any]] = collections.defaultdict(list)
    for outcome in outcomes:
        for kind, rows in outcome.found.items():
            found[kind] += rows
    keys = [(r["workload"], r["precision"], r["contender"]) for r in found["rows"]]
    shared = figures.with_shares(dict(zip(keys, found["rows"], strict=True)))
    found["rows"] = list(shared.values())
    targets = verdicts.judged(found, num_devices=num_devices, small=small)
    return {
        "date": datetime.date.today().isoformat(),
        "small": small,
        "machine": machine(),
        "secs": time.monotonic() - started,
        "parts": [
            {"name": o.name, "end": o.end, "secs": o.secs, "told": o.told}
            for o in outcomes
        ],
        "found": found,
        "targets": page.verdicts_as_json(targets),
    }


def _told(part: Part, folder: pathlib.Path, *, end: float) -> Outcome:
    outcome = run(part, folder, end=end)
    print(f"{part.name}: {outcome.end}", file=sys.stderr, flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main(sys.argv))
