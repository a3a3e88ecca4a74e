"""Two logical CPU devices for every test, set before TensorFlow looks for devices."""

import gc
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.pop("KUBERNETES_SERVICE_HOST", None)  # tests may run in a pod themselves

import pytest
from etils import epath

# What files of tests may leave until it is collected.
_MORE_MB, _MORE_THREADS = 100, 16
_after = [0, 0]  # megabytes and threads since the last collection

_EXIT_STATUS = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Prepares a process that runs tests: not the one that hands them to workers."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return
    from trainer import tensorflow_log

    with tensorflow_log.hushed():
        import tensorflow as tf

    from tests.helpers import stores

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    stores.register()


def pytest_collection_finish() -> None:
    # What has been imported stays: no later collection has to look through it.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _untimed() -> Iterator[None]:
    """No run measures inference times by itself, which takes seconds."""
    from trainer.config import evaluation

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "AUTO_SECS", 0.0)
        yield


@pytest.fixture(autouse=True, scope="module")
def _collected() -> Iterator[None]:
    """Models and iterators of datasets go with a file once they have become many.

    Old iterators keep a collection waiting, and old graphs fill the memory; a
    collection takes half a second.
    """
    from trainer.runs.variant_session import forget_models

    yield
    kept, threads = _usage()
    if kept > _after[0] + _MORE_MB or threads > _after[1] + _MORE_THREADS:
        forget_models()
        _after[:] = _usage()


def _usage() -> tuple[int, int]:
    """Megabytes and threads of this process."""
    status = pathlib.Path("/proc/self/status").read_text()
    found = dict(line.split(":", 1) for line in status.splitlines())
    return int(found["VmRSS"].split()[0]) // 1000, int(found["Threads"])


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
    from tests.helpers import stores

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
