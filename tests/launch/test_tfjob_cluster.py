"""Submit, status and logs: the real kubectl against a small server."""

import os
import shutil
import subprocess
import sys

import pytest

from launch.kubernetes import status
from tests.helpers.fake_cluster import FakeCluster, serving
from tests.helpers.manifests import COMMAND, JOB
from tests.helpers.repository import REPOSITORY

WHERE = ("--name=demo", "--namespace=ml")
TFJOB_PATH = "/apis/kubeflow.org/v1/namespaces/ml/tfjobs/demo"
PODS_PATH = "/api/v1/namespaces/ml/pods"
SINCE = "2026-11-22T10:00:00Z"


@pytest.fixture
def cluster():
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not on PATH")
    return FakeCluster(namespace="ml")


@pytest.fixture
def launch(cluster, tmp_path):
    """Runs `python -m launch tfjob WORDS` where kubectl finds the cluster."""
    with serving(cluster, tmp_path) as environment:
        yield lambda *words: subprocess.run(
            [sys.executable, "-m", "launch", "tfjob", *words],
            cwd=REPOSITORY,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )


def tfjob(*conditions, policy="ExitCode"):
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": "demo", "namespace": "ml"},
        "spec": {
            "tfReplicaSpecs": {"Worker": {"replicas": 2, "restartPolicy": policy}}
        },
        "status": {
            "conditions": [
                {
                    "type": kind,
                    "status": holds,
                    "message": message,
                    "lastTransitionTime": SINCE,
                }
                for kind, holds, message in conditions
            ]
        },
    }


def pod(index, **described):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"demo-worker-{index}",
            "namespace": "ml",
            "labels": {
                "training.kubeflow.org/replica-type": "worker",
                "training.kubeflow.org/replica-index": str(index),
            },
        },
        "spec": {"containers": [{"name": "tensorflow"}], "nodeName": f"node-{index}"},
        "status": described,
    }


def ended(code, *, key="state", **more):
    state = {"terminated": {"exitCode": code, **more}}
    return [{"name": "tensorflow", key: state}]


def pending(message):
    return {
        "phase": "Pending",
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": message,
            }
        ],
    }


def test_a_job_is_submitted_once(launch, cluster):
    words = (*JOB, "--submit", "--", *COMMAND)
    done = launch(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "configmap/demo-config created",
        "networkpolicy.networking.k8s.io/demo created",
        "tfjob.kubeflow.org/demo created",
    ]
    printed = launch(*JOB, "--", *COMMAND).stdout
    assert [item["kind"] for item in cluster.created] == [
        *("ConfigMap", "NetworkPolicy", "TFJob")
    ]
    assert cluster.created[2]["spec"]["tfReplicaSpecs"]["Worker"]["replicas"] == 2
    assert cluster.created[0]["data"]["mnist_mini.toml"].splitlines()[0] in printed

    again = launch(*words)
    assert again.returncode == 2
    assert len(again.stderr.splitlines()) == 1
    assert 'tfjobs "demo" already exists' in again.stderr
    assert "choose another --name, or delete what is there: kubectl delete" in (
        again.stderr
    )
    names = "configmap/demo-config networkpolicy/demo tfjob/demo"
    assert f"--namespace=ml {names}" in again.stderr
    assert len(cluster.created) == 3


def test_a_cluster_without_the_operator_is_told_with_what_was_created(launch, cluster):
    del cluster.answers["/apis/kubeflow.org/v1"]
    done = launch(*JOB, "--submit", "--", *COMMAND)
    assert done.returncode == 2
    created = "configmap/demo-config, networkpolicy.networking.k8s.io/demo"
    assert f"created: {created};" in done.stderr


def test_status_says_what_each_pod_does_and_why(launch, cluster):
    cluster.answers[TFJOB_PATH] = tfjob(
        ("Created", "True", "TFJob demo is created."),
        ("Running", "False", "TFJob demo is running."),
        ("Restarting", "True", "TFJob demo is restarting."),
    )
    said = '{"code": 138, "reason": "lost demo-worker-0"}'
    cluster.answers[PODS_PATH] = {
        "apiVersion": "v1",
        "kind": "PodList",
        "metadata": {},
        "items": [
            pod(
                1,
                phase="Failed",
                containerStatuses=ended(138, message=said),
            ),
            pod(
                0, **pending("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
            ),
        ],
    }
    done = launch("status", *WHERE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"demo: Restarting since {SINCE}; a worker ended and its pod is made again; "
        "the others follow it; the operator says: TFJob demo is restarting.",
        "  2 of 2 pods: 1 Failed, 1 Pending",
        "  demo-worker-0: pending: no node has so many free GPUs; the scheduler says: "
        "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        "  demo-worker-1: ended with 138 (a peer was lost or did not come, its pod is "
        f"made again); it said: {said}",
    ]
    selector = "labelSelector=training.kubeflow.org/job-name=demo"
    assert any(selector in request for request in cluster.requests)


def lines_of(*pods):
    return status.describe(tfjob(), list(pods)).splitlines()[2:]


@pytest.mark.parametrize(
    ("described", "line"),
    [
        ({"phase": "Running"}, "runs on node-0"),
        ({"phase": "Succeeded", "containerStatuses": ended(0)}, "ended with 0 (done)"),
        (
            {"phase": "Failed", "containerStatuses": ended(2)},
            "ended with 2 (unusable command line, configuration, data, storage or "
            "TF_CONFIG, not tried again)",
        ),
        (
            {"phase": "Failed", "containerStatuses": ended(4)},
            "ended with 4 (restart budget spent without progress, not tried again)",
        ),
        (
            {"phase": "Failed", "containerStatuses": ended(143)},
            "ended with 143 (stopped by SIGTERM, after a checkpoint where the program "
            "saves one, its pod is made again)",
        ),
        (
            {"phase": "Failed", "containerStatuses": ended(137, reason="OOMKilled")},
            "ended with 137 (out of memory; raise --memory, its pod is made again)",
        ),
        (
            {"phase": "Failed", "containerStatuses": ended(137, reason="Error")},
            "ended with 137 (SIGKILL, for instance where memory or the grace ran out, "
            "its pod is made again)",
        ),
        (
            {"phase": "Failed", "containerStatuses": ended(134)},
            "ended with 134 (SIGABRT, its pod is made again)",
        ),
        (
            {"phase": "Failed", "containerStatuses": ended(9)},
            "ended with 9 (not a known code, not tried again)",
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "low on memory"},
            "failed before its program ended (Evicted: low on memory)",
        ),
        (
            {
                "phase": "Pending",
                "containerStatuses": [
                    {
                        "name": "tensorflow",
                        "state": {
                            "waiting": {
                                "reason": "ImagePullBackOff",
                                "message": "no such image",
                            }
                        },
                    }
                ],
            },
            "waits: ImagePullBackOff no such image",
        ),
        (
            pending("pod group is not ready, 1 Pending, 2 minAvailable"),
            "pending: the gang waits until all workers fit at once; the scheduler "
            "says: pod group is not ready, 1 Pending, 2 minAvailable",
        ),
        (
            pending("0/2 nodes: 2 node(s) didn't match Pod's node affinity/selector"),
            "pending: no node has the labels of --node-selector; the scheduler says: "
            "0/2 nodes: 2 node(s) didn't match Pod's node affinity/selector",
        ),
        ({"phase": "Pending"}, "pending: the scheduler has not looked at it yet"),
    ],
)
def test_a_pod_s_state_in_words(described, line):
    assert lines_of(pod(0, **described)) == [f"  demo-worker-0: {line}"]


@pytest.mark.parametrize(
    ("policy", "code", "fate"),
    [
        ("OnFailure", 2, ", it is started again"),
        ("OnFailure", 138, ", it is started again"),
        ("Never", 138, ", not tried again"),
        ("ExitCode", 138, ", its pod is made again"),
        ("ExitCode", 127, ", not tried again"),
        ("ExitCode", 0, ""),
    ],
)
def test_what_follows_an_exit_code_depends_on_the_policy(policy, code, fate):
    text = status.describe(
        tfjob(policy=policy), [pod(0, containerStatuses=ended(code))]
    )
    assert text.endswith(f"{fate})")
    assert text.count("again") == bool(fate)


def test_nothing_is_tried_again_once_the_job_has_failed():
    job = tfjob(("Failed", "True", "worker 1 failed"))
    text = status.describe(job, [pod(0, phase="Failed", containerStatuses=ended(138))])
    assert text.endswith("ended with 138 (a peer was lost or did not come)")


def test_an_earlier_end_of_a_running_container_is_told_too():
    before = ended(143, key="lastState")
    assert len(lines_of(pod(0, phase="Running", containerStatuses=before))) == 2


def test_failed_outranks_succeeded():
    job = tfjob(("Succeeded", "True", "done"), ("Failed", "True", "worker 1 failed"))
    assert status.describe(job, []).startswith(f"demo: Failed since {SINCE}; ")


def test_ten_workers_stand_in_the_order_of_their_numbers():
    lines = lines_of(*(pod(i, phase="Running") for i in (10, 2, 1)))
    names = [line.split(":")[0].strip() for line in lines]
    assert names == ["demo-worker-1", "demo-worker-2", "demo-worker-10"]


def test_a_job_that_no_operator_has_seen_is_said(launch, cluster):
    cluster.answers[TFJOB_PATH] = tfjob()
    cluster.answers[PODS_PATH] = {"apiVersion": "v1", "kind": "PodList", "items": []}
    done = launch("status", *WHERE)
    assert "is the Training Operator installed?" in done.stdout
    assert "0 of 2 pods" in done.stdout


def test_logs_of_all_workers_are_prefixed_by_their_pods(launch, cluster):
    pods = [pod(i, phase="Running") for i in range(6)]
    cluster.answers[PODS_PATH] = {"apiVersion": "v1", "kind": "PodList", "items": pods}
    for i in range(6):
        log = "".join(f"worker {i} step {step}\n" for step in range(20))
        cluster.answers[f"{PODS_PATH}/demo-worker-{i}/log"] = log
    done = launch("logs", *WHERE)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(
        f"[pod/demo-worker-{i}/tensorflow] worker {i} step {step}"
        for i in range(6)
        for step in range(20)
    )
    # kubectl alone follows five at most.
    followed = launch("logs", *WHERE, "--follow")
    assert sorted(followed.stdout.splitlines()) == sorted(done.stdout.splitlines())


def test_a_job_that_is_not_there_is_kubectl_s_sentence(launch):
    done = launch("status", "--name=absent", "--namespace=ml")
    assert done.returncode == 2
    assert done.stderr.startswith("launch: kubectl get tfjobs.kubeflow.org: Error from")
    assert "'absent' not found" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["logs"],
        pytest.param([*JOB, "--submit"], marks=pytest.mark.slow),
    ],
    ids=lambda words: words[-1],
)
def test_a_cluster_that_does_not_answer_is_told_as_that(words, cluster, tmp_path):
    with serving(cluster, tmp_path) as environment:
        pass  # and gone again
    words = [*words, *WHERE] if len(words) == 1 else [*words, "--", *COMMAND]
    done = subprocess.run(
        [sys.executable, "-m", "launch", "tfjob", *words],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("launch: no cluster answers: ")
    assert "refused" in done.stderr
    assert done.stderr.endswith("; see kubectl config current-context\n")
    assert "--validate=false" not in done.stderr
    assert "delete" not in done.stderr
    assert "Unhandled Error" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_server_that_names_another_one_that_does_not_answer_has_answered(
    launch, cluster, monkeypatch
):
    said = "failed calling webhook: dial tcp 10.0.0.1:443: connect: connection refused"
    status_of = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
    failure = {**status_of, "code": 500, "reason": "InternalError", "message": said}
    monkeypatch.setattr(cluster, "create", lambda path, item: (500, failure))
    done = launch(*JOB, "--submit", "--", *COMMAND)
    assert done.returncode == 2
    assert done.stderr.startswith("launch: the cluster refused the job: Error from")


@pytest.mark.parametrize("words", [["status"], ["logs"]], ids=lambda words: words[0])
def test_without_kubectl_its_absence_is_said(words, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "launch", "tfjob", *words, *WHERE],
        cwd=REPOSITORY,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("launch: kubectl is not on PATH; install it")
