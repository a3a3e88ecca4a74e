"""The time that a student saves by a cache of soft targets: steps, and a whole run.

    TFDS_DATA_DIR=DIR python -m tests.benchmarks.cached [FILE.toml] [turns] [whole]

prints those parts, or both, for configs/keras_mnist_cnn.toml or another config, in
float32 on the CPU, without XLA. `turns`: both kinds of student step, compiled and warm
in one process, take turns; their ratio is of each pair of turns. `whole`: 10 epochs of
distillation from the first line to the last model, validation and checkpoints included,
once each way. The teacher has the weights that it begins with: how long it takes does
not depend on them.
"""

import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

from tests.helpers import whole_run
from trainer import config, stages
from trainer.devices import distribution
from trainer.session import Session, train_state
from trainer.stages import soft_targets
from trainer.stages.soft_targets import caches
from trainer.stages.student import distillation, online

_CONFIG = "configs/keras_mnist_cnn.toml"
_SETTINGS = (
    "seeds=[0]",
    "student.train.epochs=10",
    "teacher.train.epochs=0",
    "teacher.train.steps=1",  # it has to be there, and not to be good
    "runtime.precision='float32'",
    "runtime.xla='off'",
)
_ONLINE = "distill.soft_targets='online'"
_CACHED = "distill.soft_targets='cached'"
_ROUNDS = 15
_TURN_STEPS = 50


def main(names: Sequence[str]) -> None:
    """Prints the parts that are named, or both."""
    parts = {"turns": _turns, "whole": _whole}
    files = [name for name in names if name.endswith(".toml")]
    file = files[0] if files else _CONFIG
    asked = [name for name in names if name not in files]
    runtime = config.load(file, [*_SETTINGS, _ONLINE]).runtime
    strategy = distribution.strategy(runtime, num_workers=1)

    def session(soft_targets: str, folder: pathlib.Path) -> Session:
        settings = config.load(file, [*_SETTINGS, soft_targets])
        return whole_run.session(settings, folder, strategy)

    for name, part in parts.items():
        if name in (asked or parts):
            with tempfile.TemporaryDirectory(prefix="alambic-") as folder:
                part(session, pathlib.Path(folder))


def _turns(session: Callable[..., Session], folder: pathlib.Path) -> None:
    live = session(_ONLINE, folder / "online")
    stored = session(_CACHED, folder / "cached")
    runs = {"online": live, "cached": stored}
    steps = {}
    for name, run in runs.items():
        stages.STAGES["teacher"](run)
        if name == "cached":
            soft_targets.build(run)
        model = run.networks.build("student", 0)
        auxiliary = caches.open_caches(run.networks) if name == "cached" else None
        signals = (
            auxiliary.signals()
            if auxiliary
            else online(run.networks, run.networks.teachers)
        )
        training = distillation(run.networks, model, signals, 0, auxiliary=auxiliary)
        steps[name] = train_state.prepare(run.networks, training).compiled
        steps[name].run(_TURN_STEPS)
    pairs = [
        {
            name: _secs(lambda step=step: step.run(_TURN_STEPS))
            for name, step in steps.items()
        }
        for _ in range(_ROUNDS)
    ]
    ratios = sorted(pair["online"] / pair["cached"] for pair in pairs)
    for name in steps:
        each = statistics.median(pair[name] for pair in pairs) / _TURN_STEPS
        epoch = (
            each
            * len(live.datasets.transfer)
            / live.config.student.train.global_batch_size
        )
        print(f"{name}: {1000 * each:.2f} ms a step, {epoch:.1f} s an epoch")
    print(
        f"student epochs: {statistics.median(ratios):.1f} times as fast "
        f"({ratios[0]:.1f} - {ratios[-1]:.1f}, {_ROUNDS} pairs of {_TURN_STEPS} steps)"
    )


def _whole(session: Callable[..., Session], folder: pathlib.Path) -> None:
    secs = {}
    for name, signal in (("cached", _CACHED), ("online", _ONLINE)):
        run = session(signal, folder / name)
        stages.STAGES["teacher"](run)
        needed = ["student"] if name == "online" else ["soft-targets", "student"]
        secs[name] = sum(
            _secs(lambda stage=stage, run=run: stages.STAGES[stage](run))
            for stage in needed
        )
        print(f"{name}: {secs[name]:.0f} s for 10 epochs ({' and '.join(needed)})")
    print(f"whole distillation: {secs['online'] / secs['cached']:.1f} times as fast")


def _secs(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(sys.argv[1:])
