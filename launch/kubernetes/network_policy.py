"""The NetworkPolicy that keeps others away from the ports of a job's pods."""

from launch.kubernetes.job import Job
from launch.kubernetes.yaml_stream import Document


def document(job: Job) -> Document:
    """Makes the NetworkPolicy that lets only the job's own pods reach its pods.

    At any port, since NCCL chooses its own.
    """
    own = {"podSelector": {"matchLabels": job.labels}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": job.name,
            "namespace": job.namespace,
            "labels": job.labels,
        },
        "spec": {**own, "policyTypes": ["Ingress"], "ingress": [{"from": [own]}]},
    }
