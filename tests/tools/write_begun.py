"""Writes what tests/runs/test_begun_before.py opens: work that an earlier tree began.

    python -m tests.tools.write_begun FOLDER

writes FOLDER/run.tar.gz, registry.tar.gz, study.tar.gz and sweep.tar.gz, each with its
config and its data, in about two minutes. Those in tests/golden/begun were written by
the tree of 7db792c, before its packages were divided into wings.

They stay as they are: a tree that cannot go on from them has lost somebody's work. When
a format changes on purpose, and the tree still reads the one before, write further ones
into a folder beside these, with a checkout of the last tree that wrote the old format,
and have the test open both. What writes them is the command line alone, so that this
file runs in older and newer trees alike.
"""

import gzip
import io
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

REPOSITORY = pathlib.Path(__file__).parents[2]
PICTURE = re.compile(rb"(?<=data:image/png;base64,)[A-Za-z0-9+/=]+")
WRITTEN_SECS = 1_760_000_000  # of every file: archives keep whole seconds

SPLITS = """
train_split = "train[:60%]"
validation_split = "train[60%:80%]"
test_split = "train[80%:]"
"""
RUNTIME = """
[runtime]
steps_per_loop = 2
log_every_steps = 2
eval_every_steps = 20
save_every_steps = 20
eval_batch_size = 32
"""

# Images, with two views of each on disk, and all that a training carries from step to
# step: moments, averages, masks of dropout, the place in a schedule.
RUN = f"""
name = "begun"
seeds = [0]

[data]
dataset = "folder:images"
image_size = 8
augment = "shift"
augment_options.max_pixels = 1
{SPLITS}
[teacher]
model = "cnn"
options.filters = [4]
min_accuracy = 0.0
train = {{global_batch_size = 12, steps = 40, learning_rate = 0.03}}

[student]
model = "mlp"
options = {{hidden_sizes = [6], dropout = 0.1}}

[student.train]
global_batch_size = 12
steps = 160
learning_rate = 0.01
schedule = "cosine"
clip_norm = 5.0
ema = 0.9

[distill]
soft_targets = "cached"
views = 2

[registry]
root = "registry"
{RUNTIME}"""

TABLE = f"""
name = "points"
seeds = [0]

[data]
dataset = "csv:points.csv"
{SPLITS}
[teacher]
model = "mlp"
options.hidden_sizes = [8]
min_accuracy = 0.0
train = {{global_batch_size = 16, steps = 40, learning_rate = 0.03}}

[student]
model = "mlp"
options = {{hidden_sizes = [4], dropout = 0.1}}
train = {{global_batch_size = 16, steps = 40, learning_rate = 0.03}}

[distill]
soft_targets = "cached"
{RUNTIME}"""

# Its soft targets are the two largest logits and a tail.
STUDY = f"""{TABLE}
[study.grid]
"distill.alpha" = [0.5, 0.9]
"""
STUDY = STUDY.replace('"cached"', '"cached"\ntop_k = 2')

SWEEP = f"""{TABLE}
[sweep]
trials = 3
seed = 1

[sweep.space]
"distill.temperature" = {{low = 1, high = 20, log = true}}
"student.options.hidden_sizes" = [[4], [6]]
"""


def main(folder: pathlib.Path) -> None:
    """Writes all archives into `folder`, with the tree that this file is of."""
    folder.mkdir(parents=True, exist_ok=True)
    for write in (write_run, write_study, write_sweep):
        with tempfile.TemporaryDirectory() as name:
            write(pathlib.Path(name), folder)


def write_run(place: pathlib.Path, folder: pathlib.Path) -> None:
    """A run stopped in its student's training, and two versions of how it ends."""
    draw_images(place / "images")
    (place / "run.toml").write_text(RUN)
    student = place / "workdir/student/seed-0"
    stop(place, "run", lambda: list(student.glob("checkpoints/step-*")))
    if (student / "model.keras").exists():
        sys.exit("the student was finished before it was stopped; write it again")
    archive(folder / "run.tar.gz", place, ["images", "run.toml", "workdir"])
    do(place, "run")
    do(place, "run", "registry", "register")
    do(place, "run", "registry", "register", "--set=export.role='baseline'")
    do(place, "run", "registry", "promote", "begun@1")
    archive(folder / "registry.tar.gz", place, ["registry"])


def write_study(place: pathlib.Path, folder: pathlib.Path) -> None:
    """A study of two cells, of which the first has ended."""
    write_table(place / "points.csv")
    (place / "study.toml").write_text(STUDY)
    study = place / "workdir/study.json"

    def is_one_over() -> bool:
        return study.exists() and '"finished"' in study.read_text()

    stop(place, "study", is_one_over)
    if (place / "workdir/cells/alpha=0.9/student").exists():
        sys.exit("the study's second cell trained before it was stopped; try again")
    archive(folder / "study.tar.gz", place, ["points.csv", "study.toml", "workdir"])


def write_sweep(place: pathlib.Path, folder: pathlib.Path) -> None:
    """A sweep of three trials, of which two have ended."""
    write_table(place / "points.csv")
    (place / "sweep.toml").write_text(SWEEP)
    stop(place, "sweep", (place / "workdir/cells/trial-002").exists)
    archive(folder / "sweep.tar.gz", place, ["points.csv", "sweep.toml", "workdir"])


def draw_images(folder: pathlib.Path) -> None:
    """Sixty squares of noise, each class brightest in another part."""
    rng = np.random.default_rng(0)
    for i in range(60):
        label = i % 3
        pixels = rng.integers(0, 100, (8, 8), dtype=np.uint8)
        pixels[:, 2 * label + 1 : 2 * label + 3] += 150
        path = folder / f"class_{label}" / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        os.utime(path, (WRITTEN_SECS, WRITTEN_SECS))


def write_table(path: pathlib.Path) -> None:
    """Points in the plane, in three classes."""
    rng = random.Random(0)
    points = [(rng.gauss(0, 1), rng.gauss(0, 1)) for _ in range(200)]
    rows = [f"{x:.6f},{y:.6f},{'abc'[(x > 0) + (y > 0)]}" for x, y in points]
    path.write_text("\n".join(["x,y,label", *rows]) + "\n")
    os.utime(path, (WRITTEN_SECS, WRITTEN_SECS))


def start(place: pathlib.Path, config: str, *words: str) -> subprocess.Popen:
    """The trainer at work in `place`, where all paths are relative."""
    own = {"PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "trainer", *(words or (config,))),
            *(f"--config={config}.toml", "--workdir=workdir"),
        ],
        cwd=place,
        env=os.environ | own,
    )


def do(place: pathlib.Path, config: str, *words: str) -> None:
    """Has a command end well."""
    code = start(place, config, *words).wait()
    if code:
        sys.exit(f"{words or config} must end with 0, got {code}")


def stop(place: pathlib.Path, config: str, is_time: Callable[[], object]) -> None:
    """Begins a command and asks it to end once it is time."""
    process = start(place, config)
    while not is_time():
        if process.poll() is not None:
            sys.exit(f"{config} ended with {process.returncode} before it was stopped")
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    if process.wait() != 128 + signal.SIGTERM:
        sys.exit(f"{config} must be stopped, got exit code {process.returncode}")


def archive(path: pathlib.Path, place: pathlib.Path, names: list[str]) -> None:
    """Packs files of `place`; the same ones give the same bytes.

    Without the pictures of reports, which would be most of it, and without the files
    of TensorBoard, which have a host's name and are begun anew by every process.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        files = [
            file for name in names for file in [place / name, *found(place / name)]
        ]
        for file in filter(pathlib.Path.is_file, files):
            info = tarfile.TarInfo(str(file.relative_to(place)))
            content = PICTURE.sub(b"", file.read_bytes())
            info.size, info.mtime, info.mode = len(content), WRITTEN_SECS, 0o644
            tar.addfile(info, io.BytesIO(content))
    path.write_bytes(gzip.compress(packed.getvalue(), mtime=0))


def found(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files of a folder that are packed, in an order that every disk has."""
    left_out = ("tensorboard/*", "report/*.png")
    return sorted(
        file for file in folder.rglob("*") if not any(map(file.match, left_out))
    )


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
