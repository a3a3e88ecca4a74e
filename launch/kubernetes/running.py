"""A job that the cluster has, shown: `launch tfjob status` and `launch tfjob logs`."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from absl import flags

from launch.errors import LaunchError
from launch.kubernetes import (
    job_flags,
    kubectl,
    tfjob,
    tfjob_status,
    trainjob,
    trainjob_status,
)
from launch.kubernetes.findings import items

_DONE = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Kind:
    """The names by which the cluster knows the jobs and pods of one --kind."""

    resource: str
    name_label: str  # of every pod
    role_label: str
    worker: str  # the role of workers
    index_label: str
    log_labels: Mapping[str, str]  # of the pods that have the container
    container: str
    describe: Callable[[dict[str, Any], list[dict[str, Any]]], str]


_KINDS = {
    "tfjob": _Kind(
        resource="tfjobs.kubeflow.org",
        name_label=tfjob.JOB_NAME_LABEL,
        role_label=tfjob.ROLE_LABEL,
        worker=tfjob.WORKER,
        index_label=tfjob.INDEX_LABEL,
        log_labels={},
        container=tfjob.CONTAINER,
        describe=tfjob_status.describe,
    ),
    "trainjob": _Kind(
        resource=f"trainjobs.{trainjob.API_GROUP}",
        name_label=trainjob.JOB_NAME_LABEL,
        role_label=trainjob.REPLICATED_JOB_LABEL,
        worker=trainjob.CONTAINER,
        index_label=trainjob.INDEX_LABEL,
        log_labels={trainjob.REPLICATED_JOB_LABEL: trainjob.CONTAINER},
        container=trainjob.CONTAINER,
        describe=trainjob_status.describe,
    ),
}


def status(argv: list[str]) -> int:
    """Prints what a job and its pods do; returns the exit code."""
    values = _read(_flags(), argv)
    if values is None:
        return _DONE
    kind, namespace = _KINDS[values.kind], values.namespace
    others = " or ".join(f"--kind={name}" for name in _KINDS if name != values.kind)
    hint = f"a job of the other kind is found with {others}"
    job = kubectl.get(kind.resource, values.name, namespace=namespace, hint=hint)
    selector = f"--selector={kind.name_label}={values.name}"
    pods = kubectl.get("pods", selector, namespace=namespace)
    print(kind.describe(job, items(pods, "items")))
    return _DONE


def logs(argv: list[str]) -> int:
    """Becomes kubectl, which prints the logs of the workers; 0 after --help."""
    values = _flags()
    flags.DEFINE_boolean("follow", False, "until they end", flag_values=values)
    flags.DEFINE_integer(
        "worker", None, "of this number alone", lower_bound=0, flag_values=values
    )
    if _read(values, argv) is None:
        return _DONE
    kind = _KINDS[values.kind]
    labels = {kind.name_label: values.name, **kind.log_labels}
    if values.worker is not None:
        labels |= {kind.role_label: kind.worker, kind.index_label: str(values.worker)}
    return kubectl.become_logs(
        ",".join(f"{key}={value}" for key, value in labels.items()),
        container=kind.container,
        namespace=values.namespace,
        follow=values.follow,
    )


def _flags() -> flags.FlagValues:
    """The flags that name a job of the cluster."""
    values = flags.FlagValues()
    flags.DEFINE_string("name", None, "of the job", flag_values=values)
    flags.DEFINE_string("namespace", "default", "of the job", flag_values=values)
    flags.DEFINE_enum(
        "kind", job_flags.KINDS[0], job_flags.KINDS, "of the job", flag_values=values
    )
    return values


def _read(values: flags.FlagValues, argv: list[str]) -> flags.FlagValues | None:
    """The flags with their values; None once --help has been answered."""
    stray = job_flags.read(values, argv)
    if stray is None:
        return None
    job_flags.require(values, ("name",))
    if stray:
        raise LaunchError(f"--name names the one job, got {' '.join(stray)} besides")
    return values
