"""The pod of one worker."""

from launch.kubernetes.job import PORT, Job
from launch.kubernetes.yaml_stream import Document

GPU = "nvidia.com/gpu"
SHARED_MEMORY = "/dev/shm"


def template(job: Job, *, container: str, environment: list[Document]) -> Document:
    """The pod template of every worker.

    Args:
      job: what runs.
      container: the name that the operator looks for.
      environment: variables that only this operator's pods have.
    """
    return {
        "metadata": {
            "labels": job.labels,
            "annotations": {
                # A sidecar that never ends keeps the job from ending.
                "sidecar.istio.io/inject": "false",
                "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
            },
        },
        "spec": {
            **(
                {"serviceAccountName": job.service_account}
                if job.service_account
                else {}
            ),
            "terminationGracePeriodSeconds": job.grace_secs,
            **({"nodeSelector": dict(job.node_selector)} if job.node_selector else {}),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "runAsGroup": 1000,
                "fsGroup": 1000,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_container(job, container, environment)],
            "volumes": _volumes(job),
            **({"tolerations": _tolerations()} if job.resources.gpus else {}),
        },
    }


def field(name: str, path: str) -> Document:
    """The variable `name` with what the pod's own description holds at `path`."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _container(job: Job, name: str, environment: list[Document]) -> Document:
    resources = job.resources
    gpus = {GPU: resources.gpus} if resources.gpus else {}
    return {
        "name": name,
        "image": job.image,
        "command": list(job.command),
        "ports": [{"name": "tfjob-port", "containerPort": PORT}],
        "env": [
            *environment,
            field("POD_NAME", "metadata.name"),
            field("NODE_NAME", "spec.nodeName"),
            {"name": "NCCL_DEBUG", "value": "WARN"},
            *({"name": key, "value": value} for key, value in job.environment),
        ],
        "resources": {
            "requests": {"cpu": resources.cpu, "memory": resources.memory},
            "limits": {"memory": resources.memory, **gpus},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        # The trainer writes its reason there; where it could not, the log's end stands.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _mounts(job),
    }


def _mounts(job: Job) -> list[Document]:
    folder = job.config.path.rpartition("/")[0]
    return [
        *({"name": v.name, "mountPath": v.mount_path} for v in job.volumes),
        {"name": "config", "mountPath": folder, "readOnly": True},
        {"name": "scratch", "mountPath": "/tmp"},
        *([{"name": "dshm", "mountPath": SHARED_MEMORY}] if job.resources.gpus else []),
    ]


def _volumes(job: Job) -> list[Document]:
    memory = {"medium": "Memory", "sizeLimit": job.resources.shared_memory}
    return [
        *(
            {"name": v.name, "persistentVolumeClaim": {"claimName": v.claim}}
            for v in job.volumes
        ),
        {"name": "config", "configMap": {"name": job.config_map}},
        {"name": "scratch", "emptyDir": {}},
        # A container's own 64 MiB are too few for NCCL.
        *([{"name": "dshm", "emptyDir": memory}] if job.resources.gpus else []),
    ]


def _tolerations() -> list[Document]:
    return [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
