"""Two logical CPU devices for every test, set before TensorFlow looks for devices."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.pop("KUBERNETES_SERVICE_HOST", None)  # tests may run in a pod themselves

import pytest
import tensorflow as tf
from etils import epath

from tests.helpers import stores
from trainer.runs.variant_session import forget_models

_CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    _CPU, [tf.config.LogicalDeviceConfiguration()] * 2
)

stores.register()

_EXIT_STATUS = pytest.StashKey[int]()


@pytest.fixture(autouse=True, scope="module")
def _collected() -> Iterator[None]:
    """Models and iterators of datasets go with their file, not with the process.

    Old iterators keep a collection waiting, and old graphs fill the memory.
    """
    yield
    forget_models()


@pytest.fixture(scope="session")
def tfds_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder in which TFDS prepares the bundled set once for all tests."""
    return str(tmp_path_factory.mktemp("tfds"))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with what runs with answers on disk need; see helpers/cached_runs."""
    from tests.helpers import cached_runs  # which needs this module

    folder = tmp_path_factory.mktemp("world")
    cached_runs.prepare(folder)
    return folder


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file system of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True
    )
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def store() -> Iterator[epath.Path]:
    """A folder that is not there yet, in an object store."""
    stores.empty()
    yield epath.Path(f"{stores.BUCKET}/run")
    stores.empty()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_EXIT_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    # As in trainer/__main__.py: iterators would hold the process for minutes. A worker
    # of xdist has sent its reports and its status by now.
    if _EXIT_STATUS in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[_EXIT_STATUS])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden anew"
    )
