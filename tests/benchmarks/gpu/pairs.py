"""Pairs of networks that GPUs are timed with: the benchmark's, and one more."""

import dataclasses
import itertools
import pathlib

from tests.benchmarks.specs import BFLOAT16, FLOAT32, Spec
from tests.benchmarks.workloads import WORKLOADS, Workload

FLOAT16 = "mixed_float16"
RESNET = Workload(
    name="R1",
    title="ResNet50 -> MobileNetV2 at 224 px, batch 256",
    models=(
        *("teacher.model='ResNet50'", "teacher.options={}"),
        *("student.model='MobileNetV2'", "student.options={}"),
    ),
    batch_size=256,
    photographs=True,
    image_size=224,
    num_examples=1_024,
)
PAIRS = {name: WORKLOADS[name] for name in ("W1", "W4", "W5")} | {RESNET.name: RESNET}
# Of the small form, which a CPU computes in no time.
_SMALL = dataclasses.replace(
    WORKLOADS["W3"],
    title="784-10 -> 784-10-10-10, batch 32",
    cached=False,
    num_examples=512,
    way=(),
)


def chosen(*, small: bool) -> dict[str, Workload]:
    """The pairs of a form, by their names."""
    return {_SMALL.name: _SMALL} if small else PAIRS


def cases(*, small: bool) -> tuple[tuple[str, bool], ...]:
    """Precisions, online and cached, the more usual first."""
    precisions = (FLOAT32,) if small else (BFLOAT16, FLOAT32, FLOAT16)
    return tuple(itertools.product(precisions, (False, True)))


def cached(workload: Workload) -> Workload:
    """The same where the teacher has answered on disk."""
    return dataclasses.replace(workload, name=f"{workload.name}-cached", cached=True)


def folder(workload: Workload, prepared: pathlib.Path) -> pathlib.Path:
    """The workdir of a pair whose teacher has answered."""
    return prepared / workload.name


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairSpec(Spec):
    """A contender on a pair."""

    pair: Workload

    @property
    def work(self) -> Workload:
        """What it works on."""
        return self.pair


def widened(workload: Workload, batch_size: int) -> Workload:
    """The same with another global batch, and enough examples for one."""
    count = max(workload.num_examples, batch_size)
    return dataclasses.replace(workload, batch_size=batch_size, num_examples=count)
