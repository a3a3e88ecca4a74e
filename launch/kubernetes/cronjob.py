"""A CronJob that creates the TFJob again and again."""

from launch.kubernetes import config_map, network_policy, tfjob, yaml_stream
from launch.kubernetes.job import Job
from launch.kubernetes.yaml_stream import Document

_FOLDER, _FILE = "/etc/alambic", "job.yaml"


def documents(job: Job, *, schedule: str, kubectl_image: str) -> list[Document]:
    """The objects of a CronJob that creates a TFJob of its own on `schedule`.

    Its pod runs kubectl and nothing else, under an account that may create TFJobs and
    read them.
    """
    metadata = {"name": job.name, "namespace": job.namespace, "labels": job.labels}
    return [
        config_map.document(job),
        network_policy.document(job),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {**metadata, "name": f"{job.name}-job"},
            "data": {_FILE: yaml_stream.dump([tfjob.document(job)])},
        },
        *_account(job, metadata),
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": metadata,
            "spec": _spec(job, schedule, kubectl_image),
        },
    ]


def _account(job: Job, metadata: Document) -> list[Document]:
    """The account that creates the jobs, and its rights: to create and see them."""
    rbac = "rbac.authorization.k8s.io"
    may = {
        "apiGroups": ["kubeflow.org"],
        "resources": ["tfjobs"],
        "verbs": ["create", "get", "list"],
    }
    account = {"kind": "ServiceAccount", "name": job.name}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": [may],
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": job.name},
            "subjects": [{**account, "namespace": job.namespace}],
        },
    ]


def _spec(job: Job, schedule: str, kubectl_image: str) -> Document:
    return {
        "schedule": schedule,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 300,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {
            "metadata": {"labels": job.labels},
            "spec": {
                "backoffLimit": 1,
                "activeDeadlineSeconds": 300,
                "template": {
                    "metadata": {"labels": job.labels},
                    "spec": _pod(job, kubectl_image),
                },
            },
        },
    }


def _pod(job: Job, kubectl_image: str) -> Document:
    return {
        "serviceAccountName": job.name,
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "create",
                "image": kubectl_image,
                "command": ["kubectl", "create", f"--filename={_FOLDER}/{_FILE}"],
                "resources": {
                    "requests": {"cpu": "100m", "memory": "128Mi"},
                    "limits": {"memory": "128Mi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                },
                "volumeMounts": [
                    {"name": "job", "mountPath": _FOLDER, "readOnly": True}
                ],
            }
        ],
        "volumes": [{"name": "job", "configMap": {"name": f"{job.name}-job"}}],
    }
