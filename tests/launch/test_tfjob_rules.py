"""What the operator's schema lets through and `tfjob validate` does not."""

import copy
import errno
import os

import pytest

from tests.helpers.manifests import (
    COMMAND,
    IMAGE,
    JOB,
    container_of,
    launch,
    of_kind,
    pod_of,
    printed,
    printed_once,
    write,
)
from tests.helpers.messages import assert_a_line_states, assert_states
from tests.helpers.repository import REPOSITORY


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


@pytest.fixture
def sound():
    """Documents that break no rule."""
    return copy.deepcopy(printed_once())


def replicas(job):
    return job["spec"]["tfReplicaSpecs"]


def policy(job):
    return job["spec"]["runPolicy"]


def worker(job):
    return replicas(job)["Worker"]


def add_role(job, role, **changes):
    replicas(job)[role] = {**copy.deepcopy(worker(job)), "replicas": 1, **changes}
    policy(job)["schedulingPolicy"]["minAvailable"] += 1


def rename_role(job, role):
    replicas(job)[role] = replicas(job).pop("Worker")


def add_smaller_chief(job):
    add_role(job, "Chief")
    [container] = replicas(job)["Chief"]["template"]["spec"]["containers"]
    container["resources"]["limits"]["nvidia.com/gpu"] = 2


def add_container(job, name):
    pod_of(job)["containers"].append({**container_of(job), "name": name})


def without_memory(job):
    for volume in pod_of(job)["volumes"]:
        if volume["name"] == "dshm":
            volume["emptyDir"].pop("medium")


def without_mount(job):
    mounts = container_of(job)["volumeMounts"]
    mounts[:] = [m for m in mounts if m["mountPath"] != "/dev/shm"]


ERRORS = {
    "parameter servers": (
        lambda job: add_role(job, "PS"),
        ("Chief", "Worker", "PS"),
    ),
    "an evaluator": (
        lambda job: add_role(job, "Evaluator"),
        ("Chief", "Worker", "Evaluator"),
    ),
    "a master": (lambda job: add_role(job, "Master"), ("Master", "Chief")),
    "a role in small letters": (
        lambda job: rename_role(job, "worker"),
        ("Worker", "got worker"),
    ),
    "two chiefs": (
        lambda job: add_role(job, "Chief", replicas=2),
        ("one Chief",),
    ),
    "no replicas at all": (
        lambda job: replicas(job).clear(),
        ("tfReplicaSpecs", "Worker", "none"),
    ),
    "less than one replica": (
        lambda job: worker(job).update(replicas=-1),
        ("replicas", 1, -1),
    ),
    "a chief with fewer GPUs": (
        add_smaller_chief,
        ("GPUs", {"Chief": 2, "Worker": 4}),
    ),
    "restartPolicy Never": (
        lambda job: worker(job).update(restartPolicy="Never"),
        ("restartPolicy", "ExitCode", "OnFailure", "'Never'"),
    ),
    "no restartPolicy": (
        lambda job: worker(job).pop("restartPolicy"),
        ("restartPolicy", "ExitCode", "OnFailure", "got None"),
    ),
    "an unknown cleanPodPolicy": (
        lambda job: policy(job).update(cleanPodPolicy="running"),
        ("runPolicy.cleanPodPolicy", "All, Running, None", "'running'"),
    ),
    "dynamic workers": (
        lambda job: job["spec"].update(enableDynamicWorker=True),
        ("enableDynamicWorker", "false"),
    ),
    "part of the gang": (
        lambda job: policy(job)["schedulingPolicy"].update(minAvailable=1),
        ("schedulingPolicy.minAvailable", 2, 1),
    ),
    "a pod that ends before its job": (
        lambda job: pod_of(job).update(activeDeadlineSeconds=60),
        ("activeDeadlineSeconds", 60, 604800),
    ),
    "a container of another name": (
        lambda job: container_of(job).update(name="trainer"),
        ("one container", "'tensorflow'", ["trainer"]),
    ),
    "two containers of the name": (
        lambda job: add_container(job, "tensorflow"),
        ("one container", "'tensorflow'"),
    ),
    "a readiness probe": (
        lambda job: container_of(job).update(readinessProbe={"exec": {}}),
        ("readinessProbe", "absent"),
    ),
    "a shell": (
        lambda job: container_of(job).update(command=["/bin/sh", "-c", "python x"]),
        ("command", "'/bin/sh -c'"),
    ),
    "a shell in the arguments": (
        lambda job: container_of(job).update(command=[], args=["bash", "run.sh"]),
        ("command", "'bash run.sh'"),
    ),
    "shared memory on disk": (without_memory, ("/dev/shm", "emptyDir")),
    "no shared memory": (without_mount, ("/dev/shm", "emptyDir")),
    "a long name": (
        lambda job: job["metadata"].update(name="a" * 51),
        ("name", 50),
    ),
    "a name that begins with a digit": (
        lambda job: job["metadata"].update(name="1st"),
        ("name", "letter", "'1st'"),
    ),
    "a namespace in capitals": (
        lambda job: job["metadata"].update(namespace="ML"),
        ("--namespace", 63, "a-z", "0-9", "'ML'"),
    ),
    "an image with a blank": (
        lambda job: container_of(job).update(image="bad image"),
        ("--image", "REPOSITORY:TAG", "blanks", "'bad image'"),
    ),
    "no image": (
        lambda job: container_of(job).pop("image"),
        ("--image", "REPOSITORY:TAG", "got ''"),
    ),
    "memory in no unit": (
        lambda job: container_of(job)["resources"]["limits"].update(memory="16GB"),
        ("--memory", "quantity", "'16GB'"),
    ),
    "less memory than is shared": (
        lambda job: container_of(job)["resources"]["limits"].update(memory="8191Mi"),
        ("--memory", "8Gi", "--shared-memory", "8191Mi"),
    ),
    "shared memory in no unit": (
        lambda job: [
            volume["emptyDir"].update(sizeLimit="8 Gi")
            for volume in pod_of(job)["volumes"]
            if volume["name"] == "dshm"
        ],
        ("sizeLimit", "--shared-memory", "quantity", "'8 Gi'"),
    ),
    "another version": (
        lambda job: job.update(apiVersion="kubeflow.org/v1beta2"),
        ("apiVersion", "kubeflow.org/v1", "'kubeflow.org/v1beta2'"),
    ),
}

# With the config file beside the job, which the trainer reads.
UNFIT_SETTINGS = {
    "no replica": (
        lambda job: worker(job).update(replicas=0),
        ("replicas", 1, "got 0"),
    ),
    "replicas in words": (
        lambda job: worker(job).update(replicas="two"),
        ("replicas", 1, "'two'"),
    ),
    "a short grace": (
        lambda job: pod_of(job).update(terminationGracePeriodSeconds=39),
        ("runtime.grace_secs", 25, 15, 40, 39),
    ),
    "Kubernetes's own grace": (
        lambda job: pod_of(job).pop("terminationGracePeriodSeconds"),
        ("runtime.grace_secs", 40, 30),
    ),
    "a batch that does not divide": (
        lambda job: worker(job).update(replicas=5),
        ("student.train.global_batch_size", 20, "5 workers x 4", 96, 100),
    ),
    "one device of many": (
        lambda job: container_of(job)["command"].append(
            "--set=runtime.strategy='one_device'"
        ),
        ("runtime.strategy", "'auto'", "'multi_worker'"),
    ),
}

WARNINGS = {
    "restartPolicy OnFailure": (
        lambda job: worker(job).update(restartPolicy="OnFailure"),
        ("restartPolicy OnFailure",),
    ),
    "a limit without effect": (
        lambda job: policy(job).update(backoffLimit=3),
        ("runPolicy.backoffLimit", "restartPolicy ExitCode"),
    ),
    "no cleanPodPolicy": (
        lambda job: policy(job).pop("cleanPodPolicy"),
        ("runPolicy.cleanPodPolicy",),
    ),
    "a deadline that nobody watches": (
        lambda job: pod_of(job).pop("activeDeadlineSeconds"),
        ("activeDeadlineSeconds",),
    ),
    "an image that may change": (
        lambda job: container_of(job).update(image="alambic:v1"),
        ("'alambic:v1'", "digest"),
    ),
}

SOUND = {
    "a sidecar": lambda job: add_container(job, "sidecar"),
    "the image's own command": lambda job: container_of(job).pop("command"),
    "AllWorkers": lambda job: job["spec"].update(successPolicy="AllWorkers"),
    "no job deadline": lambda job: policy(job).pop("activeDeadlineSeconds"),
}

# With the config file beside the job.
FIT_SETTINGS = {
    "a chief": lambda job: add_role(job, "Chief"),
    "one worker, many GPUs": lambda job: (
        worker(job).update(replicas=1),
        policy(job)["schedulingPolicy"].update(minAvailable=1),
    ),
    "the words split": lambda job: container_of(job).update(
        command=container_of(job)["command"][:3],
        args=container_of(job)["command"][3:],
    ),
}


def validate(documents, change, tmp_path):
    documents = copy.deepcopy(documents)
    change(of_kind(documents, "TFJob"))
    return launch("validate", write(tmp_path / "manifest.yaml", documents))


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_named_and_ends_with_2(case, sound, tmp_path, capsys):
    change, facts = ERRORS[case]
    assert validate([of_kind(sound, "TFJob")], change, tmp_path) == 2
    err = capsys.readouterr().err
    assert_a_line_states(err, *facts)
    lines = err.splitlines()
    assert all(line.startswith("launch: error: TFJob ") for line in lines)


@pytest.mark.parametrize("case", UNFIT_SETTINGS)
def test_settings_that_the_pods_cannot_do_are_errors(case, sound, tmp_path, capsys):
    change, facts = UNFIT_SETTINGS[case]
    assert validate(sound, change, tmp_path) == 2
    assert_a_line_states(capsys.readouterr().err, *facts)


@pytest.mark.parametrize("case", WARNINGS)
def test_a_warning_is_named_and_ends_with_0(case, sound, tmp_path, capsys):
    change, facts = WARNINGS[case]
    assert validate([of_kind(sound, "TFJob")], change, tmp_path) == 0
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 1
    assert err.startswith("launch: warning: TFJob demo")
    assert_states(err, *facts)
    assert out.endswith("no error\n")


@pytest.mark.parametrize("case", SOUND)
def test_what_is_sound_is_left_alone(case, sound, tmp_path, capsys):
    assert validate([of_kind(sound, "TFJob")], SOUND[case], tmp_path) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("case", FIT_SETTINGS)
def test_settings_that_the_pods_can_do_are_left_alone(case, sound, tmp_path, capsys):
    assert validate(sound, FIT_SETTINGS[case], tmp_path) == 0
    assert capsys.readouterr().err == ""


def test_every_finding_of_every_document_is_printed(sound, tmp_path, capsys):
    second = copy.deepcopy(of_kind(sound, "TFJob"))
    second["metadata"]["name"] = "other"
    worker(second)["restartPolicy"] = "Never"
    policy(second)["cleanPodPolicy"] = "Never"
    assert launch("validate", write(tmp_path / "m.yaml", [*sound, second])) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("TFJob other" in line for line in lines)


def test_the_rules_reach_the_job_that_a_schedule_creates(tmp_path, capsys):
    documents = printed(capsys, "--cron=@daily")
    holder = next(d for d in documents if "job.yaml" in d.get("data", {}))
    text = holder["data"]["job.yaml"]
    holder["data"]["job.yaml"] = text.replace("ExitCode", "Always")
    assert launch("validate", write(tmp_path / "cron.yaml", documents)) == 2
    err = capsys.readouterr().err
    assert_states(err, "TFJob demo-, Worker", "restartPolicy", "ExitCode", "'Always'")


def test_the_rules_reach_the_pods_of_a_runtime(tmp_path, capsys):
    documents = printed(capsys, "--kind=trainjob")
    runtime = of_kind(documents, "TrainingRuntime")
    jobs = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    [job] = jobs
    jobs.append({"name": "dataset-initializer", "template": {}})  # has other pods
    pod = job["template"]["spec"]["template"]["spec"]
    pod["terminationGracePeriodSeconds"] = 20
    pod["containers"][0]["name"] = "tensorflow"
    assert launch("validate", write(tmp_path / "runtime.yaml", documents)) == 2
    assert_states(capsys.readouterr().err, "'node'", ["tensorflow"])
    pod["containers"][0]["name"] = "node"
    runtime["spec"]["mlPolicy"]["numNodes"] = 0
    assert launch("validate", write(tmp_path / "runtime.yaml", documents)) == 2
    assert_states(capsys.readouterr().err, "mlPolicy.numNodes", 1, "got 0")
    runtime["spec"]["mlPolicy"]["numNodes"] = 2
    assert launch("validate", write(tmp_path / "runtime.yaml", documents)) == 2
    [line] = capsys.readouterr().err.splitlines()
    facts = ("TrainingRuntime demo", "terminationGracePeriodSeconds", 40, 20)
    assert_states(line, *facts)


def test_settings_that_the_trainer_refuses_end_with_its_words(sound, tmp_path, capsys):
    documents = copy.deepcopy(sound)
    config_map = of_kind(documents, "ConfigMap")
    config_map["data"]["mnist_mini.toml"] += "temprature = 2.0\n"
    assert launch("validate", write(tmp_path / "m.yaml", documents)) == 2
    assert_states(capsys.readouterr().err, "distill.temprature", "'temperature'")


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("a: [1", ("YAML",)),
        ("- a\n- b", ("objects", ["a", "b"])),
        ("", ("TFJob", "TrainingRuntime")),
        ("kind: ConfigMap", ("TFJob", "TrainingRuntime", "got ConfigMap")),
        ("kind: TFJob", ("tfReplicaSpecs", "Worker")),
        ("kind: TFJob\nspec: {tfReplicaSpecs: {Worker: {}}}", ("got []",)),
        ("kind: TFJob\nspec: {runPolicy: 3, tfReplicaSpecs: [1]}", ("got none",)),
        (
            "kind: TFJob\nspec: {tfReplicaSpecs: {Worker: {replicas: two}}}",
            ("replicas", 1, "'two'"),
        ),
    ],
)
def test_what_is_no_manifest_is_refused(text, facts, tmp_path, capsys):
    path = tmp_path / "file.yaml"
    path.write_text(text)
    assert launch("validate", str(path)) == 2
    assert_states(capsys.readouterr().err, *facts)


def test_a_file_that_is_not_there_is_named(tmp_path, capsys):
    assert launch("validate", str(tmp_path / "absent.yaml")) == 2
    facts = (tmp_path / "absent.yaml", os.strerror(errno.ENOENT))
    assert_states(capsys.readouterr().err, *facts)


def test_a_printed_job_with_a_warning_is_printed_all_the_same(capsys):
    flags = [flag.replace(IMAGE, "alambic") for flag in JOB]
    assert launch(*flags, "--", *COMMAND) == 0
    out, err = capsys.readouterr()
    assert "kind: TFJob" in out
    assert err.startswith("launch: warning: TFJob demo")
    assert_states(err, "Worker", "image 'alambic'")
