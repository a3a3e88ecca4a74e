"""Barriers, broadcasts and gathers among the workers of a cluster, besides training.

They talk through TensorFlow's coordination service, a key-value store at the chief that
also notices when a worker is gone. This is the only file that uses it: its functions
are not part of TensorFlow's public API, but the public one has no others.

All workers must make the same calls in the same order, as with every collective.
"""

import contextlib
import faulthandler
import itertools
import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import tensorflow as tf
from tensorflow.python.eager import context

from trainer import console
from trainer.cluster import rendezvous
from trainer.cluster.rendezvous import PeerLostError
from trainer.cluster.termination import StoppedError, Termination
from trainer.cluster.tf_config import Cluster

# A worker that has not been heard of for so long is lost. Shorter would end healthy
# runs whose processors are busy; all others notice within twice this time.
HEARTBEAT_SECS = 30

_START_SECS = 300  # of connections between workers that are all there
_PARTING_SECS = 10.0
_PATIENCE_MS = 5_000  # of one question to the store, which is asked again
_PROBE_MS = 1  # at a barrier to which nobody else comes

# How TensorFlow tells that another worker failed, or its own connection to it.
_LOSSES = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)

T = TypeVar("T")


class Workers:
    """All processes of a run, of which this is one."""

    def __init__(self, cluster: Cluster | None) -> None:
        """Without a cluster the process is the only one, and its own chief."""
        self._cluster = cluster
        self._numbers = itertools.count()
        self._logged: set[str] = set()

    @property
    def is_chief(self) -> bool:
        """Whether this is the one that writes."""
        return self._cluster is None or self._cluster.is_chief

    @property
    def count(self) -> int:
        """The number of workers; 1 without a cluster."""
        return self._cluster.size if self._cluster else 1

    @property
    def rank(self) -> int:
        """The place of this one among them; the chief's is 0."""
        return self._cluster.rank if self._cluster else 0

    def log_once(self, sentence: str) -> None:
        """Logs what the run has not said yet; the chief does."""
        if self.is_chief and sentence not in self._logged:
            self._logged.add(sentence)
            console.log(sentence)

    def broadcast(self, find: Callable[[], Any]) -> Any:
        """Broadcasts what `find` gives on the chief, of JSON's types; others wait."""
        if self._cluster is None:
            return find()
        key = self._key()
        if self._cluster.is_chief:
            value = find()
            _store_value(key, json.dumps(value))
            return value
        return json.loads(_wait_for_value(self._cluster, key))

    def chief_first(self, action: Callable[[], T]) -> T:
        """Does `action`; on the other workers once the chief has done it.

        It finds there what the chief has written.
        """
        if self.is_chief:
            result = action()
            self.broadcast(lambda: None)
            return result
        self.broadcast(lambda: None)
        return action()

    def all_gather(self, value: str) -> list[str]:
        """Gathers the value of every worker, in the order of their ranks."""
        return self._all_gather(value, float("inf"))

    def assert_equal(self, value: str, error: Exception) -> None:
        """Raises `error` on every worker unless all of them give the same value.

        They leave together, so that each of them tells it and none a lost peer.
        """
        if len(set(self.all_gather(value))) > 1:
            self._part()
            raise error

    def barrier(self) -> None:
        """Returns once all workers have come here."""
        self.all_gather("here")

    @contextlib.contextmanager
    def leaving_together(self, termination: Termination) -> Iterator[None]:
        """Workers leave the body together and the chief last, who has their service.

        This includes the ends that all of them come to at the same step. A SIGTERM that
        comes so late changes nothing.

        Raises:
          PeerLostError: a worker is gone.
        """
        with _losses_told(self._cluster):
            try:
                yield
            except (StoppedError, FloatingPointError):
                with termination.ending():
                    self._part()
                raise
            with termination.ending():
                self._part()

    def _all_gather(self, value: str, timeout_secs: float) -> list[str]:
        cluster = self._cluster
        if cluster is None:
            return [value]
        key = self._key()
        _store_value(f"{key}/{cluster.rank}", value)
        return [
            _wait_for_value(cluster, f"{key}/{rank}", timeout_secs)
            for rank in range(cluster.size)
        ]

    def _part(self) -> None:
        if self._cluster is None:
            return
        with contextlib.suppress(tf.errors.OpError):
            self._all_gather("parting", _PARTING_SECS)
        if self._cluster.is_chief:
            end = time.monotonic() + _PARTING_SECS
            others = set(range(1, self._cluster.size))
            while others.difference(rendezvous.absent(self._cluster)):
                if time.monotonic() > end:
                    break
                time.sleep(0.1)

    def _key(self) -> str:
        return f"alambic/{next(self._numbers)}"


@contextlib.contextmanager
def joining(cluster: Cluster | None) -> Iterator[None]:
    """The body creates the strategy, which connects the workers that have met.

    Raises:
      PeerLostError: one is gone meanwhile.
    """
    if cluster is None:
        yield
        return
    _configure(cluster)
    # A worker that dies just now leaves the others in a call that lets no thread of
    # Python run. The alarm does without: it shows the stack and ends the process.
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.setitimer(signal.ITIMER_REAL, _START_SECS)
    try:
        with _losses_told(cluster):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.unregister(signal.SIGALRM)


@contextlib.contextmanager
def _losses_told(cluster: Cluster | None) -> Iterator[None]:
    try:
        yield
    except _LOSSES as error:
        if cluster is None:
            raise
        told = error.message.strip() or type(error).__name__
        # After the stack of the operation, and before advice to restart it.
        told = told.rpartition("Collective ops is aborted by:")[2]
        told = " ".join(told.partition("The error could be from")[0].split())
        raise PeerLostError(
            f"{_silent_workers(cluster, told)} was lost; all workers have to be "
            "started again, and go on from the last checkpoint "
            f"({cluster.name} was told: {told[:300]})"
        ) from error


def _silent_workers(cluster: Cluster, told: str) -> str:
    """The workers that do not answer, or that TensorFlow calls silent."""
    silent = {
        f"{job}-{index}"
        for job, index in re.findall(r"/job:(\w+)/replica:0/task:(\d+)", told)
    }
    others = [rank for rank in range(cluster.size) if rank != cluster.rank]
    lost = rendezvous.absent(cluster) or [
        rank for rank in others if cluster.names[rank] in silent
    ]
    if not lost and len(others) == 1:
        lost = others
    return cluster.titles(lost) or "another worker"


def _configure(cluster: Cluster) -> None:
    jobs = [name.rpartition("-")[0] for name in cluster.names]
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=f"/job:{jobs[0]}/replica:0/task:0",
        heartbeat_timeout_in_ms=HEARTBEAT_SECS * 1000,
        coordinated_jobs=[
            context.coordination_config_pb2.CoordinatedJob(
                name=job, num_tasks=jobs.count(job)
            )
            for job in dict.fromkeys(jobs)
        ],
    )


def _store_value(key: str, value: str) -> None:
    context.context().set_config_key_value(key, value)


def _wait_for_value(
    cluster: Cluster, key: str, timeout_secs: float = float("inf")
) -> str:
    """The value of a key, once there is one.

    Raises:
      tf.errors.OpError: a worker is lost, or did not store it in time.
    """
    end = time.monotonic() + timeout_secs
    attempts = itertools.count()
    while True:
        try:
            with _interrupts_kept():
                value: str = context.context().get_config_key_value(key, _PATIENCE_MS)
        except tf.errors.DeadlineExceededError:
            if time.monotonic() > end:
                raise
            # The store answers as long as the chief is there, whoever else is lost.
            _check_all_live(f"{key}/{cluster.rank}/{next(attempts)}")
        else:
            return value


@contextlib.contextmanager
def _interrupts_kept() -> Iterator[None]:
    """Raises KeyboardInterrupt where pybind11 made another error of it.

    It does so where Ctrl-C comes while TensorFlow's own error is made.
    """
    try:
        yield
    except RuntimeError as error:
        if KeyboardInterrupt.__name__ in str(error):
            raise KeyboardInterrupt from error
        raise


def _check_all_live(name: str) -> None:
    """Raises UnavailableError where the service misses a worker; `name` is used once.

    It looks by a barrier to which nobody else comes. To wait there for the others would
    let no thread of Python run meanwhile, such as that of SIGTERM.
    """
    try:
        with _interrupts_kept():
            context.context().wait_at_barrier(name, _PROBE_MS)
    except tf.errors.DeadlineExceededError:
        return
    except tf.errors.FailedPreconditionError as error:
        raise tf.errors.UnavailableError(None, None, error.message) from error
