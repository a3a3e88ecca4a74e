"""What the launcher prints and ships, against the schemas of Kubernetes."""

import copy
import functools
import json
import re
import shlex
import shutil
import subprocess
import tomllib

import jsonschema
import kubernetes_validate
import pytest
import yaml

from launch.kubernetes.yaml_stream import dump
from tests.helpers.manifests import (
    container_of,
    launch,
    of_kind,
    pod_of,
    printed_once,
    write,
)
from tests.helpers.repository import REPOSITORY

CRD = REPOSITORY.parent / "shared" / "kubernetes" / "tfjob-v1.9.4.crd.min.json"
KUBERNETES = REPOSITORY / "launch" / "k8s"
CUSTOM_KINDS = ("TFJob", "TrainingRuntime", "TrainJob", "Kustomization")
FLAGS = (
    ["--data-dir=pvc://datasets/tfds", "--node-selector=gpu=h100"],
    ["--gpus-per-worker=0", "--workers=1", "--workdir=gs://bucket/run"],
    ["--cron=0 3 * * *", "--service-account=trainer"],
    ["--kind=trainjob"],
)
VARIANTS = pytest.mark.parametrize("flags", FLAGS, ids=lambda flags: flags[0])


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


def strict(schema):
    """The schema with every field that it does not name forbidden."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    # A field may itself be called "properties"; then its schema is an object's.
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        found.setdefault("additionalProperties", False)
    return found


def tfjobs_in(documents):
    """TFJobs, those in ConfigMaps included."""
    for document in documents:
        for text in document.get("data", {}).values():
            if text.startswith("---"):
                yield from tfjobs_in(yaml.safe_load_all(text))
        if document["kind"] == "TFJob":
            yield document


def pod_templates(value):
    """Every pod template below `value`."""
    if isinstance(value, dict):
        if "containers" in value.get("spec", {}):
            yield value
        for item in value.values():
            yield from pod_templates(item)
    elif isinstance(value, list):
        for item in value:
            yield from pod_templates(item)


@pytest.fixture(scope="module")
def tfjob_schema():
    if not CRD.exists():
        pytest.skip(f"the operator's schema is not at {CRD}")
    schema = strict(json.loads(CRD.read_text()))
    schema["properties"]["metadata"] = {"type": "object"}
    return jsonschema.Draft202012Validator(schema)


@VARIANTS
def test_the_tfjob_has_the_fields_of_the_operator_s_schema(flags, tfjob_schema):
    documents = printed_once(*flags)
    tfjobs = list(tfjobs_in(documents))
    assert len(tfjobs) == ("--kind=trainjob" not in flags)
    for tfjob in tfjobs:
        tfjob_schema.validate(tfjob)


def test_the_schema_sees_a_field_of_another_name(tfjob_schema):
    tfjob = copy.deepcopy(of_kind(printed_once(), "TFJob"))
    container_of(tfjob)["comand"] = container_of(tfjob).pop("command")
    with pytest.raises(jsonschema.ValidationError, match="comand"):
        tfjob_schema.validate(tfjob)


def validate_strictly(document):
    kubernetes_validate.validate(document, "1.37", strict=True)


@VARIANTS
def test_every_other_object_has_the_fields_of_kubernetes(flags):
    documents = printed_once(*flags)
    for document in documents:
        if document["kind"] not in CUSTOM_KINDS:
            validate_strictly(document)
    templates = [
        template
        for document in [*documents, *tfjobs_in(documents)]
        for template in pod_templates(document)
    ]
    assert templates
    for template in templates:
        head = {"apiVersion": "v1", "kind": "Pod"}
        pod = {**head, **template, "metadata": {"name": "x", **template["metadata"]}}
        validate_strictly(pod)


@VARIANTS
def test_the_pods_of_a_job_are_reached_by_each_other_alone(flags):
    documents = printed_once(*flags)
    spec = of_kind(documents, "NetworkPolicy")["spec"]
    own = spec["podSelector"]["matchLabels"]
    assert own["app.kubernetes.io/instance"] == "demo"
    assert spec == {
        "podSelector": {"matchLabels": own},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": own}}]}],
    }
    templates = [*pod_templates([*documents, *tfjobs_in(documents)])]
    assert templates
    for template in templates:
        assert own.items() <= template["metadata"]["labels"].items()


def test_the_jobs_of_a_runtime_have_the_fields_of_kubernetes():
    runtime = of_kind(printed_once("--kind=trainjob"), "TrainingRuntime")
    [job] = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    head = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}}
    validate_strictly({**head, "spec": job["template"]["spec"]})
    [rule] = job["template"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["values"] == [1, 2, 3, 4, 5, 130]


@VARIANTS
def test_what_is_printed_breaks_no_rule(flags, capsys, tmp_path):
    path = write(tmp_path / "manifest.yaml", printed_once(*flags))
    assert launch("validate", path) == 0
    assert capsys.readouterr().err == ""


@functools.cache
def kustomized(folder):
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not on PATH")
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    return list(yaml.safe_load_all(done.stdout))


OVERLAYS = sorted(path.parent for path in KUBERNETES.rglob("kustomization.yaml"))


@pytest.mark.parametrize("folder", OVERLAYS, ids=lambda path: path.name)
def test_each_folder_is_built_and_breaks_no_rule(folder, tmp_path, capsys):
    documents = kustomized(folder)
    for document in documents:
        if document["kind"] not in CUSTOM_KINDS:
            validate_strictly(document)
    tfjob = of_kind(documents, "TFJob")
    claim = of_kind(documents, "PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    claims = [v.get("persistentVolumeClaim") for v in pod_of(tfjob)["volumes"]]
    assert {"claimName": claim["metadata"]["name"]} in claims
    account = of_kind(documents, "ServiceAccount")["metadata"]["name"]
    assert pod_of(tfjob)["serviceAccountName"] == account
    assert launch("validate", write(tmp_path / "built.yaml", documents)) == 0
    assert "error" not in capsys.readouterr().err


@pytest.mark.parametrize("folder", OVERLAYS, ids=lambda path: path.name)
def test_each_folder_s_job_has_the_fields_of_the_operator_s_schema(
    folder, tfjob_schema
):
    tfjob_schema.validate(of_kind(kustomized(folder), "TFJob"))


def test_spot_pods_end_within_the_fifteen_seconds_that_their_node_leaves():
    tfjob = of_kind(kustomized(KUBERNETES / "overlays" / "gke-spot"), "TFJob")
    assert "--set=runtime.grace_secs=10" in container_of(tfjob)["command"]
    plain = of_kind(kustomized(KUBERNETES / "base"), "TFJob")
    tolerations = [len(pod_of(job)["tolerations"]) for job in (plain, tfjob)]
    assert tolerations == [1, 2]


def test_an_overlay_puts_its_own_image_in_place(tmp_path):
    shutil.copytree(KUBERNETES / "base", tmp_path / "base")
    (tmp_path / "mine").mkdir()
    own = {
        "resources": ["../base"],
        "namespace": "mine",
        "images": [{"name": "alambic", "newName": "own/alambic", "newTag": "v1"}],
    }
    (tmp_path / "mine" / "kustomization.yaml").write_text(dump([own]))
    documents = kustomized(tmp_path / "mine")
    assert {d["metadata"]["namespace"] for d in documents} == {"mine"}
    assert container_of(of_kind(documents, "TFJob"))["image"] == "own/alambic:v1"


def test_the_job_of_the_base_is_what_its_first_line_prints(capsys, request):
    path = KUBERNETES / "base" / "job.yaml"
    command = path.read_text().splitlines()[0].removeprefix("# ")
    words = shlex.split(command)
    assert words[:4] == ["python", "-m", "launch", "tfjob"]
    assert launch(*words[4:]) == 0
    text = capsys.readouterr().out
    if request.config.getoption("--update-golden"):
        path.write_text(text)
    assert text == path.read_text()


def dockerfile():
    """The instructions, in order."""
    text = (REPOSITORY / "launch" / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [line.split(maxsplit=1) for line in lines]


def test_the_image_runs_the_program_itself_as_a_user_without_rights():
    instructions = dict(dockerfile())  # the last of each kind is the one that holds
    assert json.loads(instructions["ENTRYPOINT"]) == ["python", "-m"]
    assert json.loads(instructions["CMD"])[0] == "trainer"
    user = int(instructions["USER"])
    assert user == 1000
    assert any(f"--uid={user} " in text for _, text in dockerfile())
    for name in ("PYTHONUNBUFFERED=1", "PYTHONFAULTHANDLER=1", "NVIDIA_VISIBLE"):
        assert name in instructions["ENV"]


def test_the_image_has_the_versions_of_the_project():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    [wanted] = [d for d in project["dependencies"] if d.startswith("tensorflow>")]
    text = " ".join(text for _, text in dockerfile())
    [version] = re.findall(r'"tensorflow\[and-cuda\]==(\d+\.\d+)\.\*"', text)
    major, minor = map(int, version.split("."))
    assert wanted == f"tensorflow>={version},<{major}.{minor + 1}"
    [python] = re.findall(r"python:(\d+\.\d+)-slim", text)
    assert tuple(map(int, python.split("."))) >= (3, 11)
    [extras] = re.findall(r"/opt/alambic\[([\w,]+)\]", text)
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()


def test_the_image_takes_what_the_package_is_built_from_and_docker_lets_through():
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    copied = [
        word.rstrip("/")
        for kind, text in dockerfile()
        if kind == "COPY"
        for word in text.split()[:-1]
    ]
    for name in copied:
        assert (REPOSITORY / name).exists(), name
        assert f"!{name}" in ignored
    assert ignored[0] == "*"
    pyproject = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    files = {"pyproject.toml", pyproject["project"]["readme"]}
    files |= set(pyproject["project"]["license-files"])
    assert files <= set(copied)


def test_strictness_reaches_every_object_of_a_schema():
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {}}}}
    inner = copy.deepcopy(schema)
    schema["properties"]["a"]["items"] = inner
    with pytest.raises(jsonschema.ValidationError, match="'b' was unexpected"):
        jsonschema.validate({"a": [{"b": 1}]}, strict(schema))
