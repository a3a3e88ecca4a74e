"""A run in gs://, by TensorFlow's own client, goes on after what befalls it there."""

import io
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from tests.helpers import bucket, configs, google_front, whole_run
from tests.helpers.repository import REPOSITORY

CONFIG = configs.WHOLE.replace("seeds = [0, 1]", "seeds = [0]").replace(
    "steps = 60", "steps = 40"
)
WORKDIR = "gs://bucket/run"
# A third of what each took when every file was looked for before it was read. Those
# for the lease do not count: they come with time.
MOST_REQUESTS, MOST_WHEN_FINISHED = 414, 58

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not google_front.OPENSSL, reason="needs openssl for a certificate"
    ),
]


@pytest.fixture
def served(tmp_path: pathlib.Path) -> Iterator[bucket.Bucket]:
    with bucket.serve(tmp_path) as found:
        yield found


def start(config: pathlib.Path, environment: dict[str, str]):
    return subprocess.Popen(
        [sys.executable, "-m", *whole_run.command("run", config, WORKDIR)],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def num_requests(served: bucket.Bucket) -> int:
    return sum(request.name != "run/lease.json" for request in served.requests)


def steps_of(content: bytes) -> list[int]:
    return [json.loads(line)["step"] for line in content.splitlines()]


def losses(content: bytes) -> list[float]:
    return [json.loads(line)["train/loss"] for line in content.splitlines()]


def logits(content: bytes) -> dict[str, np.ndarray]:
    arrays = np.load(io.BytesIO(content))
    return {name: arrays[name] for name in arrays if name.endswith("_logits")}


def test_a_run_in_a_bucket_is_killed_goes_on_and_asks_little(
    served, tmp_path, tfds_dir
):
    config = tmp_path / "small.toml"
    config.write_text(CONFIG.format(tfds_dir=tfds_dir))
    last = "run/teacher/checkpoints/step-00000040.npz"

    # Killed while it writes its last checkpoint.
    process = start(config, served.environment)
    served.before_write = lambda name: process.kill() if name == last else None
    told = process.communicate(timeout=300)[1]
    assert process.returncode == -9, told
    served.before_write = lambda name: None
    assert steps_of(served.read("run/teacher/metrics.jsonl")) == list(range(5, 41, 5))
    served.remove(last)  # which the killed process may have handed over
    assert "run/teacher/checkpoints/step-00000020.npz" in served.names()
    # As if it had been silent for long enough.
    assert served.remove("run/lease.json")

    # Of the next answers some fail, and one is false.
    served.fail, served.lies = 0.05, {last}
    assert whole_run.finish(start(config, served.environment))[0] == 0
    assert not served.lies
    print(f"requests of a run: {num_requests(served)}, {served.kinds}")
    assert num_requests(served) <= MOST_REQUESTS

    disk = tmp_path / "disk"
    assert whole_run.do("run", config, disk)[0] == 0
    for name in ("teacher", "student/seed-0", "baseline/seed-0"):
        lines = served.read(f"run/{name}/metrics.jsonl")
        kept = (disk / name / "metrics.jsonl").read_bytes()
        assert steps_of(lines) == list(range(5, 41, 5))
        assert losses(lines) == losses(kept)
    found = logits(served.read("run/predictions.npz"))
    expected = logits((disk / "predictions.npz").read_bytes())
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)

    served.requests.clear()
    assert whole_run.finish(start(config, served.environment))[0] == 0
    print(f"of a finished one: {num_requests(served)}, {served.kinds}")
    assert num_requests(served) <= MOST_WHEN_FINISHED
