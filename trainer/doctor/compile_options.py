"""The ways to compile a student's step, and which of them is the quickest here."""

import dataclasses
import gc
import math
from collections.abc import Callable, Iterator
from typing import Literal

import tensorflow as tf

from trainer.config import Config, RuntimeConfig, loop_steps
from trainer.devices import compilation, gpu_facts
from trainer.doctor import dry_run
from trainer.doctor.diagnostics import sentence
from trainer.doctor.dry_run import DryRun
from trainer.session import Session
from trainer.session.train_state import TrainSpec

_PROGRAM_BYTES = 2**26  # of the inputs of a program's batches, at most


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompileOptions:
    """Compile options: settings of the runtime section."""

    xla: Literal["on", "off", "teacher", "student"]
    steps_per_execution: int = 1

    @property
    def text(self) -> str:
        """The options in words."""
        compiled = compilation.describe_xla(RuntimeConfig(xla=self.xla))
        if self.steps_per_execution == 1:
            return compiled
        return f"{compiled}, {self.steps_per_execution} steps a program"

    @property
    def flags(self) -> str:
        """The flags of the command line that choose these options."""
        return (
            f"--set='runtime.xla=\"{self.xla}\"' "
            f"--set=runtime.steps_per_execution={self.steps_per_execution}"
        )

    def apply_to(self, runtime: RuntimeConfig) -> RuntimeConfig:
        """The section with this way in it."""
        return dataclasses.replace(
            runtime, xla=self.xla, steps_per_execution=self.steps_per_execution
        )


def compare(
    session: Session,
    make_training: Callable[[Session], TrainSpec],
    *,
    num_replicas: int,
    is_live: bool,
) -> Iterator[str]:
    """Takes a few steps of the training in each way; tells the times and the quickest.

    Its folder must hold nothing. A run has `num_replicas`, and teachers in its step
    where it `is_live`. A way that the devices cannot go is told as such. So few steps
    mostly find their batches ready: where the input is slower than the step, no way to
    compile makes a run quicker.
    """
    found: dict[CompileOptions, DryRun] = {}
    most = _most_steps(session.config, make_training(session))
    for way in _all_options(most if num_replicas == 1 else 1, is_live=is_live):
        tuned = session.with_runtime(way.apply_to(session.config.runtime))
        training = make_training(tuned)
        gc.collect()  # of the way before
        try:
            tried = dry_run.dry_run(tuned, training)
        except tf.errors.OpError as error:
            yield f"{way.text}: {sentence(error)}"
            continue
        found[way] = tried
        yield (
            f"{way.text}: {1000 * tried.step_secs:.3g} ms a step (median of "
            f"{tried.loops}), the first after {tried.first_secs:.1f} s"
        )
    if not found:
        return
    quickest = min(found, key=lambda way: found[way].step_secs)
    yield f"quickest: {quickest.flags}"


def _all_options(most_steps: int, *, is_live: bool) -> Iterator[CompileOptions]:
    yield CompileOptions(xla="off")
    if compilation.xla_problem(gpu_facts.seen()):
        return  # it would end the process
    yield CompileOptions(xla="on")
    if is_live:
        yield CompileOptions(xla="teacher")
        yield CompileOptions(xla="student")
    if most_steps > 1:
        yield CompileOptions(xla="on", steps_per_execution=most_steps)


def _most_steps(config: Config, training: TrainSpec) -> int:
    """The most steps of a program that divide a loop and whose batches are small."""
    loop = loop_steps(config.runtime)
    (inputs,) = training.model.inputs
    of_batch = training.section.global_batch_size * math.prod(inputs.shape[1:])
    fitting = max(1, _PROGRAM_BYTES // (of_batch * tf.as_dtype(inputs.dtype).size))
    return max(n for n in range(1, loop + 1) if loop % n == 0 and n <= fitting)
