"""A small cluster, which the real kubectl reaches."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.helpers.fake_cluster import FakeCluster, serving
from tests.helpers.repository import REPOSITORY


@pytest.fixture
def cluster():
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not on PATH")
    return FakeCluster(namespace="ml")


@pytest.fixture
def launch(cluster, tmp_path):
    """Runs `python -m launch tfjob WORDS` where kubectl finds the cluster."""
    with serving(cluster, tmp_path) as environment:
        yield lambda *words: subprocess.run(
            [sys.executable, "-m", "launch", "tfjob", *words],
            cwd=REPOSITORY,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
