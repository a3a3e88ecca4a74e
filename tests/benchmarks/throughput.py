"""How fast students learn here, against what a user would pick instead.

    python tests/benchmarks/throughput.py [--short] [--json=FILE] [W1 ... W7] [growth]

prints the tables of the workloads that are named, or of all and of the growth of costs,
in Markdown; it says on the way what it does. --short is W1 to W3 in float32 with 3
turns each. With TFDS_DATA_DIR the digits are MNIST's; without, or in the short mode,
the bundled ones. Nothing is downloaded.

Each contender is a process of its own, and those of a contest take turns: (a) the
trainer's compiled loop with its input pipeline; (b) Keras's Distiller, or plain fit on
stored soft targets, with the best of what a search tried; (c) the Keras example's
custom train_step; (d) the networks alone, without input, each compiled the best way;
(e) the product of square matrices. Figures are medians of turns. The share of the
matmul peak counts the operations of tests/benchmarks/flops.py. Memory is VmHWM of the
process; the first step is timed from its start, imports included - with several steps
per execution that is the first execution.
"""

import contextlib
import dataclasses
import functools
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags

if not __package__:  # run as a file
    sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from tests.benchmarks import figures, growth, starts, table, targets, turns
from tests.benchmarks.entries import CONTESTS, SHORT, Entries, Found
from tests.benchmarks.machine import machine
from tests.benchmarks.specs import Spec
from tests.benchmarks.targets import Key
from tests.benchmarks.workloads import BUNDLED, CACHE, DIGITS, WORKLOADS, digits

_GROWTH = "growth"
_CONTENDER = "tests.benchmarks.contender"
# A smaller cache is lost in what a process holds anyway.
_LEAST_CACHE_BYTES = 2**21

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is done."""

    short: bool
    rounds: int  # turns of each contender
    turn_secs: float
    patience_secs: float  # for quiet moments, each contest


_SHORT = Effort(short=True, rounds=3, turn_secs=0.5, patience_secs=0.0)
_FULL = Effort(short=False, rounds=5, turn_secs=1.5, patience_secs=60.0)


def main(argv: list[str]) -> None:
    """Prints the tables that are named, or all."""
    values = flags.FlagValues()
    flags.DEFINE_boolean("short", False, "W1 to W3, 3 turns", flag_values=values)
    flags.DEFINE_string("json", None, "a file for all figures", flag_values=values)
    flags.DEFINE_integer("rounds", None, "turns of each", flag_values=values)
    flags.DEFINE_float("turn_secs", None, "of a turn, about", flag_values=values)
    flags.DEFINE_float("patience_secs", None, "for quiet moments", flag_values=values)
    names = values(argv)[1:]
    usual = _SHORT if values.short else _FULL
    given = {n: getattr(values, n) for n in ("rounds", "turn_secs", "patience_secs")}
    effort = dataclasses.replace(
        usual, **{name: value for name, value in given.items() if value is not None}
    )
    known = SHORT if effort.short else (*WORKLOADS, _GROWTH)
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise SystemExit(
            f"parts must be of {', '.join(known)}, got {', '.join(unknown)}"
        )
    results = measured(names or known, effort)
    for line in lines(results):
        print(line, flush=True)
    if values.json:
        pathlib.Path(values.json).write_text(json.dumps(results, indent=1) + "\n")


def measured(names: Sequence[str], effort: Effort) -> dict[str, Any]:
    """All figures, as they are written in JSON."""
    began = time.monotonic()
    rows: dict[Key, Row] = {}
    growths: dict[str, Row] = {}
    with _prepared(names, effort) as prepared:
        search = functools.cache(functools.partial(_search, prepared, effort.turn_secs))
        entries = Entries(prepared, turn_secs=effort.turn_secs, search=search)
        for contest in CONTESTS:
            chosen = [name for name in contest if name in names]
            specs = entries.of(chosen, short=effort.short)
            if specs and not rows:
                specs.append(entries.matmul())
            rows |= {spec.key: row for spec, row in _contest(specs, effort)}
        caches = _cache_rows(prepared)
        if _GROWTH in names:
            specs = growth.specs(prepared, turn_secs=effort.turn_secs)
            found = _contest(list(specs.values()), effort)
            growths = {spec.label: row for spec, row in found}
    rows = figures.with_shares(rows) | caches | starts.rows(effort.rounds)
    return {
        "machine": machine(),
        "effort": dataclasses.asdict(effort),
        "secs": time.monotonic() - began,
        "rows": list(rows.values()),
        "targets": [
            dataclasses.asdict(targets.judged(target, rows))
            for target in targets.TARGETS
        ],
        "growth": [
            dataclasses.asdict(each)
            for each in (growth.grown(growths) if growths else [])
        ],
    }


def lines(results: dict[str, Any]) -> Iterator[str]:
    """All tables, from what `measured` gives."""
    where, effort = results["machine"], results["effort"]
    yield (
        f"{where['cores']} cores, {where['processor']}, {where['system']}; "
        f"{effort['rounds']} turns of each contender, {results['secs'] / 60:.0f} "
        "minutes in all"
    )
    titles = {name: workload.title for name, workload in WORKLOADS.items()}
    yield ""
    yield from table.contender_lines(results["rows"], titles)
    yield ""
    yield from table.target_lines(
        targets.Verdict(**told | {"target": targets.Target(**told["target"])})
        for told in results["targets"]
    )
    if results["growth"]:
        yield ""
        yield from table.growth_lines([growth.Growth(**g) for g in results["growth"]])


def _contest(specs: Sequence[Spec], effort: Effort) -> list[tuple[Spec, Row]]:
    """The row of each, once all have had their turns."""
    if not specs:
        return []
    with contextlib.ExitStack() as stack:
        groups = []
        for spec in specs:
            print(" ".join(spec.key), file=sys.stderr, flush=True)
            groups.append(stack.enter_context(_started(spec)))
        kept = turns.alternated(
            groups, rounds=effort.rounds, patience_secs=effort.patience_secs
        )
    sides = zip(*kept, strict=True)
    return [
        (spec, figures.row(spec, group.facts[0], side))
        for spec, group, side in zip(specs, groups, sides, strict=True)
    ]


def _started(spec: Spec) -> contextlib.AbstractContextManager[turns.Group]:
    return turns.started(spec.num_workers, [f"--spec={spec.text()}"], _CONTENDER)


def _search(prepared: str, turn_secs: float, workload: str, precision: str) -> Found:
    spec = Spec(
        workload=workload,
        contender="search",
        prepared=prepared,
        precision=precision,
        turn_secs=turn_secs,
    )
    print(" ".join(spec.key), file=sys.stderr, flush=True)
    with _started(spec) as group:
        found: Found = group.facts[0]["found"]
    return found


def _cache_rows(prepared: str) -> dict[Key, Row]:
    """What the preparation of W2 has found, of a cache that counts."""
    path = pathlib.Path(prepared) / "W2" / CACHE
    if not path.exists():
        return {}
    workload, precision, contender = targets.CACHE_OF_W2
    found = json.loads(path.read_text())
    if found["bytes"] < _LEAST_CACHE_BYTES:
        return {}
    named = {"workload": workload, "precision": precision, "contender": contender}
    return {targets.CACHE_OF_W2: named | found}


@contextlib.contextmanager
def _prepared(names: Sequence[str], effort: Effort) -> Iterator[str]:
    """The folder of tests/benchmarks/material.py for these workloads."""
    needed = {"W2" if name == _GROWTH else name for name in names}
    # The tuning of Keras on two devices is searched on one.
    if "W6" in needed:
        needed.add("W1")
    with tempfile.TemporaryDirectory(prefix="alambic-") as folder:
        # All of MNIST would have to be answered for a cache.
        chosen = BUNDLED if effort.short else digits()
        (pathlib.Path(folder) / DIGITS).write_text(chosen)
        subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.benchmarks.material",
                folder,
                *sorted(needed),
            ],
            stdout=sys.stderr,
            check=True,
        )
        yield folder


if __name__ == "__main__":
    main(sys.argv)
