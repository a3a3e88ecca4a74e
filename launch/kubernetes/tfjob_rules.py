"""Rules on a TFJob that its schema does not hold; read from the operator's code."""

import re
from collections.abc import Iterator

from launch.kubernetes import pod_rules, tfjob
from launch.kubernetes.findings import Finding, at, number, table
from launch.kubernetes.yaml_stream import Document

# The operator names a service NAME-worker-INDEX, in the 63 characters of a label.
MAX_NAME = 50
_GENERATED = 5  # characters that the server appends to generateName
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_CLEAN_POD_POLICIES = ("All", "Running", "None")
_ROLES = ("Chief", "Worker")
_NO_ROLES = {
    "PS": "training is synchronous, without parameter servers",
    "Evaluator": "the workers evaluate, and it would stand in their TF_CONFIG",
    "Master": "TensorFlow 2 calls it Chief",
}


def replicas_of(job: Document) -> dict[str, Document]:
    """The replica specs by their types."""
    found = table(job, "spec", "tfReplicaSpecs")
    return {str(key): spec for key, spec in found.items() if isinstance(spec, dict)}


def count_of(spec: Document) -> int:
    """The number of replicas that a spec asks for."""
    return (number(spec, "replicas") or 0) if "replicas" in spec else 1


def check(job: Document, *, where: str) -> Iterator[Finding]:
    """Yields what is wrong with a TFJob."""
    version = job.get("apiVersion")
    if version != tfjob.API_VERSION:
        yield Finding(where, f"apiVersion must be {tfjob.API_VERSION}, got {version!r}")
    yield from check_name(job, where=where)
    yield from _check_roles(job, where)
    yield from _check_run_policy(job, where)
    if at(job, "spec", "enableDynamicWorker") is True:
        yield Finding(
            where,
            "enableDynamicWorker must be false, got true: each worker would then see "
            "itself alone in TF_CONFIG and train alone; remove it",
        )
    gpus = {}
    for role, spec in replicas_of(job).items():
        place = f"{where}, {role}"
        yield from _check_replicas(job, spec, place)
        template = table(spec, "template")
        yield from pod_rules.check(template, where=place, name=tfjob.CONTAINER)
        container = pod_rules.container_of(template, tfjob.CONTAINER)
        gpus[role] = pod_rules.gpus_of(container)
    if len(set(gpus.values())) > 1:
        yield Finding(
            where, f"every replica must have as many GPUs as the others, got {gpus}"
        )


def check_name(job: Document, *, where: str) -> Iterator[Finding]:
    """Yields what is wrong with the name and the namespace of any kind of job."""
    namespace = at(job, "metadata", "namespace")
    if namespace is not None and not _NAMESPACE.fullmatch(str(namespace)):
        yield Finding(
            where,
            "the namespace (--namespace) must have at most 63 characters, of a-z, 0-9 "
            f"and - within, got {namespace!r}",
        )
    name = str(at(job, "metadata", "name") or "")
    prefix = str(at(job, "metadata", "generateName") or "")
    length = len(name or prefix) + (0 if name else _GENERATED)
    stem = name or prefix.rstrip("-")
    if not _NAME.fullmatch(stem) or length > MAX_NAME:
        # What --name was: the - before the generated part is not its own.
        limit = MAX_NAME - (length - len(stem))
        yield Finding(
            where,
            f"the name must have at most {limit} characters, of a-z, 0-9 and -, and "
            f"begin with a letter, got {stem!r} ({len(stem)}); "
            "services are named after it",
        )


def _check_roles(job: Document, where: str) -> Iterator[Finding]:
    roles = replicas_of(job)
    for role in roles:
        if role not in _ROLES:
            reason = _NO_ROLES.get(role, "the operator counts no other")
            yield Finding(
                where,
                f"replicas must be {' or '.join(_ROLES)}, got {role}: {reason}; "
                "make them Worker",
            )
    if count_of(roles.get("Chief", {})) > 1:
        yield Finding(where, "there must be one Chief at most; make the others Worker")
    if not roles:
        yield Finding(where, "tfReplicaSpecs must name Worker, got none")


def _check_run_policy(job: Document, where: str) -> Iterator[Finding]:
    policy = table(job, "spec", "runPolicy")
    clean = policy.get("cleanPodPolicy")
    if clean is None:
        yield Finding(
            where,
            "runPolicy.cleanPodPolicy is not set: the pods of a job that failed would "
            "run on; set Running",
            is_error=False,
        )
    elif clean not in _CLEAN_POD_POLICIES:
        yield Finding(
            where,
            "runPolicy.cleanPodPolicy must be one of "
            f"{', '.join(_CLEAN_POD_POLICIES)}, got {clean!r}",
        )
    total = sum(count_of(spec) for spec in replicas_of(job).values())
    least = at(policy, "schedulingPolicy", "minAvailable")
    if least and least != total:
        yield Finding(
            where,
            f"schedulingPolicy.minAvailable must be the {total} replicas, got {least}: "
            "none of them trains before all are there",
        )
    policies = {spec.get("restartPolicy") for spec in replicas_of(job).values()}
    if "backoffLimit" in policy and "ExitCode" in policies:
        yield Finding(
            where,
            "runPolicy.backoffLimit has no effect with restartPolicy ExitCode; "
            "runtime.max_restarts ends a job that makes no progress",
            is_error=False,
        )


def _check_replicas(job: Document, spec: Document, where: str) -> Iterator[Finding]:
    if count_of(spec) < 1:
        yield Finding(where, f"replicas must be 1 or more, got {spec['replicas']!r}")
    restart = spec.get("restartPolicy")
    if restart == "OnFailure":
        yield Finding(
            where,
            "restartPolicy OnFailure starts a program again whatever its exit code, so "
            "a wrong config is tried again and again; use ExitCode",
            is_error=False,
        )
    elif restart != "ExitCode":
        yield Finding(
            where,
            f"restartPolicy must be ExitCode (or OnFailure), got {restart!r}: a pod "
            "that was preempted would fail the job or a finished one start again",
        )
    job_deadline = number(job, "spec", "runPolicy", "activeDeadlineSeconds")
    pod_deadline = number(spec, "template", "spec", "activeDeadlineSeconds")
    if job_deadline and pod_deadline is None:
        yield Finding(
            where,
            "the pods have no activeDeadlineSeconds: the operator looks at the job's "
            f"({job_deadline}) only when something happens to a pod; set a larger one",
            is_error=False,
        )
    elif job_deadline and pod_deadline and pod_deadline < job_deadline:
        yield Finding(
            where,
            f"the pods' activeDeadlineSeconds ({pod_deadline}) must not be below the "
            f"job's ({job_deadline}); raise it",
        )
