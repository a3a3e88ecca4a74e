"""The manifests that `python -m launch tfjob` prints."""

import dataclasses
import subprocess
import sys

import pytest
import yaml

from launch.kubernetes import job_flags
from launch.kubernetes.yaml_stream import dump
from tests.helpers.manifests import (
    COMMAND,
    JOB,
    container_of,
    launch,
    of_kind,
    pod_of,
    printed,
)
from tests.helpers.messages import assert_states
from tests.helpers.repository import REPOSITORY

GOLDEN = REPOSITORY / "tests" / "golden"
MNIST_MINI = (REPOSITORY / "configs" / "mnist_mini.toml").read_text()


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


@pytest.mark.parametrize(
    ("file", "flags"),
    [
        (
            "tfjob.yaml",
            ["--data-dir=pvc://datasets/tfds", "--node-selector=gpu=h100"],
        ),
        ("tfjob_cron.yaml", ["--cron=0 3 * * *"]),
        ("trainjob.yaml", ["--kind=trainjob", "--service-account=trainer"]),
    ],
)
def test_the_manifests_are_those_of_the_golden_files(file, flags, capsys, request):
    assert launch(*JOB, *flags, "--", *COMMAND) == 0
    text = capsys.readouterr().out
    if request.config.getoption("--update-golden"):
        (GOLDEN / file).write_text(text)
    assert text == (GOLDEN / file).read_text()


def test_a_manifest_is_the_same_in_every_process(capsys):
    assert launch(*JOB, "--", *COMMAND) == 0
    again = subprocess.run(
        [sys.executable, "-m", "launch", "tfjob", *JOB, "--", *COMMAND],
        env={"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout == capsys.readouterr().out


@pytest.mark.parametrize(
    "flag",
    [
        ["--config=configs/mnist_mini.toml"],
        ["--config", "configs/mnist_mini.toml"],
        pytest.param(["-config=configs/mnist_mini.toml"], marks=pytest.mark.slow),
    ],
)
def test_the_config_travels_in_the_config_map(flag, capsys):
    command = ["python", "-m", "trainer", "run", *flag, "--set=seeds=[0]"]
    documents = printed(capsys, command=command)
    config_map = of_kind(documents, "ConfigMap")
    assert config_map["data"] == {"mnist_mini.toml": MNIST_MINI}
    tfjob = of_kind(documents, "TFJob")
    assert container_of(tfjob)["command"] == [
        *("python", "-m", "trainer", "run"),
        "--config=/etc/alambic/mnist_mini.toml",
        "--set=seeds=[0]",
        "--set=runtime.min_gpus=4",
        "--workdir=/mnt/alambic/runs/demo",
    ]
    assert "args" not in container_of(tfjob)
    [volume] = [v for v in pod_of(tfjob)["volumes"] if v["name"] == "config"]
    assert volume["configMap"]["name"] == config_map["metadata"]["name"]
    mounts = {m["name"]: m["mountPath"] for m in container_of(tfjob)["volumeMounts"]}
    assert mounts["config"] == "/etc/alambic"


def test_a_config_with_its_own_least_gpus_keeps_it(capsys):
    command = (*COMMAND, "--set=runtime.min_gpus=2")
    words = container_of(of_kind(printed(capsys, command=command), "TFJob"))["command"]
    assert [w for w in words if "min_gpus" in w] == ["--set=runtime.min_gpus=2"]


def test_one_claim_is_one_volume_however_many_folders_it_holds(capsys):
    documents = printed(capsys, "--data-dir=pvc://alambic/tfds")
    tfjob = of_kind(documents, "TFJob")
    claims = [v for v in pod_of(tfjob)["volumes"] if "persistentVolumeClaim" in v]
    assert [v["persistentVolumeClaim"]["claimName"] for v in claims] == ["alambic"]
    env = {e["name"]: e.get("value") for e in container_of(tfjob)["env"]}
    assert env["TFDS_DATA_DIR"] == "/mnt/alambic/tfds"


def test_a_bucket_needs_no_volume(capsys):
    documents = printed(capsys, "--workdir=gs://bucket/run/", "--gpus-per-worker=0")
    tfjob = of_kind(documents, "TFJob")
    assert container_of(tfjob)["command"][-1] == "--workdir=gs://bucket/run/"
    assert {v["name"] for v in pod_of(tfjob)["volumes"]} == {"config", "scratch"}


def test_without_gpus_there_is_nothing_about_gpus(capsys):
    text = yaml.safe_dump_all(printed(capsys, "--gpus-per-worker=0"))
    assert "nvidia.com/gpu" not in text
    assert "/dev/shm" not in text
    assert "min_gpus" not in text


def test_the_pod_outlives_the_trainer_s_grace(capsys):
    command = (*COMMAND, "--set=runtime.grace_secs=100")
    tfjob = of_kind(printed(capsys, command=command), "TFJob")
    assert pod_of(tfjob)["terminationGracePeriodSeconds"] == 115


def test_the_images_to_predict_are_words_of_the_command(capsys):
    command = (*COMMAND[:3], "predict", *COMMAND[4:], "--output", "x.csv", "gs://b/in")
    words = container_of(of_kind(printed(capsys, command=command), "TFJob"))["command"]
    assert words[-5:-2] == ["--output", "x.csv", "gs://b/in"]


def test_variables_of_kubernetes_in_the_command_stay_words(capsys):
    command = (*COMMAND, '--set=name="$(HOME)"')
    words = container_of(of_kind(printed(capsys, command=command), "TFJob"))["command"]
    assert '--set=name="$$(HOME)"' in words


def test_each_job_of_a_schedule_has_a_name_and_a_folder_of_its_own(capsys):
    documents = printed(capsys, "--cron=@daily")
    cron = of_kind(documents, "CronJob")
    [container] = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    maps = {d["metadata"]["name"]: d for d in documents if d["kind"] == "ConfigMap"}
    [tfjob] = yaml.safe_load_all(maps["demo-job"]["data"]["job.yaml"])
    assert container["command"][1:] == ["create", "--filename=/etc/alambic/job.yaml"]
    assert "name" not in tfjob["metadata"]
    assert tfjob["metadata"]["generateName"] == "demo-"
    assert container_of(tfjob)["command"][-1].endswith("/runs/demo/$(JOB_NAME)")
    [name] = [e for e in container_of(tfjob)["env"] if e["name"] == "JOB_NAME"]
    label = name["valueFrom"]["fieldRef"]["fieldPath"]
    assert label == "metadata.labels['training.kubeflow.org/job-name']"


def test_all_jobs_of_a_watch_have_one_folder(capsys):
    command = (*COMMAND[:3], "watch", "--once", *COMMAND[4:])
    documents = printed(capsys, "--cron=@hourly", "--workers=1", command=command)
    maps = {d["metadata"]["name"]: d for d in documents if d["kind"] == "ConfigMap"}
    [tfjob] = yaml.safe_load_all(maps["demo-job"]["data"]["job.yaml"])
    words = container_of(tfjob)["command"]
    assert words[3:5] == ["watch", "--once"]
    assert words[-1] == "--workdir=/mnt/alambic/runs/demo"


def test_the_second_operator_s_pods_make_their_tf_config_themselves(capsys):
    documents = printed(capsys, "--kind=trainjob")
    runtime = of_kind(documents, "TrainingRuntime")
    [job] = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    [container] = job["template"]["spec"]["template"]["spec"]["containers"]
    assert container["command"][:6] == ["python", "-m", "launch", "env", "--", "python"]
    env = {e["name"]: e.get("value") for e in container["env"]}
    assert env["ALAMBIC_WORKERS"] == "2"
    assert env["ALAMBIC_HOST"] == "demo-node-0-{index}.demo"
    train_job = of_kind(documents, "TrainJob")
    assert train_job["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"]
    assert train_job["spec"]["trainer"]["numNodes"] == 2


# Kubernetes' YAML reads each of these, unquoted, as another type.
@pytest.mark.parametrize(
    "value", ["y", "N", "on", "1e3", "12e4567", "0x1f", "null", ""]
)
def test_strings_that_look_like_something_else_are_quoted(value):
    line = dump([{"key": value}]).splitlines()[1]
    assert line in (f'key: "{value}"', f"key: '{value}'")


def test_text_of_many_lines_stays_readable_and_comes_back_as_it_was():
    text = 'a = "b"\n\n# K\u00fcche\n  indented\n'
    assert '  a = "b"\n\n  # K\u00fcche\n' in dump([{"text": text}])
    assert yaml.safe_load(dump([{"text": text}])) == {"text": text}
    hidden = "ends in blanks  \n\tbegins with a tab\n"
    assert yaml.safe_load(dump([{"text": hidden}])) == {"text": hidden}


CONFIG = "--config=configs/mnist_mini.toml"
FINETUNE = "{global_batch_size=24, steps=5}"
MEMBERS = (
    "[{model='cnn', weights='a.keras'}, "
    "{model='mlp', train={global_batch_size=24, steps=5}}]"
)


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (
            [],
            ("--name", "got none"),
        ),
        (
            [*JOB, "--worker=3"],
            ("flag", "'worker'"),
        ),
        (
            [*JOB, "--workers=0", "--", *COMMAND],
            ("--workers=0", "positive"),
        ),
        (
            [*JOB],
            ("COMMAND", "--config=FILE", "TOML", "got 0"),
        ),
        (
            [*JOB, "--", "python", "train.py"],
            ("COMMAND", "--config=FILE"),
        ),
        ([*JOB, "--", CONFIG, CONFIG], ("got 2",)),
        (
            [*JOB, "--", CONFIG, "--workdir=x"],
            ("COMMAND", "--workdir"),
        ),
        (
            [*JOB, "--", CONFIG, "--workdir", "x"],
            ("COMMAND", "--workdir"),
        ),
        ([*JOB, "--", "--config=absent.toml"], ("'absent.toml'",)),
        ([*JOB, "--", CONFIG, "--set=seed=[0]"], ("'seeds'",)),
        ([*JOB, "--", CONFIG, "--set", "seeds=[]"], ("seeds",)),
        (
            [*JOB, "--workdir=/mnt/runs", "--", CONFIG],
            ("--workdir", "pvc://CLAIM"),
        ),
        (
            [*JOB, "--workdir=pvc://a/../b", "--", CONFIG],
            ("--workdir", "pvc://"),
        ),
        (
            [*JOB, "--workdir=pvc://A_b/c", "--", CONFIG],
            ("--workdir", "pvc://"),
        ),
        (
            [*JOB, "--data-dir=data", "--", CONFIG],
            ("--data-dir", "pvc://CLAIM"),
        ),
        (
            [*JOB, "--data-dir=gs://b/t", "--", CONFIG, "--set=data.data_dir='/d'"],
            ("data.data_dir", "--data-dir"),
        ),
        (
            [*JOB, "--node-selector=gpu", "--", CONFIG],
            ("KEY=VALUE", "'gpu'"),
        ),
        ([*JOB, "--cron=daily", "--", CONFIG], ("--cron",)),
        (
            [*JOB, "--cron=@daily", "--kind=trainjob", "--", CONFIG],
            ("--cron", "got --kind"),
        ),
        (
            [*JOB, "--cron=@daily", "--", "-m", "trainer", "watch", CONFIG],
            ("--once", "--cron"),
        ),
        ([*JOB, "--name=Demo", "--", CONFIG], ("50",)),
        (
            [*JOB, f"--name={'x' * 45}", "--cron=@daily", "--", CONFIG],
            ("name", 44, "letter", f"'{'x' * 45}'", 45),
        ),
        pytest.param(
            [*JOB, "--grace-secs=30", "--", CONFIG],
            ("terminationGracePeriodSeconds", "--grace-secs", "40"),
            marks=pytest.mark.slow,
        ),
        ([*JOB, "--", "sh", "-c", "x", CONFIG], ("command", "'sh -c'")),
        pytest.param(
            [*JOB, "--workers=5", "--", CONFIG],
            ("teacher.train.global_batch_size", "20"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [*JOB, "--workers=5", "--", CONFIG, f"--set=teacher={{members={MEMBERS}}}"],
            ("teacher.members[1].train.global_batch_size", "20"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [*JOB, "--workers=5", "--", CONFIG, "--set=finetune=" + FINETUNE],
            ("finetune.global_batch_size", "20"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [*JOB, "--", CONFIG, "--set=runtime.strategy='mirrored'"],
            ("runtime.strategy", "'auto'", "'multi_worker'", "2"),
            marks=pytest.mark.slow,
        ),
        (
            [*JOB, "--", CONFIG, "--set=runtime.min_gpus=8"],
            ("runtime.min_gpus", "4"),
        ),
        (
            ["validate"],
            ("FILE", "got none"),
        ),
        (
            ["status", "--nam=demo"],
            ("flag", "'nam'"),
        ),
        (["status"], ("--name",)),
        (["logs", "demo", "--name=demo"], ("got demo",)),
        ([*JOB, "--memory=16GB", "--", CONFIG], ("--memory", "quantity", "'16GB'")),
        ([*JOB, "--namespace=ML", "--", CONFIG], ("--namespace", "'ML'")),
        (
            [*JOB, "--image=", "--", CONFIG],
            ("--image", "got none"),
        ),
        (["stauts", *JOB], ("validate", "status", "logs")),
        (
            [*JOB, *COMMAND],
            ("--", "python -m trainer run"),
        ),
        (
            [*JOB, "--", *COMMAND, "--submit"],
            ("COMMAND", "--submit"),
        ),
        (
            [*JOB, "--", *COMMAND, "-image", "x"],
            ("COMMAND", "-image"),
        ),
        (
            [*JOB, "--", *COMMAND, "--nosubmit"],
            ("COMMAND", "--nosubmit"),
        ),
        ([*JOB, "--", *COMMAND, "--node-selector=a=b"], ("--node-selector=a=b",)),
        (
            [*JOB, "--", *COMMAND, "--workers=3"],
            ("COMMAND", "--workers=3"),
        ),
        (
            [*JOB, "--", *COMMAND[:3], "rnu", CONFIG],
            ("-m trainer", "run, teacher, soft-targets, student", "rnu"),
        ),
        ([*JOB, "--", *COMMAND[:3], "--config", "run"], ("predict PATH", "got none")),
        (
            [*JOB, "--", *COMMAND[:3], "predict", CONFIG],
            ("predict PATH", "got predict"),
        ),
        (
            [*JOB, "--", *COMMAND[:3], CONFIG, "sweep"],
            ("--workers", 1, "trainer sweep", 2),
        ),
        (
            [*JOB, "--", *COMMAND[:3], CONFIG, "watch"],
            ("--workers", 1, "trainer watch", 2),
        ),
        (
            [*JOB, "--workers=two"],
            ("--workers", "'two'"),
        ),
        ([*JOB, "--kind=job", "--", CONFIG], ("--kind=job",)),
    ],
)
def test_a_wrong_command_line_ends_with_its_reason_and_2(words, facts, capsys):
    assert launch(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("launch: ")
    assert_states(err, *facts)
    assert "Traceback" not in err


def test_a_file_name_that_no_config_map_takes_is_refused(tmp_path, capsys):
    (tmp_path / "a b.toml").write_text(MNIST_MINI)
    assert launch(*JOB, "--", f"--config={tmp_path}/a b.toml") == 2
    assert_states(capsys.readouterr().err, "ConfigMap", "'a b.toml'")


def test_without_pyyaml_the_extra_is_named(tmp_path):
    (tmp_path / "yaml.py").write_text("raise ImportError('no yaml here')\n")
    done = subprocess.run(
        [sys.executable, "-m", "launch", "tfjob", *JOB, "--", *COMMAND],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install '.[kubernetes]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [[], ["validate"], ["status"], ["logs"]])
def test_help_names_every_flag(words, capsys):
    assert launch(*words, "--help") == 0
    out = capsys.readouterr().out
    for field in dataclasses.fields(job_flags.JobFlags):
        assert f"--{field.name.replace('_', '-')}" in out
    for text in ("pvc://CLAIM/FOLDER", "tfjob validate FILE", "--follow"):
        assert text in out
