"""Speed of one pair: the trainer, Keras and the networks alone, in turn."""

import functools
import gc
import itertools
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tests.benchmarks import figures, floors, keras_fit, keras_models, ours
from tests.benchmarks.gpu import device_memory, pairs, placement
from tests.benchmarks.gpu.findings import Findings
from tests.benchmarks.ready import Ready
from tests.benchmarks.specs import BFLOAT16, FLOAT32
from tests.benchmarks.turns import Turn
from tests.benchmarks.workloads import Workload
from tests.helpers import whole_run
from trainer.config import ConfigError
from trainer.devices import compilation, gpu_facts
from trainer.session import Session

_ROUNDS, _TURN_SECS = 3, 0.4
_PEAK_SIZES = (4096, 8192)  # of the square matrices of a GPU's peak
_CPU_SIZES = (256,)
_STEPS_PER_EXECUTION = 32  # of Keras, with which it is the quickest
_KEPT_SECS = 5.0  # of the budget, for the end of the process

Build = Callable[[], Ready]


def contest(
    findings: Findings, prepared: pathlib.Path, name: str, *, small: bool, secs: float
) -> None:
    """Every precision online and cached, as far as `secs` reach; the rest is told."""
    started = time.monotonic()
    workload = pairs.chosen(small=small)[name]
    device = placement.names(1)[0]
    strategy = placement.strategy((device,))
    turn_secs = 0.0 if small else _TURN_SECS
    longest = 0.0
    for precision, cached in pairs.cases(small=small):
        one = pairs.cached(workload) if cached else workload
        begun = time.monotonic()
        if begun - started + longest > secs - _KEPT_SECS:
            findings.add("skipped", workload=name, precision=precision, cached=cached)
            continue
        builds = _contenders(one, prepared, precision, strategy, turn_secs=turn_secs)
        if not cached and name == next(iter(pairs.chosen(small=small))):
            builds["matmul"] = functools.partial(
                floors.matmul,
                precision.removeprefix("mixed_"),
                turn_secs=turn_secs,
                sizes=_PEAK_SIZES if gpu_facts.seen().gpus else _CPU_SIZES,
            )
        _turns(findings, one, name, precision, builds, device)
        longest = max(longest, time.monotonic() - begun)
        gc.collect()


def scaling(
    findings: Findings, prepared: pathlib.Path, *, small: bool, num_devices: int
) -> None:
    """The trainer alone on all devices of this process, as many examples on each."""
    devices = placement.names(num_devices)
    strategy = placement.strategy(devices)
    gpus = bool(gpu_facts.seen().gpus)
    for workload in pairs.chosen(small=small).values():
        batch_size = workload.batch_size * len(devices)
        wider = pairs.widened(workload, batch_size)
        build = functools.partial(
            _ours,
            wider,
            prepared,
            BFLOAT16 if gpus else FLOAT32,
            strategy,
            "auto",
            turn_secs=0.0 if small else _TURN_SECS,
        )
        label = f"ours, {len(devices)} devices"
        _turns(
            findings,
            wider,
            workload.name,
            BFLOAT16 if gpus else FLOAT32,
            {label: build},
            devices[0],
        )
        gc.collect()


def first_step(
    findings: Findings,
    prepared: pathlib.Path,
    name: str,
    label: str,
    *,
    small: bool,
) -> None:
    """Seconds from the start of this process to the trainer's first step by XLA."""
    workload = pairs.chosen(small=small)[name]
    strategy = placement.strategy(placement.names(1)[:1])
    ready = _ours(workload, prepared, FLOAT32, strategy, "on", turn_secs=0.0)
    findings.add(
        "first", workload=name, label=label, secs=ready.facts["first_step_secs"]
    )


def _contenders(
    workload: Workload,
    prepared: pathlib.Path,
    precision: str,
    strategy: tf.distribute.Strategy,
    *,
    turn_secs: float,
) -> dict[str, Build]:
    where = ", cached" if workload.cached else ""
    pair = functools.partial(keras_models.pair, workload, prepared, precision=precision)
    ways = ["off"]
    if not compilation.xla_problem(gpu_facts.seen()):
        ways.insert(0, "on")
    builds: dict[str, Build] = {}
    for xla in ways:
        builds[f"ours{where}, XLA {xla}"] = functools.partial(
            _ours, workload, prepared, precision, strategy, xla, turn_secs=turn_secs
        )
    for xla in ways:
        tuning = keras_fit.Tuning(
            jit_compile=xla == "on", steps_per_execution=_STEPS_PER_EXECUTION
        )
        builds[f"keras{where}, XLA {xla}"] = functools.partial(
            _with_pair, keras_fit.fitting, pair, workload, tuning, turn_secs=turn_secs
        )
    builds[f"floor{where}"] = functools.partial(
        _with_pair, floors.networks, pair, workload, turn_secs=turn_secs
    )
    return builds


def _with_pair(
    contender: Callable[..., Ready],
    pair: Callable[[], keras_models.Pair],
    *arguments: Any,
    turn_secs: float,
) -> Ready:
    return contender(pair(), *arguments, turn_secs=turn_secs)


def _ours(
    workload: Workload,
    prepared: pathlib.Path,
    precision: str,
    strategy: tf.distribute.Strategy,
    xla: str,
    *,
    turn_secs: float,
) -> Ready:
    session = opened(workload, prepared, precision, strategy, xla)
    return ours.distilling(session, workload, turn_secs=turn_secs)


def opened(
    workload: Workload,
    prepared: pathlib.Path,
    precision: str,
    strategy: tf.distribute.Strategy,
    xla: str,
) -> Session:
    """A session of a pair; what the teacher has answered is in its folder."""
    more = [f"runtime.xla='{xla}'"]
    if workload.cached:  # as it has answered
        more.append(f"teacher.precision='{FLOAT32}'")
    settings = workload.settings(prepared, precision=precision, more=more)
    return whole_run.session(settings, pairs.folder(workload, prepared), strategy)


def _turns(
    findings: Findings,
    workload: Workload,
    name: str,
    precision: str,
    builds: Mapping[str, Build],
    device: str,
) -> None:
    """Rows of all contenders that can be built; of others their errors."""
    ready: dict[str, Ready] = {}
    sides: dict[str, list[Turn]] = {}
    peaks: dict[str, int] = {}
    for label, build in builds.items():
        try:
            with device_memory.peak(device) as peak:
                ready[label] = build()
        except (tf.errors.OpError, ConfigError, ValueError, TypeError) as error:
            what = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
            findings.add(
                "failed", workload=name, precision=precision, contender=label, told=what
            )
        else:
            peaks[label], sides[label] = peak.num_bytes, []
    for _, label in itertools.product(range(_ROUNDS), ready):
        with device_memory.peak(device) as peak:
            found = ready[label].turn()
        peaks[label] = max(peaks[label], peak.num_bytes)
        sides[label].append(
            Turn(found=[found | {"peak_bytes": peaks[label]}], others=0.0)
        )
    for label, side in sides.items():
        spec = pairs.PairSpec(
            workload=name,
            contender=label,
            prepared="",
            precision=precision,
            turn_secs=0.0,
            pair=workload,
        )
        findings.add("rows", **figures.row(spec, _told(ready[label]), side))


def _told(ready: Ready) -> dict[str, Any]:
    # Others have been in the process before, and the label says how it is compiled.
    left_out = ("first_step_secs", "way")
    return {k: v for k, v in ready.facts.items() if k not in left_out}
