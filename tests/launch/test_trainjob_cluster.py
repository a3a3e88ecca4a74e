"""Status and logs of a TrainJob: the real kubectl against a small server.

The shapes are those of Kubeflow Trainer v2.3 and of JobSet 0.12.
"""

import pytest

from launch.kubernetes import trainjob_status
from tests.helpers.messages import assert_states

WHERE = ("--name=demo", "--namespace=ml", "--kind=trainjob")
TRAINJOB_PATH = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/ml/trainjobs/demo"
PODS_PATH = "/api/v1/namespaces/ml/pods"
SINCE = "2026-11-22T10:00:00Z"
RUN = ("Suspended", "False", "Resumed", "TrainJob is resumed")


def trainjob(*conditions, ready=0, active=1, failed=0, succeeded=0, workers=2):
    counts = {"ready": ready, "active": active, "failed": failed}
    counts |= {"succeeded": succeeded, "suspended": 0}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": "demo", "namespace": "ml"},
        "spec": {
            "managedBy": "trainer.kubeflow.org/trainjob-controller",
            "runtimeRef": {
                "apiGroup": "trainer.kubeflow.org",
                "kind": "TrainingRuntime",
                "name": "demo",
            },
            "suspend": False,
            "trainer": {"numNodes": workers},
        },
        "status": {
            "conditions": [
                {
                    "type": kind,
                    "status": holds,
                    "reason": reason,
                    "message": message,
                    "lastTransitionTime": SINCE,
                }
                for kind, holds, reason, message in conditions
            ],
            "jobsStatus": [{"name": "node", **counts}],
        },
    }


def pod(index, *, role="node", restarts=0, ours=True, labels=None, **described):
    name = f"demo-{role}-0-{index}-x7k2p"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "ml",
            "annotations": {"batch.kubernetes.io/job-completion-index": str(index)},
            "labels": {
                **({"app.kubernetes.io/name": "alambic"} if ours else {}),
                "batch.kubernetes.io/job-completion-index": str(index),
                "batch.kubernetes.io/job-name": f"demo-{role}-0",
                "jobset.sigs.k8s.io/job-index": "0",
                "jobset.sigs.k8s.io/jobset-name": "demo",
                "jobset.sigs.k8s.io/replicatedjob-name": role,
                "jobset.sigs.k8s.io/restart-attempt": str(restarts),
                **(labels or {}),
            },
        },
        "spec": {"containers": [{"name": role}], "nodeName": f"node-{index}"},
        "status": described,
    }


def ended(code, *, name="node", **more):
    state = {"terminated": {"exitCode": code, **more}}
    return [{"name": name, "restartCount": 0, "state": state}]


def pods_of(*pods):
    return {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": list(pods)}


def told(job, *pods):
    return trainjob_status.describe(job, list(pods)).splitlines()


def test_status_says_what_each_pod_does(launch, cluster):
    cluster.answers[TRAINJOB_PATH] = trainjob(RUN, ready=0)
    said = '{"code": 138, "reason": "lost demo-node-0-0"}'
    ends = ended(138, message=said)
    other = pod(0, labels={"jobset.sigs.k8s.io/jobset-name": "other"}, phase="Running")
    cluster.answers[PODS_PATH] = pods_of(
        pod(1, phase="Failed", containerStatuses=ends), pod(0, phase="Running"), other
    )
    done = launch("status", *WHERE)
    assert done.returncode == 0, done.stderr
    job, pods, first, second = done.stdout.splitlines()
    assert_states(job, "demo", "Created", "not all workers run")
    assert_states(pods, "2 of 2 pods", "1 Failed", "1 Running")
    assert_states(first, "demo-node-0-0-x7k2p", "runs on node-0")
    assert_states(second, "demo-node-0-1-x7k2p", 138, "all workers start again", said)


@pytest.mark.parametrize(
    ("job", "facts", "absent"),
    [
        (trainjob(ready=1), ("Running", "all workers run"), "since"),
        (trainjob(RUN, ready=1), ("Running",), "Suspended"),
        (trainjob(active=1), ("Created", "not all workers"), "Running"),
        (
            trainjob(("Suspended", "True", "Suspended", "TrainJob is suspended")),
            ("Suspended", SINCE, "admitted", "TrainJob is suspended"),
            "Running",
        ),
        (
            trainjob(
                RUN,
                ("Complete", "True", "AllJobsCompleted", "completed successfully"),
                succeeded=1,
                ready=1,
            ),
            ("Complete", SINCE, "ended with 0", "completed successfully"),
            "Running",
        ),
        (
            trainjob(
                ("Complete", "False", "No", "not yet"),
                ("Failed", "True", "DeadlineExceeded", "exceeded its active deadline"),
                ready=1,
            ),
            ("Failed", SINCE, "deadline", "exceeded its active deadline"),
            "Complete",
        ),
        ({"metadata": {"name": "demo"}}, ("demo", "Trainer v2", "JobSet"), "since"),
    ],
)
def test_a_job_s_state_in_words(job, facts, absent):
    head = told(job)[0]
    assert_states(head, *facts)
    assert absent not in head


@pytest.mark.parametrize(
    ("code", "fate"),
    [
        (138, "all workers start again"),
        (143, "all workers start again"),
        (9, "all workers start again"),  # no code of the trainer, so no rule names it
        (2, "not tried again"),
        (4, "not tried again"),
        (130, "not tried again"),
        (0, ""),
    ],
)
def test_what_follows_an_exit_code(code, fate):
    line = told(trainjob(RUN), pod(0, containerStatuses=ended(code)))[-1]
    assert line.endswith(f"{fate})")
    assert line.count("again") == bool(fate)


def test_the_rules_of_another_s_runtime_are_not_guessed():
    failed = pod(0, ours=False, phase="Failed", containerStatuses=ended(138))
    assert "again" not in told(trainjob(RUN), failed)[-1]


def test_nothing_is_tried_again_once_the_job_has_failed():
    job = trainjob(("Failed", "True", "FailJobSetFailurePolicyAction", "node failed"))
    [line] = told(job, pod(0, phase="Failed", containerStatuses=ended(138)))[2:]
    assert_states(line, "ended with 138")
    assert "again" not in line


def test_restarts_of_all_workers_are_counted():
    restarted = [pod(i, restarts=3, phase="Running") for i in range(2)]
    assert_states(told(trainjob(ready=1), *restarted)[1], "started again: 3")
    head = told(trainjob(), pod(0, restarts=3, phase="Pending"))[0]
    assert_states(head, "Restarting", "all of them start again")
    assert "again" not in told(trainjob(ready=1), pod(0, phase="Running"))[1]


def test_a_container_s_own_restarts_are_counted():
    again = [{"name": "node", "restartCount": 2, "state": {"running": {}}}]
    line = told(trainjob(), pod(0, phase="Running", containerStatuses=again))[-1]
    assert_states(line, "runs on node-0", "2 times")


def test_pods_that_prepare_data_are_told_but_not_counted():
    role = "dataset-initializer"
    first = pod(
        0,
        role=role,
        phase="Succeeded",
        containerStatuses=ended(0, name="dataset-initializer"),
    )
    lines = told(trainjob(), first, pod(0, phase="Running"))
    assert_states(lines[1], "1 of 2 pods: 1 Running")
    assert_states(lines[2], "demo-dataset-initializer-0-0-x7k2p", "0 (done)")


def test_ten_workers_stand_in_the_order_of_their_numbers():
    pods = [pod(i, phase="Running") for i in (10, 2, 1)]
    # Kubernetes before 1.28 writes the number into an annotation alone.
    del pods[1]["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]
    names = [line.split(":")[0].strip() for line in told(trainjob(), *pods)[2:]]
    assert names == [f"demo-node-0-{i}-x7k2p" for i in (1, 2, 10)]


def test_a_number_of_pods_that_only_the_runtime_knows_is_not_guessed():
    job = trainjob(ready=1)
    del job["spec"]["trainer"]
    assert told(job, pod(0, phase="Running"))[1] == "  1 pods: 1 Running"


@pytest.fixture
def logging_cluster(cluster):
    pods = [
        *(pod(i, phase="Running") for i in range(3)),
        pod(0, role="dataset-initializer", phase="Succeeded"),
    ]
    cluster.answers[PODS_PATH] = pods_of(*pods)
    for i in range(3):
        log = "".join(f"worker {i} step {step}\n" for step in range(20))
        cluster.answers[f"{PODS_PATH}/demo-node-0-{i}-x7k2p/log"] = log
    return cluster


@pytest.mark.parametrize(
    ("words", "workers"),
    [([], (0, 1, 2)), (["--worker=1"], (1,)), (["--worker=1", "--follow"], (1,))],
    ids=["all", "one", "followed"],
)
@pytest.mark.usefixtures("logging_cluster")
def test_logs_are_those_of_workers(words, workers, launch):
    done = launch("logs", *WHERE, *words)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(
        f"[pod/demo-node-0-{i}-x7k2p/node] worker {i} step {step}"
        for i in workers
        for step in range(20)
    )


@pytest.mark.usefixtures("logging_cluster")
def test_a_worker_that_is_not_there_is_told(launch):
    done = launch("logs", *WHERE, "--worker=3")
    assert done.returncode == 2
    index = "batch.kubernetes.io/job-completion-index=3"
    assert_states(done.stderr, "namespace ml", index, "--worker", "--kind")
    assert len(done.stderr.splitlines()) == 1


def test_a_job_of_the_other_kind_is_suggested(launch):
    done = launch("status", *WHERE)
    assert done.returncode == 2
    assert_states(done.stderr, "trainjobs.trainer.kubeflow.org", "--kind=tfjob")
    done = launch("status", *WHERE[:2])
    assert done.returncode == 2
    assert_states(done.stderr, "tfjobs.kubeflow.org", "--kind=trainjob")


@pytest.mark.parametrize("words", [["--follow"], ["--worker=0"]])
def test_status_takes_no_flag_of_logs(words, launch):
    done = launch("status", *WHERE, *words)
    assert done.returncode == 2
    assert_states(done.stderr, words[0].split("=")[0].strip("-"))
