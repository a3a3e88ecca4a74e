"""How training scales over processes: measured here, projected further.

    python -m tests.benchmarks.scaling [steps] [all_reduce] [projection]

prints those tables, or all, in Markdown. The contenders are groups of processes under
`python -m launch local`, which shares the cores among them; they take turns.
"""

import contextlib
import os
import statistics
import sys
from collections.abc import Iterator, Sequence

from absl import flags

from tests.benchmarks import projection, turns
from tests.benchmarks.turns import Group, Turn

_CONFIG = "--config=configs/mnist_mini.toml"
_STUDENTS = {
    "mlp [128]": (),
    "cnn [64, 128, 256]": (
        '--set=student.model="cnn"',
        "--set=student.options={filters=[64,128,256]}",
    ),
}
_DEMO_FLOATS = 101_777  # of the flat vector of mlp [128]
_RESNET18_FLOATS = 11_689_512  # its parameters, with 1000 classes
_VECTORS = {
    "mlp [128]": _DEMO_FLOATS,
    "1 MB": 250_000,
    "10 MB": 2_500_000,
    "ResNet-18": _RESNET18_FLOATS,
}


def main(argv: list[str]) -> None:
    """Prints the tables that are named, or all."""
    values = flags.FlagValues()
    flags.DEFINE_integer("rounds", 11, "turns of each contender", flag_values=values)
    flags.DEFINE_float(
        "patience_secs", 300.0, "for quiet moments, each contest", flag_values=values
    )
    flags.DEFINE_float(
        "compute_ms", 50.0, "a step of a ResNet-18, projected", flag_values=values
    )
    flags.DEFINE_float(
        "demo_compute_ms", 2.0, "a step of the demo's student", flag_values=values
    )
    names = values(argv)[1:]
    students = (
        projection.Student(
            name="ResNet-18",
            num_floats=_RESNET18_FLOATS,
            compute_secs=values.compute_ms / 1e3,
        ),
        projection.Student(
            name="mlp [128]",
            num_floats=_DEMO_FLOATS,
            compute_secs=values.demo_compute_ms / 1e3,
        ),
    )
    tables = {
        "steps": lambda: _steps(values.rounds, values.patience_secs),
        "all_reduce": lambda: _all_reduces(values.rounds, values.patience_secs),
        "projection": lambda: projection.lines(students),
    }
    for name in names or tables:
        for line in tables[name]():
            print(line, flush=True)
        print(flush=True)


def _steps(rounds: int, patience_secs: float) -> Iterator[str]:
    yield (
        "| student | floats | global batch | 1 process ms | 2 processes ms | speed-up "
        "| others |"
    )
    yield "| --- | ---: | ---: | --- | --- | --- | --- |"
    for name, settings in _STUDENTS.items():
        groups, found = _contest(
            (1, 2), settings, rounds=rounds, patience_secs=patience_secs
        )
        one, two = ([turn.found[0]["secs"] for turn in side] for side in found)
        facts = groups[0].facts[0]
        ratios = [a / b for a, b in zip(one, two, strict=True)]
        yield (
            f"| {name} | {facts['floats']:,} | {facts['global_batch_size']} "
            f"| {_ms(one)} | {_ms(two)} | {_spread(ratios)} "
            f"| {_others([*found[0], *found[1]])} |"
        )


def _all_reduces(rounds: int, patience_secs: float) -> Iterator[str]:
    yield (
        "| workers | vector | bytes | ms a call | MB sent a worker: formula, counted "
        "| GB/s | others |"
    )
    yield "| --- | --- | ---: | --- | --- | ---: | --- |"
    wanted = [f"--floats={size}" for size in _VECTORS.values()]
    groups, found = _contest((2, 4), wanted, rounds=rounds, patience_secs=patience_secs)
    num_cores = len(os.sched_getaffinity(0))  # as launch/shares.py counts them
    for group, side in zip(groups, found, strict=True):
        mark = "" if group.num_workers <= num_cores else ", oversubscribed"
        for i, (name, size) in enumerate(_VECTORS.items()):
            num_bytes = size * projection.BYTES_OF_A_FLOAT
            sent = projection.bytes_sent(num_bytes, group.num_workers)
            secs = [turn.found[i]["secs"] for turn in side]
            counted = statistics.median(turn.found[i]["counted_bytes"] for turn in side)
            yield (
                f"| {group.num_workers}{mark} | {name} | {num_bytes:,} | {_ms(secs)} "
                f"| {sent / 1e6:.2f}, {counted / 1e6:.2f} "
                f"| {sent / statistics.median(secs) / 1e9:.2f} | {_others(side)} |"
            )


def _contest(
    contenders: Sequence[int],
    arguments: Sequence[str],
    *,
    rounds: int,
    patience_secs: float,
) -> tuple[list[Group], list[tuple[Turn, ...]]]:
    """Groups of so many workers, ended now, and the kept turns of each."""
    with contextlib.ExitStack() as stack:
        groups = [
            stack.enter_context(turns.started(num_workers, [_CONFIG, *arguments]))
            for num_workers in contenders
        ]
        kept = turns.alternated(groups, rounds=rounds, patience_secs=patience_secs)
    return groups, list(zip(*kept, strict=True))


def _ms(secs: Sequence[float]) -> str:
    return _spread([each * 1e3 for each in secs])


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} - {max(values):.2f})"


def _others(side: Sequence[Turn]) -> str:
    shares = [turn.others for turn in side]
    return f"{statistics.median(shares):.0%}, at most {max(shares):.0%}"


if __name__ == "__main__":
    main(sys.argv)
