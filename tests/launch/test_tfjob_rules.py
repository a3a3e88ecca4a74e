"""What the operator's schema lets through and `tfjob validate` does not."""

import copy

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
        "replicas must be Chief or Worker, got PS: training is synchronous",
    ),
    "an evaluator": (lambda job: add_role(job, "Evaluator"), "got Evaluator"),
    "a master": (lambda job: add_role(job, "Master"), "calls it Chief"),
    "a role in small letters": (
        lambda job: rename_role(job, "worker"),
        "got worker: the operator counts no other",
    ),
    "two chiefs": (
        lambda job: add_role(job, "Chief", replicas=2),
        "there must be one Chief at most",
    ),
    "no replicas at all": (
        lambda job: replicas(job).clear(),
        "tfReplicaSpecs must name Worker, got none",
    ),
    "less than one replica": (
        lambda job: worker(job).update(replicas=-1),
        "replicas must be 1 or more, got -1",
    ),
    "a chief with fewer GPUs": (
        add_smaller_chief,
        "every replica must have as many GPUs as the others, got {'Chief': 2, "
        "'Worker': 4}",
    ),
    "restartPolicy Never": (
        lambda job: worker(job).update(restartPolicy="Never"),
        "restartPolicy must be ExitCode (or OnFailure), got 'Never'",
    ),
    "no restartPolicy": (
        lambda job: worker(job).pop("restartPolicy"),
        "restartPolicy must be ExitCode (or OnFailure), got None",
    ),
    "an unknown cleanPodPolicy": (
        lambda job: policy(job).update(cleanPodPolicy="running"),
        "cleanPodPolicy must be one of All, Running, None, got 'running'",
    ),
    "dynamic workers": (
        lambda job: job["spec"].update(enableDynamicWorker=True),
        "enableDynamicWorker must be false",
    ),
    "part of the gang": (
        lambda job: policy(job)["schedulingPolicy"].update(minAvailable=1),
        "minAvailable must be the 2 replicas, got 1",
    ),
    "a pod that ends before its job": (
        lambda job: pod_of(job).update(activeDeadlineSeconds=60),
        "the pods' activeDeadlineSeconds (60) must not be below the job's (604800)",
    ),
    "a container of another name": (
        lambda job: container_of(job).update(name="trainer"),
        "exactly one container must be named 'tensorflow', got ['trainer']",
    ),
    "two containers of the name": (
        lambda job: add_container(job, "tensorflow"),
        "exactly one container must be named 'tensorflow'",
    ),
    "a readiness probe": (
        lambda job: container_of(job).update(readinessProbe={"exec": {}}),
        "readinessProbe must be absent",
    ),
    "a shell": (
        lambda job: container_of(job).update(command=["/bin/sh", "-c", "python x"]),
        "command must be the program itself, got '/bin/sh -c'",
    ),
    "a shell in the arguments": (
        lambda job: container_of(job).update(command=[], args=["bash", "run.sh"]),
        "command must be the program itself, got 'bash run.sh'",
    ),
    "shared memory on disk": (without_memory, "/dev/shm must be an emptyDir"),
    "no shared memory": (without_mount, "/dev/shm must be an emptyDir"),
    "a long name": (
        lambda job: job["metadata"].update(name="a" * 51),
        "name must have at most 50 characters",
    ),
    "a name that begins with a digit": (
        lambda job: job["metadata"].update(name="1st"),
        "begin with a letter, got '1st' (3)",
    ),
    "a namespace in capitals": (
        lambda job: job["metadata"].update(namespace="ML"),
        "the namespace (--namespace) must have at most 63 characters, of a-z, 0-9 and "
        "- within, got 'ML'",
    ),
    "an image with a blank": (
        lambda job: container_of(job).update(image="bad image"),
        "image (--image) must be REPOSITORY@sha256:... or REPOSITORY:TAG, without "
        "blanks, got 'bad image'",
    ),
    "no image": (lambda job: container_of(job).pop("image"), "without blanks, got ''"),
    "memory in no unit": (
        lambda job: container_of(job)["resources"]["limits"].update(memory="16GB"),
        "memory (--memory) must be a quantity of Kubernetes above zero, such as 500m, "
        "4 or 16Gi, got '16GB'",
    ),
    "less memory than is shared": (
        lambda job: container_of(job)["resources"]["limits"].update(memory="8191Mi"),
        "memory (--memory) must be at least 8Gi, the size of /dev/shm "
        "(--shared-memory), which counts as a part of it, got 8191Mi",
    ),
    "shared memory in no unit": (
        lambda job: [
            volume["emptyDir"].update(sizeLimit="8 Gi")
            for volume in pod_of(job)["volumes"]
            if volume["name"] == "dshm"
        ],
        "sizeLimit (--shared-memory) must be a quantity of Kubernetes above zero",
    ),
    "another version": (
        lambda job: job.update(apiVersion="kubeflow.org/v1beta2"),
        "apiVersion must be kubeflow.org/v1, got 'kubeflow.org/v1beta2'",
    ),
}

# With the config file beside the job, which the trainer reads.
UNFIT_SETTINGS = {
    "no replica": (
        lambda job: worker(job).update(replicas=0),
        "replicas must be 1 or more, got 0",
    ),
    "replicas in words": (
        lambda job: worker(job).update(replicas="two"),
        "replicas must be 1 or more, got 'two'",
    ),
    "a short grace": (
        lambda job: pod_of(job).update(terminationGracePeriodSeconds=39),
        "must be at least 40, which is runtime.grace_secs (25) and 15 more to end in, "
        "got 39",
    ),
    "Kubernetes's own grace": (
        lambda job: pod_of(job).pop("terminationGracePeriodSeconds"),
        "got 30",
    ),
    "a batch that does not divide": (
        lambda job: worker(job).update(replicas=5),
        "student.train.global_batch_size must be a multiple of 20 (5 workers x 4 "
        "devices x accumulate 1), got 96; nearest: 100",
    ),
    "one device of many": (
        lambda job: container_of(job)["command"].append(
            "--set=runtime.strategy='one_device'"
        ),
        "runtime.strategy must be 'auto' or 'multi_worker'",
    ),
}

WARNINGS = {
    "restartPolicy OnFailure": (
        lambda job: worker(job).update(restartPolicy="OnFailure"),
        "restartPolicy OnFailure starts a program again",
    ),
    "a limit without effect": (
        lambda job: policy(job).update(backoffLimit=3),
        "runPolicy.backoffLimit has no effect with restartPolicy ExitCode",
    ),
    "no cleanPodPolicy": (
        lambda job: policy(job).pop("cleanPodPolicy"),
        "runPolicy.cleanPodPolicy is not set",
    ),
    "a deadline that nobody watches": (
        lambda job: pod_of(job).pop("activeDeadlineSeconds"),
        "the pods have no activeDeadlineSeconds",
    ),
    "an image that may change": (
        lambda job: container_of(job).update(image="alambic:v1"),
        "image 'alambic:v1' has no digest",
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
    change, message = ERRORS[case]
    assert validate([of_kind(sound, "TFJob")], change, tmp_path) == 2
    lines = capsys.readouterr().err.splitlines()
    assert any(message in line for line in lines)
    assert all(line.startswith("launch: error: TFJob ") for line in lines)


@pytest.mark.parametrize("case", UNFIT_SETTINGS)
def test_settings_that_the_pods_cannot_do_are_errors(case, sound, tmp_path, capsys):
    change, message = UNFIT_SETTINGS[case]
    assert validate(sound, change, tmp_path) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("case", WARNINGS)
def test_a_warning_is_named_and_ends_with_0(case, sound, tmp_path, capsys):
    change, message = WARNINGS[case]
    assert validate([of_kind(sound, "TFJob")], change, tmp_path) == 0
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 1
    assert err.startswith("launch: warning: TFJob demo")
    assert message in err
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
    assert "TFJob demo-, Worker: restartPolicy must be ExitCode" in err


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
    assert "must be named 'node'" in capsys.readouterr().err
    pod["containers"][0]["name"] = "node"
    runtime["spec"]["mlPolicy"]["numNodes"] = 0
    assert launch("validate", write(tmp_path / "runtime.yaml", documents)) == 2
    assert "mlPolicy.numNodes must be 1 or more, got 0" in capsys.readouterr().err
    runtime["spec"]["mlPolicy"]["numNodes"] = 2
    assert launch("validate", write(tmp_path / "runtime.yaml", documents)) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "TrainingRuntime demo: terminationGracePeriodSeconds" in line
    assert "must be at least 40" in line


def test_settings_that_the_trainer_refuses_end_with_its_words(sound, tmp_path, capsys):
    documents = copy.deepcopy(sound)
    config_map = of_kind(documents, "ConfigMap")
    config_map["data"]["mnist_mini.toml"] += "temprature = 2.0\n"
    assert launch("validate", write(tmp_path / "m.yaml", documents)) == 2
    assert "did you mean 'temperature'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "must be YAML: while parsing"),
        ("- a\n- b", "must hold objects of Kubernetes, got ['a', 'b']"),
        ("", "a manifest must hold one of TFJob, TrainingRuntime with its pods"),
        ("kind: ConfigMap", "got ConfigMap"),
        ("kind: TFJob", "tfReplicaSpecs must name Worker"),
        ("kind: TFJob\nspec: {tfReplicaSpecs: {Worker: {}}}", "got []"),
        ("kind: TFJob\nspec: {runPolicy: 3, tfReplicaSpecs: [1]}", "got none"),
        (
            "kind: TFJob\nspec: {tfReplicaSpecs: {Worker: {replicas: two}}}",
            "replicas must be 1 or more, got 'two'",
        ),
    ],
)
def test_what_is_no_manifest_is_refused(text, message, tmp_path, capsys):
    path = tmp_path / "file.yaml"
    path.write_text(text)
    assert launch("validate", str(path)) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(tmp_path, capsys):
    assert launch("validate", str(tmp_path / "absent.yaml")) == 2
    err = capsys.readouterr().err
    assert "absent.yaml cannot be read: No such file or directory" in err


def test_a_printed_job_with_a_warning_is_printed_all_the_same(capsys):
    flags = [flag.replace(IMAGE, "alambic") for flag in JOB]
    assert launch(*flags, "--", *COMMAND) == 0
    out, err = capsys.readouterr()
    assert "kind: TFJob" in out
    assert err.startswith("launch: warning: TFJob demo, Worker: image 'alambic' has")
