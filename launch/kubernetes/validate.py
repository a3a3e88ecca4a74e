"""Everything that is wrong with the jobs of a manifest."""

import dataclasses
from collections.abc import Iterator, Sequence

from launch.errors import LaunchError
from launch.kubernetes import (
    mount_rules,
    mounted_config,
    pod_rules,
    settings_rules,
    tfjob,
    tfjob_rules,
    trainjob,
    yaml_stream,
)
from launch.kubernetes.findings import Finding, at, items, number, table
from launch.kubernetes.trainer_config import Settings
from launch.kubernetes.yaml_stream import Document

_DEFAULT_GRACE_SECS = 30  # Kubernetes's, where a pod names none


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Workload:
    """The pod and the command that a job of either kind runs."""

    where: str
    rules: Iterator[Finding]  # of its kind
    template: Document  # of its pods
    container: str
    workers: int


def findings(
    documents: Sequence[Document], settings: Settings | None = None
) -> list[Finding]:
    """Checks every job among the documents.

    Args:
      documents: of one manifest, so that a job finds its ConfigMap there.
      settings: of the run, resolved; None: each job's are, from its ConfigMap.

    Raises:
      LaunchError: there is no job, or one would run settings that the trainer refuses.
    """
    documents = [*documents, *_cronjob_documents(documents)]
    workloads = [
        workload
        for document in documents
        if document.get("kind") in _KINDS
        for workload in _KINDS[document["kind"]](document)
    ]
    if not workloads:
        kinds = ", ".join(str(d.get("kind")) for d in documents) or "nothing"
        raise LaunchError(
            f"a manifest must hold one of {', '.join(_KINDS)} with its pods, got "
            f"{kinds}; python -m launch tfjob prints one"
        )
    return [
        finding
        for workload in workloads
        for finding in _findings_of(workload, documents, settings)
    ]


def _findings_of(
    workload: _Workload, documents: Sequence[Document], settings: Settings | None
) -> Iterator[Finding]:
    template, where = workload.template, workload.where
    container = pod_rules.container_of(template, workload.container)
    yield from workload.rules
    yield from mount_rules.check(template, container, documents, where=where)
    known = settings or mounted_config.settings_of(template, container, documents)
    pods = _pods(workload)
    if known:
        yield from settings_rules.check(known, pods, where=where)
    else:
        least = mounted_config.least_gpus(container)
        yield from settings_rules.check_gpus(least, pods, where=where)


def _cronjob_documents(documents: Sequence[Document]) -> Iterator[Document]:
    """The documents in the ConfigMap from which a CronJob creates its jobs."""
    for document in documents:
        if document.get("kind") == "ConfigMap":
            for key, text in table(document, "data").items():
                if key.endswith((".yaml", ".yml")):
                    yield from yaml_stream.load(str(text), source=key)


def _tfjob(job: Document) -> Iterator[_Workload]:
    where = _title(job)
    specs = list(tfjob_rules.replicas_of(job).values())
    yield _Workload(
        where=where,
        rules=tfjob_rules.check(job, where=where),
        # All replicas run one command.
        template=table(specs[0], "template") if specs else {},
        container=tfjob.CONTAINER,
        workers=sum(map(tfjob_rules.count_of, specs)),
    )


def _runtime(runtime: Document) -> Iterator[_Workload]:
    where = _title(runtime)
    for job in items(runtime, "spec", "template", "spec", "replicatedJobs"):
        labels = table(job, "template", "metadata", "labels")
        if labels.get(trainjob.ROLE_LABEL) != trainjob.ROLE:
            continue
        template = table(job, "template", "spec", "template")
        yield _Workload(
            where=where,
            rules=_runtime_rules(runtime, template, where),
            template=template,
            container=trainjob.CONTAINER,
            workers=number(runtime, "spec", "mlPolicy", "numNodes") or 1,
        )


def _runtime_rules(
    runtime: Document, template: Document, where: str
) -> Iterator[Finding]:
    yield from tfjob_rules.check_name(runtime, where=where)
    yield from pod_rules.check(template, where=where, name=trainjob.CONTAINER)
    nodes = at(runtime, "spec", "mlPolicy", "numNodes")
    if nodes is not None and not (isinstance(nodes, int) and nodes > 0):
        yield Finding(where, f"mlPolicy.numNodes must be 1 or more, got {nodes!r}")


_KINDS = {tfjob.KIND: _tfjob, "TrainingRuntime": _runtime}


def _title(document: Document) -> str:
    name = at(document, "metadata", "name") or at(document, "metadata", "generateName")
    return f"{document.get('kind')} {name}"


def _pods(workload: _Workload) -> settings_rules.Pods:
    container = pod_rules.container_of(workload.template, workload.container)
    grace = number(workload.template, "spec", "terminationGracePeriodSeconds")
    return settings_rules.Pods(
        workers=workload.workers,
        gpus=pod_rules.gpus_of(container),
        grace_secs=_DEFAULT_GRACE_SECS if grace is None else grace,
    )
