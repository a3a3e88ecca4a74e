"""One contender of tests/benchmarks/throughput.py, in a process of its own.

It makes ready what its --spec asks for, and takes its turns; see calls.py. Only the
trainer's process joins a cluster.
"""

import contextlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from absl import flags
from etils import epath

from tests.benchmarks import calls
from tests.benchmarks.specs import Spec
from tests.benchmarks.workloads import PHOTOGRAPHS, Workload
from trainer.cluster import termination, tf_config
from trainer.storage import workdir


def work(argv: list[str]) -> None:
    """Takes --workdir, where calls come, and --spec, a Spec in JSON."""
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "folder of the calls", flag_values=values)
    flags.DEFINE_string("spec", None, "a Spec in JSON", flag_values=values)
    values(argv)
    spec = Spec(**json.loads(values.spec))
    path = epath.Path(values.workdir)
    own = tf_config.read()
    with _ready(spec, path, own) as ready:
        from tests.benchmarks.ready import peak_bytes

        calls.serve(
            path,
            own.rank if own else 0,
            [ready.facts],
            lambda: [ready.turn() | {"peak_bytes": peak_bytes()}],
        )


@contextlib.contextmanager
def _ready(
    spec: Spec, path: epath.Path, own: tf_config.Cluster | None
) -> Iterator[Any]:
    workload = spec.work
    if spec.contender == "ours":
        with _ours(spec, workload, path, own) as ready:
            yield ready
    else:
        yield _other(spec, workload)


@contextlib.contextmanager
def _ours(
    spec: Spec, workload: Workload, path: epath.Path, own: tf_config.Cluster | None
) -> Iterator[Any]:
    prepared = pathlib.Path(spec.prepared)
    settings = workload.settings(prepared, precision=spec.precision, more=spec.settings)
    # A cached workload goes on where its preparation has left the teacher.
    if workload.cached:
        path = epath.Path(prepared) / workload.name
    elif own is None or own.is_chief:
        workdir.claim(path, settings)
    end = termination.Termination(grace_secs=25, watchdog_secs=1800)
    with end.listening():
        from tests.benchmarks import ours
        from trainer.session import open_session

        session = open_session(settings, path, own, end, command="throughput")
        with session.devices.workers.leaving_together(end):
            if workload.in_files:
                yield ours.reading(session, workload, turn_secs=spec.turn_secs)
            else:
                yield ours.distilling(session, workload, turn_secs=spec.turn_secs)


def _other(spec: Spec, workload: Workload) -> Any:
    from tests.benchmarks import floors, keras_fit, keras_models

    secs = spec.turn_secs
    photographs = str(pathlib.Path(spec.prepared) / PHOTOGRAPHS)
    if spec.contender == "matmul":
        return floors.matmul(spec.precision.removeprefix("mixed_"), turn_secs=secs)
    if workload.in_files:
        read = {"keras": keras_fit.reading, "floor": floors.decoding}[spec.contender]
        return read(photographs, workload, turn_secs=secs)
    prepared = pathlib.Path(spec.prepared)

    def pair() -> keras_models.Pair:
        return keras_models.pair(workload, prepared, precision=spec.precision)

    if spec.contender == "keras":
        tuning = keras_fit.Tuning(**spec.tuning)
        with keras_fit.scope(spec.num_devices):
            return keras_fit.fitting(pair(), workload, tuning, turn_secs=secs)
    if spec.contender == "search":
        return keras_fit.searching(pair, workload, turn_secs=secs)
    if spec.contender == "example":
        return keras_fit.example(pair(), workload, turn_secs=secs)
    return floors.networks(pair(), workload, turn_secs=secs)


if __name__ == "__main__":
    calls.run(work)
