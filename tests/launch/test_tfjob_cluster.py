"""Submit, status and logs: the real kubectl against a small server."""

import subprocess
import sys

import pytest

from launch.kubernetes import tfjob_status
from tests.helpers.fake_cluster import launched, serving
from tests.helpers.manifests import COMMAND, JOB
from tests.helpers.messages import assert_states
from tests.helpers.repository import REPOSITORY

WHERE = ("--name=demo", "--namespace=ml")
TFJOB_PATH = "/apis/kubeflow.org/v1/namespaces/ml/tfjobs/demo"
PODS_PATH = "/api/v1/namespaces/ml/pods"
SINCE = "2026-11-22T10:00:00Z"


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
                "training.kubeflow.org/job-name": "demo",
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
    names = "configmap/demo-config networkpolicy/demo tfjob/demo"
    facts = ('tfjobs "demo" already exists', "--name", "kubectl delete")
    assert_states(again.stderr, *facts, f"--namespace=ml {names}")
    assert len(cluster.created) == 3


def test_a_cluster_without_the_operator_is_told_with_what_was_created(launch, cluster):
    del cluster.answers["/apis/kubeflow.org/v1"]
    done = launch(*JOB, "--submit", "--", *COMMAND)
    assert done.returncode == 2
    created = "configmap/demo-config, networkpolicy.networking.k8s.io/demo"
    assert_states(done.stderr, created)


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
    job, pods, first, second = done.stdout.splitlines()
    assert_states(job, "demo", "Restarting", SINCE, "TFJob demo is restarting.")
    assert_states(pods, "2 of 2 pods", "1 Failed", "1 Pending")
    reason = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    assert_states(first, "demo-worker-0", "pending", "free GPUs", reason)
    assert_states(second, "demo-worker-1", 138, "made again", said)
    selector = "labelSelector=training.kubeflow.org/job-name=demo"
    assert any(selector in request for request in cluster.requests)


def lines_of(*pods):
    return tfjob_status.describe(tfjob(), list(pods)).splitlines()[2:]


@pytest.mark.parametrize(
    ("described", "facts"),
    [
        ({"phase": "Running"}, ("runs", "node-0")),
        ({"phase": "Succeeded", "containerStatuses": ended(0)}, ("0 (done)",)),
        (
            {"phase": "Failed", "containerStatuses": ended(2)},
            (2, "unusable", "not tried"),
        ),
        (
            {"phase": "Failed", "containerStatuses": ended(4)},
            (4, "restart budget", "not tried"),
        ),
        (
            {"phase": "Failed", "containerStatuses": ended(143)},
            (143, "SIGTERM", "made again"),
        ),
        (
            {"phase": "Failed", "containerStatuses": ended(137, reason="OOMKilled")},
            (137, "--memory", "made again"),
        ),
        (
            {"phase": "Failed", "containerStatuses": ended(137, reason="Error")},
            (137, "SIGKILL", "made again"),
        ),
        (
            {"phase": "Failed", "containerStatuses": ended(134)},
            (134, "SIGABRT", "made again"),
        ),
        (
            {"phase": "Failed", "containerStatuses": ended(9)},
            (9, "known", "not tried"),
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "low on memory"},
            ("failed", "Evicted: low on memory"),
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
            ("waits", "ImagePullBackOff no such image"),
        ),
        (
            pending("pod group is not ready, 1 Pending, 2 minAvailable"),
            ("pending", "gang", "pod group is not ready, 1 Pending, 2 minAvailable"),
        ),
        (
            pending("0/2 nodes: 2 node(s) didn't match Pod's node affinity/selector"),
            ("pending", "--node-selector", "0/2 nodes: 2 node(s) didn't match Pod's"),
        ),
        ({"phase": "Pending"}, ("pending", "scheduler")),
    ],
)
def test_a_pod_s_state_in_words(described, facts):
    [line] = lines_of(pod(0, **described))
    assert_states(line, "demo-worker-0", *facts)


@pytest.mark.parametrize(
    ("policy", "code", "fate"),
    [
        ("OnFailure", 2, "started again"),
        ("OnFailure", 138, "started again"),
        ("Never", 138, "not tried again"),
        ("ExitCode", 138, "made again"),
        ("ExitCode", 127, "not tried again"),
        ("ExitCode", 0, ""),
    ],
)
def test_what_follows_an_exit_code_depends_on_the_policy(policy, code, fate):
    text = tfjob_status.describe(
        tfjob(policy=policy), [pod(0, containerStatuses=ended(code))]
    )
    assert text.endswith(f"{fate})")
    assert text.count("again") == bool(fate)


def test_nothing_is_tried_again_once_the_job_has_failed():
    job = tfjob(("Failed", "True", "worker 1 failed"))
    text = tfjob_status.describe(
        job, [pod(0, phase="Failed", containerStatuses=ended(138))]
    )
    assert_states(text, "ended with 138")
    assert "again" not in text


def test_an_earlier_end_of_a_running_container_is_told_too():
    before = ended(143, key="lastState")
    assert len(lines_of(pod(0, phase="Running", containerStatuses=before))) == 2


def test_failed_outranks_succeeded():
    job = tfjob(("Succeeded", "True", "done"), ("Failed", "True", "worker 1 failed"))
    told = tfjob_status.describe(job, [])
    assert_states(told.splitlines()[0], "demo", "Failed", SINCE)
    assert "Succeeded" not in told


def test_ten_workers_stand_in_the_order_of_their_numbers():
    lines = lines_of(*(pod(i, phase="Running") for i in (10, 2, 1)))
    names = [line.split(":")[0].strip() for line in lines]
    assert names == ["demo-worker-1", "demo-worker-2", "demo-worker-10"]


def test_a_job_that_no_operator_has_seen_is_said(launch, cluster):
    cluster.answers[TFJOB_PATH] = tfjob()
    cluster.answers[PODS_PATH] = {"apiVersion": "v1", "kind": "PodList", "items": []}
    done = launch("status", *WHERE)
    assert_states(done.stdout, "Training Operator", "0 of 2 pods")


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
    assert done.stderr.startswith("launch: ")
    facts = ("kubectl get tfjobs.kubeflow.org", "Error from server", "'absent'")
    assert_states(done.stderr, *facts)
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
    done = launched(words, environment)
    assert done.returncode == 2
    assert done.stderr.startswith("launch: ")
    facts = ("no cluster answers", "refused", "kubectl config current-context")
    assert_states(done.stderr, *facts)
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
    assert done.stderr.startswith("launch: ")
    assert_states(done.stderr, "Error from server", "--name", "kubectl delete")
    assert "kubectl config current-context" not in done.stderr


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
    assert done.stderr.startswith("launch: ")
    assert_states(done.stderr, "kubectl", "PATH")


def test_logs_of_one_worker(launch, cluster):
    pods = [pod(i, phase="Running") for i in range(3)]
    cluster.answers[PODS_PATH] = {"apiVersion": "v1", "kind": "PodList", "items": pods}
    for i in range(3):
        cluster.answers[f"{PODS_PATH}/demo-worker-{i}/log"] = f"worker {i}\n"
    done = launch("logs", *WHERE, "--worker=2")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[pod/demo-worker-2/tensorflow] worker 2\n"
