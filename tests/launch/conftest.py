"""A small cluster, which the real kubectl reaches."""

import shutil

import pytest

from tests.helpers.fake_cluster import FakeCluster, launched, serving


@pytest.fixture
def cluster():
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not on PATH")
    return FakeCluster(namespace="ml")


@pytest.fixture
def launch(cluster, tmp_path):
    """Runs `python -m launch tfjob WORDS` where kubectl finds the cluster."""
    with serving(cluster, tmp_path) as environment:
        yield lambda *words: launched(words, environment)
