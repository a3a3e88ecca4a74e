"""The time before anything useful happens, beside TensorFlow's own import.

    python -m tests.benchmarks.startup [--rounds=N]

On configs/demo.toml: from the start of `run` to its first logged step, of `run` on a
finished run to its table, and of `predict` on ten images to their classes. They take
turns with `import tensorflow`, which is the floor of all that computes.
"""

import contextlib
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

_CONFIG = "configs/demo.toml"
_SHORT = (
    "--set=seeds=[0]",
    "--set=teacher.train.epochs=1",
    "--set=student.train.epochs=1",
)
_EVERY_STEP = ("log_every_steps", "steps_per_loop", "steps_per_execution")
_NUM_IMAGES = 10


def main(words: Sequence[str]) -> None:
    """Prints medians of the seconds, and what comes on top of TensorFlow's import."""
    options = dict(word.removeprefix("--").split("=", 1) for word in words)
    with tempfile.TemporaryDirectory(prefix="alambic-") as name:
        folder = pathlib.Path(name)
        finished = folder / "finished"
        _trainer("run", finished, *_SHORT)
        images = folder / "images"
        images.mkdir()
        for i in range(_NUM_IMAGES):
            pixels = np.random.default_rng(i).integers(0, 256, (28, 28), np.uint8)
            Image.fromarray(pixels).save(images / f"{i}.png")
        timed: dict[str, Callable[[], float]] = {
            "import tensorflow": lambda: _secs([sys.executable, "-c", _IMPORT]),
            "run, to the first step": lambda: _first_step(folder / "new"),
            "run when it is finished": lambda: _secs(
                _words("run", finished, f"--config={_CONFIG}", *_SHORT)
            ),
            "predict of ten images": lambda: _secs(
                _words("predict", finished, str(images))
            ),
        }
        rounds = [
            {title: time_one() for title, time_one in timed.items()}
            for _ in range(int(options.get("rounds", 7)))
        ]
    for title in timed:
        secs = [each[title] for each in rounds]
        ours = [each[title] - each["import tensorflow"] for each in rounds]
        print(
            f"{title}: {statistics.median(secs):.2f} s ({min(secs):.2f} - "
            f"{max(secs):.2f}), {statistics.median(ours):.2f} s above the import"
        )


_IMPORT = "import tensorflow"


def _words(command: str, workdir: pathlib.Path, *more: str) -> list[str]:
    words = [sys.executable, "-m", "trainer", command]
    return [*words, f"--workdir={workdir}", *more]


def _trainer(command: str, workdir: pathlib.Path, *more: str) -> None:
    words = _words(command, workdir, f"--config={_CONFIG}", *more)
    subprocess.run(words, check=True, capture_output=True)


def _secs(words: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - started


def _first_step(workdir: pathlib.Path) -> float:
    """The seconds until the first step is logged; the run is ended then."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(workdir)
    each = [f"--set=runtime.{name}=1" for name in _EVERY_STEP]
    words = _words("run", workdir, f"--config={_CONFIG}", *_SHORT, *each)
    started = time.perf_counter()
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "step 1/" in line:
                secs = time.perf_counter() - started
                process.kill()
                return secs
        raise ChildProcessError(f"run ended with {process.wait()} before a step")


if __name__ == "__main__":
    main(sys.argv[1:])
