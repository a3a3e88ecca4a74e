"""The requests of three short trainings in a bucket, and of a finished run.

    python -m tests.benchmarks.requests

The bucket is a server on this machine, which TensorFlow's own client of Google Cloud
Storage asks. Those for the lease do not count, as they come with time.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
from collections import Counter

from tests.helpers import bucket, configs, whole_run
from tests.helpers.repository import REPOSITORY

_WORKDIR, _LEASE = f"gs://{bucket.NAME}/run", "run/lease.json"


def main() -> None:
    """Prints a line for each turn of the command, and one for each kind of request."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        config = folder / "small.toml"
        text = configs.WHOLE.replace("seeds = [0, 1]", "seeds = [0]")
        text = text.replace("steps = 60", "steps = 40")
        config.write_text(text.format(tfds_dir=folder / "tfds"))
        with bucket.serve(folder) as served:
            for title in ("a run", "the same when it is finished"):
                served.requests.clear()
                _run(config, served.environment)
                kinds = Counter(x.kind for x in served.requests if x.name != _LEASE)
                print(f"{title}: {kinds.total()}")
                for kind, count in kinds.most_common():
                    print(f"  {kind}: {count}")


def _run(config: pathlib.Path, environment: dict[str, str]) -> None:
    words = whole_run.command("run", config, _WORKDIR)
    subprocess.run(
        [sys.executable, "-m", *words],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdout=sys.stderr,
        check=True,
    )


if __name__ == "__main__":
    main()
