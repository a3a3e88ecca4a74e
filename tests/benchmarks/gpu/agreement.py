"""Numbers: losses against those of a CPU, and sums over devices."""

import dataclasses
import pathlib
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from tests.benchmarks.gpu import placement
from tests.benchmarks.gpu.findings import Findings
from tests.helpers import golden_losses, whole_run
from trainer import config, stages
from trainer.devices import compilation, gpu_facts

# Relative, of a loss; on a CPU those of the two others are 0.0011 and 0.0001.
BOUNDS = {
    "float32": golden_losses.RTOL,
    "mixed_bfloat16": 0.01,
    "mixed_float16": 0.002,
}
_SUMMED = 1000  # floats that devices sum; the whole numbers below it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """A way to compute the losses that are known."""

    name: str
    precision: str = "float32"
    xla: str = "off"
    devices: Sequence[str]


def compare(
    findings: Findings, *, num_logical_cpus: int, tfds_dir: str, small: bool
) -> None:
    """Losses in each precision, with and without XLA, on one device and on all.

    A small form compiles one variant alone, and trains the smallest network.
    """
    # The products of TF32 have mantissas of 11 bits.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    devices = placement.names(num_logical_cpus)
    for variant in variants(devices, compiles=not small):
        _compare(findings, variant, tfds_dir, small=small)
    if len(devices) > 1:
        findings.add("sums", devices=len(devices), error=_error_of_sum(devices))


def compare_halves(findings: Findings, *, tfds_dir: str, small: bool) -> None:
    """Losses of one device that is cut into two."""
    tf.config.experimental.enable_tensor_float_32_execution(False)
    halves = placement.halves()
    variant = Variant(
        name="two halves of one device", xla=_xla(wanted=not small), devices=halves
    )
    _compare(findings, variant, tfds_dir, small=small)


def variants(devices: Sequence[str], *, compiles: bool) -> Iterator[Variant]:
    """All ways that these devices can go; `compiles` those with a choice by XLA."""
    one = devices[:1]
    for xla in sorted({"off", _xla(wanted=True)}):
        yield Variant(name="one device", xla=xla, devices=one)
    xla = _xla(wanted=compiles)
    for precision in ("mixed_bfloat16", "mixed_float16"):
        yield Variant(name="one device", precision=precision, xla=xla, devices=one)
    # The batch of 24 is shared equally.
    count = max(n for n in range(1, len(devices) + 1) if 24 % n == 0)
    if count > 1:
        yield Variant(name=f"{count} devices", xla=xla, devices=devices[:count])


def _xla(*, wanted: bool) -> str:
    return "on" if wanted and not compilation.xla_problem(gpu_facts.seen()) else "off"


def _compare(
    findings: Findings, variant: Variant, tfds_dir: str, *, small: bool
) -> None:
    trained = ("baseline",) if small else tuple(golden_losses.STAGES)
    with tempfile.TemporaryDirectory(prefix="alambic-") as name:
        folder = pathlib.Path(name)
        losses = _losses(folder, variant, tfds_dir, trained)
    golden = golden_losses.golden()
    errors = {
        training: float(np.max(np.abs(np.divide(values, golden[training]) - 1)))
        for training, values in losses.items()
    }
    findings.add(
        "losses",
        name=variant.name,
        precision=variant.precision,
        xla=variant.xla,
        error=max(errors.values()),
        errors=errors,
        bound=BOUNDS[variant.precision],
    )


def _losses(
    folder: pathlib.Path, variant: Variant, tfds_dir: str, trained: Sequence[str]
) -> dict[str, list[float]]:
    settings = config.load(
        str(whole_run.write_config(folder, tfds_dir)),
        [
            *golden_losses.SETTINGS,
            f"runtime.precision='{variant.precision}'",
            f"runtime.xla='{variant.xla}'",
        ],
    )
    strategy = placement.strategy(tuple(variant.devices))
    session = whole_run.session(settings, folder / "workdir", strategy)
    for stage in trained:
        stages.STAGES[stage](session)
    return golden_losses.of_workdir(folder / "workdir", trained)


def _error_of_sum(devices: tuple[str, ...]) -> float:
    """The largest error of an all-reduce of whole numbers, whose sum is exact."""
    strategy = placement.strategy(devices)
    known = np.arange(_SUMMED, dtype=np.float32)

    @tf.function(autograph=False)
    def add() -> tf.Tensor:
        def on_replica() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            rank = tf.cast(context.replica_id_in_sync_group, tf.float32)
            return context.all_reduce("sum", (rank + 1) * known)

        return strategy.experimental_local_results(strategy.run(on_replica))

    count = len(devices)
    expected = count * (count + 1) / 2 * known
    return max(float(np.max(np.abs(total.numpy() - expected))) for total in add())
