"""The cluster a process belongs to, as TF_CONFIG describes it.

TF_CONFIG is a JSON object such as

    {"cluster": {"worker": ["a:2222", "b:2222"]},
     "task": {"type": "worker", "index": 0}}

in which every process has the same cluster and a task of its own.
"""

import dataclasses
import ipaddress
import json
import os
import re
from typing import Any

from trainer.storage import json_text

# Names the file with the secret of the run, in place of that in the workdir.
TOKEN_FILE = "ALAMBIC_RENDEZVOUS_TOKEN_FILE"

_VARIABLE, _NO_PROXY = "TF_CONFIG", "no_grpc_proxy"
_ALONE = "unset it to run on this machine alone"


class ClusterError(ValueError):
    """TF_CONFIG asks for something that this program does not do."""


class NothingToDoError(Exception):
    """The process has a task of which there is none in this program."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """The processes of one run, and which of them this one is."""

    names: tuple[str, ...]  # such as "worker-0", in the order of their ranks
    addresses: tuple[str, ...]  # "host:port" of each
    rank: int  # of this process; 0 is the chief, the only one that writes

    @property
    def size(self) -> int:
        """Processes of the run."""
        return len(self.names)

    @property
    def is_chief(self) -> bool:
        """Whether this process is the chief."""
        return self.rank == 0

    @property
    def is_loopback(self) -> bool:
        """Whether all processes are reached from this machine alone."""
        return all(map(_is_loopback, self.addresses))

    @property
    def name(self) -> str:
        """The name of this process."""
        return self.names[self.rank]

    def announce(self) -> None:
        """Tells TensorFlow, which reads TF_CONFIG when its strategy is made.

        Its gRPC would hang where the workers' addresses went to a proxy, which systems
        set for what is outside of them.
        """
        jobs: dict[str, list[str]] = {}
        for name, address in zip(self.names, self.addresses, strict=True):
            jobs.setdefault(name.rpartition("-")[0], []).append(address)
        job, _, index = self.name.rpartition("-")
        task = {"type": job, "index": int(index)}
        os.environ[_VARIABLE] = json.dumps({"cluster": jobs, "task": task})
        # gRPC reads the first of these that is set.
        direct = os.environ.get(_NO_PROXY, os.environ.get("no_proxy", ""))
        hosts = (address.rpartition(":")[0].strip("[]") for address in self.addresses)
        os.environ[_NO_PROXY] = ",".join(filter(None, (direct, *hosts)))

    def titles(self, ranks: list[int]) -> str:
        """Names workers: "worker-1 (10.0.0.2:2222), worker-2 (10.0.0.3:2222)"."""
        return ", ".join(f"{self.names[i]} ({self.addresses[i]})" for i in ranks)


def read() -> Cluster | None:
    """The cluster of this process; None where it is alone, as with a single task.

    TF_CONFIG is taken out of the environment, so that TensorFlow learns of no more than
    Cluster.announce tells. An evaluator is left out, and a master is called chief.

    Raises:
      ClusterError: TF_CONFIG is not such a cluster; the message says what to change.
      NothingToDoError: the process is the evaluator.
    """
    text = os.environ.pop(_VARIABLE, "").strip()
    if not text:
        return None
    jobs, job, index = _parse(text)
    _check_index(jobs, job, index)
    if jobs.pop("evaluator", None) and job == "evaluator":
        raise NothingToDoError(
            "the evaluator has nothing to do: the workers evaluate; leave it out of "
            f"the cluster (got {_VARIABLE}={text})"
        )
    tasks = [(name, i) for name in ("chief", "worker") for i in _indices(jobs, name)]
    if len(tasks) < 2:
        return None
    addresses = tuple(jobs[name][i] for name, i in tasks)
    _check_addresses(addresses)
    return Cluster(
        names=tuple(f"{name}-{i}" for name, i in tasks),
        addresses=addresses,
        rank=tasks.index((job, index)),
    )


def token_file() -> str:
    """The file that TOKEN_FILE names; "" for none."""
    return os.environ.get(TOKEN_FILE, "").strip()


def is_in_pod() -> bool:
    """Whether Kubernetes runs this process."""
    return "KUBERNETES_SERVICE_HOST" in os.environ


def _indices(jobs: dict[str, list[str]], name: str) -> range:
    return range(len(jobs.get(name, [])))


def _parse(text: str) -> tuple[dict[str, list[str]], str, int]:
    """The jobs of the cluster with their addresses; this task's job and index."""
    try:
        settings: dict[str, Any] = dict(json_text.parse(text))
        cluster = dict(settings.get("cluster") or {})
        task = dict(settings.get("task") or {})
        jobs = {_modern_name(job): tasks for job, tasks in cluster.items() if tasks}
    except (ValueError, TypeError) as error:
        raise ClusterError(
            f'{_VARIABLE} must be JSON such as {{"cluster": {{"worker": ["host:port", '
            f'...]}}, "task": {{"type": "worker", "index": 0}}}}, got {text!r:.300}; '
            f"{_ALONE}"
        ) from error
    _check_jobs(cluster, jobs)
    if not jobs:
        return {}, "", 0
    index = task.get("index", 0)
    # Some launchers write it as a string, as Google's cloud did.
    if isinstance(index, str) and re.fullmatch(r"[0-9]{1,9}", index):
        index = int(index)
    if not isinstance(index, int) or isinstance(index, bool):
        raise ClusterError(
            f"{_VARIABLE}'s task.index must be an integer, got {index!r:.100}; "
            "it counts the addresses of the task's type from 0"
        )
    return jobs, _modern_name(task.get("type", "")), index


def _modern_name(job: object) -> str:
    """TensorFlow 1 said master where TensorFlow 2 says chief."""
    return "chief" if job == "master" else str(job)


def _check_jobs(cluster: dict[str, Any], jobs: dict[str, Any]) -> None:
    for name, addresses in jobs.items():
        if isinstance(addresses, dict):
            raise ClusterError(
                f"{_VARIABLE} must list every address of the cluster, got a sparse "
                f"one, {json.dumps({name: addresses})}, with which each worker would "
                "train alone; set enableDynamicWorker to false in the TFJob"
            )
        if not isinstance(addresses, list) or not all(
            isinstance(address, str) for address in addresses
        ):
            raise ClusterError(
                f"{_VARIABLE}'s cluster must map each task type to a list of "
                f"addresses, got {json.dumps({name: addresses})}; {_ALONE}"
            )
    unknown = sorted(jobs.keys() - {"chief", "worker", "evaluator"})
    if unknown:
        raise ClusterError(
            f"{_VARIABLE}'s cluster must have workers and at most one chief, got "
            f"{', '.join(unknown)}; gradients are reduced among the workers, without "
            "parameter servers: give those replicas to Worker instead"
        )
    chiefs = [*cluster.get("master", []), *cluster.get("chief", [])]
    if len(chiefs) > 1:
        raise ClusterError(
            f"{_VARIABLE}'s cluster must have one chief at most, got {len(chiefs)} "
            f"({', '.join(chiefs)}); make the others workers"
        )


def _check_index(jobs: dict[str, list[str]], job: str, index: int) -> None:
    if not jobs:
        return
    if job not in jobs:
        raise ClusterError(
            f"{_VARIABLE}'s task.type must be one of the cluster's "
            f"({', '.join(jobs)}), got {job!r}; each process names its own"
        )
    if not 0 <= index < len(jobs[job]):
        raise ClusterError(
            f"{_VARIABLE}'s task.index must be from 0 to {len(jobs[job]) - 1} for a "
            f"{job}, got {index}; give each process an index of its own"
        )


def _check_addresses(addresses: tuple[str, ...]) -> None:
    for address in addresses:
        host, _, port = address.rpartition(":")
        is_number = port.isascii() and port.isdecimal() and len(port) < 6
        if not host or not is_number or not 0 < int(port) < 65536:
            raise ClusterError(
                f"{_VARIABLE}'s addresses must have the form host:port, "
                f"got {address!r:.300}; ports go from 1 to 65535"
            )
        if ":" in host and not re.fullmatch(r"\[[0-9a-fA-F:.]+(%\w+)?\]", host):
            raise ClusterError(
                f"{_VARIABLE}'s IPv6 addresses must stand in brackets, got "
                f"{address!r:.300}; write '[{host.strip('[]')}]:{port}'"
            )
        try:
            host.encode("idna")
        except UnicodeError as error:
            raise ClusterError(
                f"{_VARIABLE}'s hosts must have names that can be looked up, got "
                f"{host!r}; each part between dots has 1 to 63 characters"
            ) from error
    twice = sorted({a for a in addresses if addresses.count(a) > 1})
    if twice:
        raise ClusterError(
            f"{_VARIABLE}'s addresses must differ, got {', '.join(twice)} more than "
            "once; give each process an address of its own"
        )
    local = [address for address in addresses if _is_loopback(address)]
    if local and len(local) < len(addresses):
        raise ClusterError(
            f"{_VARIABLE}'s addresses must be reached from every worker, got "
            f"{', '.join(local)} among addresses of other machines; write that "
            "machine's name in the network"
        )


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
