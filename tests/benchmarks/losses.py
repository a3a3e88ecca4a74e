"""The time of a student's step with each loss, beside that with `kl`.

    python -m tests.benchmarks.losses [mini] [classes]

`mini` is the pair of configs/mnist_mini.toml, `classes` a larger one on rows of 1,000
classes; students learn from logits on disk, as by default. All steps are compiled
and warm in one process and take turns; the ratio is of the turns of one round.
"""

import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

import numpy as np

from tests.helpers import whole_run
from trainer import config
from trainer.config.losses import LOSSES
from trainer.devices import distribution
from trainer.session import train_state
from trainer.soft_targets import DummyTargets
from trainer.stages.soft_targets import formats
from trainer.stages.student import distillation
from trainer.train.step import Step

_ROUNDS = 15
_TURN_STEPS = {"mini": 200, "classes": 20}
_ROWS, _CLASSES, _FEATURES = 10_000, 1_000, 64

_TABLE = """
name = "classes"

[data]
dataset = "npz:{folder}/rows.npz"
train_split = "train[:80%]"
validation_split = "train[80%:90%]"
test_split = "train[90%:]"

[teacher]
model = "mlp"
options.hidden_sizes = [512]
train = {{global_batch_size = 96, epochs = 1}}

[student]
model = "mlp"
options.hidden_sizes = [1024, 1024]
train = {{global_batch_size = 96, epochs = 30}}
"""

# Those of the table, and standardised logits; embeddings come from disk too.
_LAYERS = "student_layer='embedding', teacher_layer='embedding'"
_TERMS = {
    name: f"{{loss='{name}'}}" for name, row in LOSSES.items() if not row.features
} | {
    "kl, standardised": "{loss='kl', standardize=true}",
    **{
        f"kl and {name}": f"{{loss='kl'}}, {{loss='{name}', {_LAYERS}}}"
        for name, row in LOSSES.items()
        if row.features and row.features != "maps"
    },
}


def main(names: Sequence[str]) -> None:
    """Prints the pairs that are named, or both."""
    with tempfile.TemporaryDirectory(prefix="alambic-") as folder:
        path = pathlib.Path(folder)
        pairs = {
            "mini": pathlib.Path("configs/mnist_mini.toml"),
            "classes": _table(path),
        }
        for name, file in pairs.items():
            if name in (names or pairs):
                print(f"{file.name}:")
                _compare(_steps(file, path / name), turn_steps=_TURN_STEPS[name])


def _table(folder: pathlib.Path) -> pathlib.Path:
    """The path of a config of rows with 1,000 classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(_ROWS) % _CLASSES
    rows = rng.normal(size=(_ROWS, _FEATURES)).astype(np.float32)
    np.savez(folder / "rows.npz", features=rows, label=labels)
    file = folder / "1,000 classes.toml"
    file.write_text(_TABLE.format(folder=folder))
    return file


def _steps(file: pathlib.Path, folder: pathlib.Path) -> dict[str, Step]:
    """A compiled step with each loss, after its first turn."""
    steps = {}
    strategy = distribution.strategy(config.load(str(file), []).runtime, num_workers=1)
    for name, term in _TERMS.items():
        settings = [f"distill={{terms=[{term}]}}", "distill.soft_targets='cached'"]
        if "teacher_layer" in term:
            settings.append("distill.cache_embedding=true")
        given = config.load(str(file), settings)
        run = whole_run.session(given, folder / name, strategy)
        kept = DummyTargets(formats.record_formats(run.networks), is_in_memory=True)
        spec = distillation(
            run.networks,
            run.networks.build("student", 0),
            kept.signals(),
            0,
            teachers=[run.networks.build("teacher", 0)],
            auxiliary=kept,
        )
        steps[name] = train_state.prepare(run.networks, spec).compiled
    return steps


def _compare(steps: Mapping[str, Step], *, turn_steps: int) -> None:
    # The first round compiles.
    rounds = [
        {name: _secs(step, turn_steps) for name, step in steps.items()}
        for _ in range(1 + _ROUNDS)
    ][1:]
    each = statistics.median(turns["kl"] for turns in rounds) / turn_steps
    print(f"  kl: {1000 * each:.2f} ms a step")
    for name in steps:
        if name == "kl":
            continue
        ratios = sorted(turns[name] / turns["kl"] for turns in rounds)
        print(
            f"  {name}: {statistics.median(ratios):.2f} times kl "
            f"({ratios[0]:.2f} - {ratios[-1]:.2f}, {_ROUNDS} rounds of {turn_steps} "
            "steps)"
        )


def _secs(step: Step, num_steps: int) -> float:
    started = time.perf_counter()
    step.run(num_steps)
    return time.perf_counter() - started


if __name__ == "__main__":
    main(sys.argv[1:])
