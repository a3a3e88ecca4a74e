"""The same job for Kubeflow Trainer v2: a TrainingRuntime and a TrainJob.

The operator of v2 knows no TensorFlow, so each pod makes its TF_CONFIG itself with
`python -m launch env`. Below it stands a JobSet, which restarts all workers together.
"""

from launch import exit_codes, installed
from launch.kubernetes import config_map, network_policy, pod
from launch.kubernetes.job import Job
from launch.kubernetes.yaml_stream import Document

API_GROUP = "trainer.kubeflow.org"
API_VERSION = f"{API_GROUP}/v1alpha1"
CONTAINER = "node"  # the operator looks for a container and a job of this name

# The job of a runtime that trains carries it; others may prepare data.
ROLE_LABEL, ROLE = f"{API_GROUP}/trainjob-ancestor-step", "trainer"

# JobSet gives these to each pod, and Kubernetes the last one.
JOB_NAME_LABEL = "jobset.sigs.k8s.io/jobset-name"  # the name of the TrainJob as well
REPLICATED_JOB_LABEL = "jobset.sigs.k8s.io/replicatedjob-name"
RESTARTS_LABEL = "jobset.sigs.k8s.io/restart-attempt"
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"

# The trainer counts restarts without progress itself and ends with 4; preemptions are
# free there, while a JobSet counts each.
MAX_RESTARTS = 1000


def documents(job: Job) -> list[Document]:
    """The objects to create for one run."""
    return [
        config_map.document(job),
        network_policy.document(job),
        _runtime(job),
        _train_job(job),
    ]


def host_pattern(job: Job) -> str:
    """The name of each worker's pod in the cluster, {index} for its number."""
    return f"{job.name}-node-0-{{index}}.{job.name}"


def _metadata(job: Job) -> Document:
    return {"name": job.name, "namespace": job.namespace, "labels": job.labels}


def _runtime(job: Job) -> Document:
    template = pod.template(
        job,
        container=CONTAINER,
        environment=[
            {"name": "ALAMBIC_WORKERS", "value": str(job.workers)},
            {"name": "ALAMBIC_HOST", "value": host_pattern(job)},
        ],
    )
    [container] = template["spec"]["containers"]
    container["command"] = [*installed.launcher(), "env", "--", *job.command]
    template["spec"]["restartPolicy"] = "Never"
    worker_job = {
        # One failed pod fails the job, and with it the whole gang starts again.
        "backoffLimit": 0,
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailJob",
                    "onExitCodes": {
                        "containerName": CONTAINER,
                        "operator": "In",
                        "values": exit_codes.permanent(),
                    },
                }
            ]
        },
        "template": template,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "TrainingRuntime",
        "metadata": _metadata(job),
        "spec": {
            "mlPolicy": {"numNodes": job.workers},
            "template": {"spec": _job_set(worker_job)},
        },
    }


def _job_set(worker_job: Document) -> Document:
    return {
        "failurePolicy": {
            "maxRestarts": MAX_RESTARTS,
            "rules": [
                {
                    "name": "permanent",
                    "action": "FailJobSet",
                    "onJobFailureReasons": ["PodFailurePolicy"],
                }
            ],
        },
        "replicatedJobs": [
            {
                "name": CONTAINER,
                "template": {
                    "metadata": {"labels": {ROLE_LABEL: ROLE}},
                    "spec": worker_job,
                },
            }
        ],
    }


def _train_job(job: Job) -> Document:
    return {
        "apiVersion": API_VERSION,
        "kind": "TrainJob",
        "metadata": _metadata(job),
        "spec": {
            "runtimeRef": {
                "apiGroup": API_GROUP,
                "kind": "TrainingRuntime",
                "name": job.name,
            },
            "trainer": {"numNodes": job.workers},
            "activeDeadlineSeconds": job.deadline_secs,
        },
    }
