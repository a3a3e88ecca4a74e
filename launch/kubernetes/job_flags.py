"""The flags of `python -m launch tfjob` and of the commands below it."""

import dataclasses
from collections.abc import Sequence

from absl import flags

from launch import installed, program
from launch.errors import LaunchError
from launch.kubernetes.settings_rules import GRACE_MARGIN_SECS

KINDS = ("tfjob", "trainjob")

_WEEK_SECS = 7 * 24 * 3600
_KUBECTL_IMAGE = "registry.k8s.io/kubectl:v1.32.4"
_FOLDER = "pvc://CLAIM/FOLDER or gs://BUCKET/FOLDER"

USAGE = f"""\
usage: python -m launch tfjob FLAG ... -- COMMAND
       python -m launch tfjob validate FILE
       python -m launch tfjob status --name=NAME [--namespace=NAMESPACE] [--kind=KIND]
       python -m launch tfjob logs --name=NAME [--namespace=NAMESPACE] [--kind=KIND]
           [--worker=N] [--follow]

Prints the Kubernetes manifest of a job whose workers run COMMAND, such as
python -m trainer run --config=FILE. The config is checked here and travels in a
ConfigMap; --workdir is added to the command, and --set=runtime.min_gpus, so that no
worker trains on its CPU unseen. validate says what is wrong with a manifest, status
what a job and its pods do; logs prints those of all workers, or of worker N.

flags:
  --name=NAME             of the job; 50 characters, 44 with --cron
  --namespace=NAME        of all its objects (default)
  --image=IMAGE           that holds the program; best by its digest
  --workers=N             pods of the job
  --gpus-per-worker=N     0 for CPUs alone
  --workdir=FOLDER        {_FOLDER}
  --data-dir=FOLDER       prepared data of TFDS, likewise
  --cpu=N                 cores of a worker (4)
  --memory=SIZE           of a worker (16Gi)
  --shared-memory=SIZE    the part of it at /dev/shm, for GPUs (8Gi)
  --grace-secs=S          from SIGTERM to SIGKILL (runtime.grace_secs + \
{GRACE_MARGIN_SECS})
  --deadline-secs=S       of the whole job ({_WEEK_SECS})
  --ttl-secs=S            that a finished TFJob stays ({_WEEK_SECS})
  --service-account=NAME  of the pods (the namespace's own)
  --node-selector=KEY=VALUE
                          a label that nodes must have; may be repeated
  --kind=KIND             {" or ".join(KINDS)}, for Kubeflow Trainer v2 (tfjob)
  --cron=SCHEDULE         prints a CronJob: each time, in UTC, a new job whose files go
                          to a folder of its own in --workdir; those of watch --once
                          go to the same
  --kubectl-image=IMAGE   what creates these jobs ({_KUBECTL_IMAGE})
  --submit                creates the objects with kubectl instead of printing them
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobFlags:
    """The flags before the --; USAGE says what each means."""

    name: str
    namespace: str
    image: str
    workers: int
    gpus_per_worker: int
    workdir: str
    data_dir: str
    cpu: str
    memory: str
    shared_memory: str
    grace_secs: int | None
    deadline_secs: int
    ttl_secs: int
    service_account: str
    node_selector: tuple[tuple[str, str], ...]
    kind: str
    cron: str
    kubectl_image: str
    submit: bool


NAMES = tuple(field.name.replace("_", "-") for field in dataclasses.fields(JobFlags))

_STRINGS = {
    "name": None,
    "namespace": "default",
    "image": None,
    "workdir": None,
    "data-dir": "",
    "cpu": "4",
    "memory": "16Gi",
    "shared-memory": "8Gi",
    "service-account": "",
    "cron": "",
    "kubectl-image": _KUBECTL_IMAGE,
}
_NUMBERS = {  # with the least that each may be
    "workers": (None, 1),
    "gpus-per-worker": (None, 0),
    "grace-secs": (None, 1),
    "deadline-secs": (_WEEK_SECS, 1),
    "ttl-secs": (_WEEK_SECS, 1),
}
_REQUIRED = ("name", "image", "workers", "gpus-per-worker", "workdir")


def parse(words: Sequence[str]) -> JobFlags | None:
    """Reads the flags before the --; None once --help has been answered.

    Raises:
      LaunchError: a flag is unknown, malformed or missing.
    """
    values = flags.FlagValues()
    for name, text in _STRINGS.items():
        flags.DEFINE_string(name, text, "see USAGE", flag_values=values)
    for name, (number, least) in _NUMBERS.items():
        flags.DEFINE_integer(
            name, number, "see USAGE", lower_bound=least, flag_values=values
        )
    flags.DEFINE_multi_string("node-selector", [], "see USAGE", flag_values=values)
    flags.DEFINE_enum("kind", KINDS[0], KINDS, "see USAGE", flag_values=values)
    flags.DEFINE_boolean("submit", False, "see USAGE", flag_values=values)
    # The flags end at the first other word, so that those of a program stay its own.
    values.set_gnu_getopt(False)
    stray = read(values, words)
    if stray is None:
        return None
    if stray:
        raise LaunchError(
            "python -m launch tfjob takes flags before -- and the command after it, "
            f"got {' '.join(stray)} before"
        )
    require(values, _REQUIRED)
    found = {
        field.name: values[field.name.replace("_", "-")].value
        for field in dataclasses.fields(JobFlags)
    }
    return JobFlags(
        **{**found, "node_selector": tuple(map(_pair, found["node_selector"]))}
    )


def read(values: flags.FlagValues, words: Sequence[str]) -> list[str] | None:
    """Reads flags into `values`; returns the other words, None after --help.

    Raises:
      LaunchError: a flag is unknown or malformed.
    """
    flags.DEFINE_boolean("help", False, "show this help", flag_values=values)
    try:
        others: list[str] = values(["tfjob", *words])[1:]
    except flags.Error as error:
        raise program.unusable_flag(error, command="tfjob") from None
    if values.help:
        print(installed.as_started(USAGE), end="")
        return None
    return others


def require(values: flags.FlagValues, names: Sequence[str]) -> None:
    """Raises LaunchError where one of the flags has no value."""
    for name in names:
        if values[name].value in (None, ""):
            raise LaunchError(
                f"--{name} must be given, got none; see python -m launch tfjob --help"
            )


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not (key and sign):
        raise LaunchError(
            f"--node-selector must be KEY=VALUE, got {text!r}; for example "
            "--node-selector=kubernetes.io/arch=amd64"
        )
    return key, value
