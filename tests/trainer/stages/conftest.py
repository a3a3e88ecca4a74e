"""Builds of soft targets that several files of this folder look at."""

import pytest

from tests.helpers.caches import THREE_VIEWS, TOP_3, build, write_config


@pytest.fixture(scope="session")
def config(tmp_path_factory, tfds_dir):
    return write_config(tmp_path_factory.mktemp("config"), tfds_dir)


@pytest.fixture(scope="session")
def built(config):
    """The workdir of a finished build."""
    workdir = config.parent / "workdir"
    assert build(config, workdir) == 0
    return workdir


@pytest.fixture(scope="session")
def three_views(config):
    """The workdir of a finished build of three views of shifted images."""
    workdir = config.parent / "three_views"
    assert build(config, workdir, *THREE_VIEWS) == 0
    return workdir


@pytest.fixture(scope="session")
def top_3(config):
    """The workdir of a cache of the three largest logits."""
    workdir = config.parent / "top_3"
    assert build(config, workdir, *TOP_3) == 0
    return workdir
