"""What the pairs need on disk: digits, photographs, and answers of teachers."""

import dataclasses
import pathlib

import tensorflow as tf

from tests.benchmarks import material, photographs
from tests.benchmarks.gpu import pairs, placement
from tests.benchmarks.gpu.findings import Findings
from tests.benchmarks.workloads import BUNDLED, DIGITS, PHOTOGRAPHS
from tests.helpers import whole_run
from trainer.config import RuntimeConfig
from trainer.devices import compilation, gpu_facts


def prepare(
    findings: Findings, prepared: pathlib.Path, num_logical_cpus: int, *, small: bool
) -> None:
    """Makes it in the folder `prepared`, and tells of devices and pairs that are ready.

    Without GPUs there are logical CPUs in their place.
    """
    devices = _tell_devices(findings, num_logical_cpus)
    (prepared / DIGITS).write_text(BUNDLED)
    strategy = placement.strategy(devices[:1])
    workloads = pairs.chosen(small=small).values()
    if any(workload.photographs for workload in workloads):
        photographs.draw(prepared / PHOTOGRAPHS)
    for workload in workloads:
        for one in (workload, pairs.cached(workload)):
            settings = one.settings(prepared, precision="float32")
            folder = pairs.folder(one, prepared)
            session = whole_run.session(settings, folder, strategy)
            material.prepare(session, one, folder)
        findings.add("ready", workload=workload.name)


def _tell_devices(findings: Findings, num_logical_cpus: int) -> tuple[str, ...]:
    names = placement.names(num_logical_cpus)
    seen = gpu_facts.seen()
    gpus = [dataclasses.asdict(gpu) for gpu in seen.gpus]
    findings.add(
        "devices",
        names=names,
        gpus=gpus,
        tensorflow=tf.__version__,
        xla=compilation.compiles_with_xla(RuntimeConfig(), "student", seen),
        problem=compilation.xla_problem(seen),
    )
    return names
