"""The TFJob of the Training Operator (kubeflow.org/v1)."""

from launch.kubernetes import config_map, network_policy, pod
from launch.kubernetes.job import Job
from launch.kubernetes.yaml_stream import Document

API_VERSION, KIND = "kubeflow.org/v1", "TFJob"
CONTAINER = "tensorflow"  # the operator gives TF_CONFIG to a container of this name
# A pod's deadline ends after the job's: its end is the event on which the operator,
# which sets no timer, sees that the job's has passed.
POD_DEADLINE_MARGIN_SECS = 600
# The operator gives these to each pod.
JOB_NAME_LABEL = "training.kubeflow.org/job-name"
ROLE_LABEL, WORKER = "training.kubeflow.org/replica-type", "worker"
INDEX_LABEL = "training.kubeflow.org/replica-index"


def documents(job: Job) -> list[Document]:
    """The objects to create for one run."""
    return [config_map.document(job), network_policy.document(job), document(job)]


def document(job: Job) -> Document:
    """The job itself: workers only, worker 0 is the chief."""
    name = {"generateName": f"{job.name}-"} if job.is_repeated else {"name": job.name}
    # A repeated job learns its name from the label that the operator gives its pods.
    environment = (
        [pod.field("JOB_NAME", f"metadata.labels['{JOB_NAME_LABEL}']")]
        if job.is_repeated
        else []
    )
    template = pod.template(job, container=CONTAINER, environment=environment)
    pod_deadline = job.deadline_secs + POD_DEADLINE_MARGIN_SECS
    template["spec"]["activeDeadlineSeconds"] = pod_deadline
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {**name, "namespace": job.namespace, "labels": job.labels},
        "spec": {
            "successPolicy": "",  # of worker 0, which ends last
            "runPolicy": {
                "cleanPodPolicy": "Running",
                "ttlSecondsAfterFinished": job.ttl_secs,
                "activeDeadlineSeconds": job.deadline_secs,
                "suspend": False,
                "schedulingPolicy": {"minAvailable": job.workers},
            },
            "tfReplicaSpecs": {
                "Worker": {
                    "replicas": job.workers,
                    "restartPolicy": "ExitCode",
                    "template": template,
                }
            },
        },
    }
