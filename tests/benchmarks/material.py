"""What contenders find ready: files that no clock covers.

    python -m tests.benchmarks.material FOLDER NAME ...

makes in FOLDER what the workloads of these names need: photographs as JPEG files in
`photographs`, the teacher and cache of a cached workload in `W2` or `W3`, and what
contenders other than the trainer start from as arrays in `W1`, `W2`, ...
"""

import json
import pathlib
import sys

import numpy as np

from tests.benchmarks import photographs
from tests.benchmarks.arrays import INPUTS, LABELS, LOGITS
from tests.benchmarks.ready import resident_bytes
from tests.benchmarks.workloads import CACHE, PHOTOGRAPHS, WORKLOADS, Workload
from tests.helpers import whole_run
from trainer import console, stages
from trainer.devices import distribution
from trainer.session import Session
from trainer.stages.soft_targets import caches
from trainer.storage import files

_NUM_OPENED = 32


def main(folder: pathlib.Path, names: list[str]) -> None:
    """Makes what the workloads of these names need."""
    chosen = [WORKLOADS[name] for name in names]
    if any(workload.photographs for workload in chosen):
        photographs.draw(folder / PHOTOGRAPHS)
    strategy = distribution.strategy(
        chosen[0].settings(folder, precision="float32").runtime, num_workers=1
    )
    for workload in chosen:
        settings = workload.settings(folder, precision="float32")
        session = whole_run.session(settings, folder / workload.name, strategy)
        if not workload.in_files:
            prepare(session, workload, folder / workload.name)
            if workload.cached:
                found = json.dumps(_cache_memory(session))
                (folder / workload.name / CACHE).write_text(found)


def prepare(session: Session, workload: Workload, folder: pathlib.Path) -> None:
    """Makes the arrays of a workload and, where it is cached, the teacher's answers."""
    folder.mkdir(exist_ok=True)
    examples = session.datasets.transfer
    np.save(folder / INPUTS, examples.read(np.arange(len(examples))))
    np.save(folder / LABELS, examples.labels)
    if workload.cached:
        stages.STAGES["teacher"](session)
        stages.STAGES["soft-targets"](session)
        gathered = caches.open_caches(session.networks).gather(
            examples.ids, 0 * examples.ids
        )
        (logits,) = gathered.values()
        np.save(folder / LOGITS, logits.numpy())


def _cache_memory(session: Session) -> dict[str, float]:
    """What one cache takes in memory, of many: what is around a small one is more."""
    before = resident_bytes()
    opened = [caches.open_caches(session.networks) for _ in range(_NUM_OPENED)]
    added = (resident_bytes() - before) / len(opened)
    on_disk = sum(
        map(files.num_bytes, files.walk(caches.root(session.config, session.path)))
    )
    return {"added_bytes": added, "bytes": on_disk}


if __name__ == "__main__":
    console.prepare()
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])
