"""The ConfigMap that carries the run's config file."""

from launch.kubernetes.job import Job
from launch.kubernetes.yaml_stream import Document


def document(job: Job) -> Document:
    """The ConfigMap that every worker of the job mounts."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": job.config_map,
            "namespace": job.namespace,
            "labels": job.labels,
        },
        "data": {job.config.name: job.config.text},
    }
