"""What Kubernetes' own API server is asked, and what the launcher tells of it."""

import copy
import functools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import yaml

from tests.helpers.manifests import COMMAND, JOB, container_of, of_kind
from tests.helpers.repository import REPOSITORY
from tests.tools.real_parts.api_server import Server
from tests.tools.real_parts.outcomes import PartError

_CRON = ("--cron=0 3 * * *", "--service-account=trainer")
_TRAINJOB = ("--kind=trainjob", "--service-account=trainer")
_VARIANTS: dict[str, Sequence[str]] = {
    "a TFJob": (),
    "a TFJob with data": ("--data-dir=pvc://sets/tfds", "--node-selector=gpu=h100"),
    "a TFJob without GPUs": ("--gpus-per-worker=0", "--workdir=gs://bucket/run"),
    "a CronJob": _CRON,
    "a TrainJob": _TRAINJOB,
    "a TrainJob without GPUs": ("--kind=trainjob", "--gpus-per-worker=0"),
}
_FOLDERS = ("base", "overlays/gke-spot", "overlays/kueue")
_WHERE = ("--name=demo", "--namespace=ml")


class Parts:
    """The manifests, given to one server."""

    def __init__(self, server: Server) -> None:
        """The server knows the kinds, and the namespaces of the manifests."""
        self._server = server

    def all(self) -> dict[str, Callable[[], None]]:
        """The parts by what they try, in their order."""
        rendered = {
            what: functools.partial(self._check_rendered, *flags)
            for what, flags in _VARIANTS.items()
        }
        folders = {
            f"launch/k8s/{name}": functools.partial(self._check_folder, name)
            for name in _FOLDERS
        }
        return {
            **rendered,
            **folders,
            "a misspelt field is refused": self.refuse_field,
            "a pod that may be root is refused": self.refuse_root,
            "the JobSet and the Job below a TrainJob": self.check_below,
            "the account of a CronJob may create its job": self.check_account,
            "a job is submitted once": self.submit,
            "status of a TrainJob and its pods": self.tell_status,
        }

    def _check_rendered(self, *flags: str) -> None:
        self._check(self._render(*flags))

    def _check_folder(self, name: str) -> None:
        text = self._server.kubectl("kustomize", str(REPOSITORY / "launch/k8s" / name))
        self._check(list(yaml.safe_load_all(text)))

    def _check(self, documents: Sequence[Any]) -> None:
        """The objects, those that a ConfigMap holds, and a pod of each template."""
        everything = [*documents, *_held(documents)]
        self._server.check(everything)
        pods = list(_pods(everything))
        if not pods:
            raise PartError("it has no pod")
        self._server.check(pods)

    def refuse_field(self) -> None:
        tfjob = copy.deepcopy(of_kind(self._render(), "TFJob"))
        container_of(tfjob)["comand"] = container_of(tfjob).pop("command")
        self._expect_refusal([tfjob], "comand")

    def refuse_root(self) -> None:
        [pod] = _pods(self._render())
        cron = of_kind(self._render(*_CRON), "CronJob")
        template = cron["spec"]["jobTemplate"]["spec"]["template"]
        for document, spec in ((pod, pod["spec"]), (cron, template["spec"])):
            del spec["securityContext"]["runAsNonRoot"]
            self._expect_refusal([document], "runAsNonRoot")

    def check_below(self) -> None:
        """What the operators make of a TrainJob, which their own code completes."""
        runtime = of_kind(self._render(*_TRAINJOB), "TrainingRuntime")
        spec = runtime["spec"]["template"]["spec"]
        metadata = {"name": "demo", "namespace": "ml"}
        version = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet"}
        [replicated] = spec["replicatedJobs"]
        workers = runtime["spec"]["mlPolicy"]["numNodes"]
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata,
            "spec": {
                **replicated["template"]["spec"],
                "completions": workers,
                "parallelism": workers,
                "completionMode": "Indexed",
            },
        }
        self._server.check([{**version, "metadata": metadata, "spec": spec}, job])

    def check_account(self) -> None:
        documents = self._render(*_CRON)
        account = [d for d in documents if d["kind"] in ("Role", "RoleBinding")]
        self._server.kubectl(
            "create", "--filename=-", text="\n".join(map(json.dumps, account))
        )
        user = "--as=system:serviceaccount:ml:demo"
        self._server.check(list(_held(documents)), user)
        secret = ("get", "secrets", "--namespace=ml", user)
        if self._server.try_kubectl(*secret).returncode == 0:
            raise PartError("it may read secrets too")

    def submit(self) -> None:
        for words in (("--submit",), ("--submit", *_TRAINJOB, "--name=other")):
            self._launch(*JOB, *words, "--", *COMMAND)
        again = self._try_launch(*JOB, "--submit", "--", *COMMAND)
        if again.returncode != 2 or "already exists" not in again.stderr:
            raise PartError(f"the second time: {again.stderr}")
        told = self._launch("status", *_WHERE)
        if "Training Operator" not in told:
            raise PartError(f"no operator runs, and it says {told}")

    def tell_status(self) -> None:
        """As Kubeflow Trainer and JobSet would have it after a restart."""
        where = ("--name=other", "--namespace=ml", "--kind=trainjob")
        told = self._launch("status", *where)
        _expect(told, "JobSet installed", "0 of 2 pods")
        jobs = {"name": "node", "ready": 1, "active": 1}
        jobs |= {"succeeded": 0, "failed": 0, "suspended": 0}
        self._set_status(
            "trainjobs.trainer.kubeflow.org", "other", {"jobsStatus": [jobs]}
        )
        runtime = of_kind(self._render(*_TRAINJOB), "TrainingRuntime")
        [pod] = _pods([runtime])
        for index in range(2):
            self._make_pod(copy.deepcopy(pod), index)
        state = {"terminated": {"exitCode": 138, "startedAt": None, "finishedAt": None}}
        status = {"name": "node", "image": "x", "imageID": "x"}
        status |= {"ready": False, "restartCount": 0, "state": state}
        ended = {"phase": "Failed", "containerStatuses": [status]}
        self._set_status("pods", "other-node-0-1", ended)
        told = self._launch("status", *where)
        _expect(told, "other: Running", "2 of 2 pods: 1 Failed, 1 Pending")
        _expect(told, "started again: 1", "other-node-0-1: ended with 138")
        # No node is there to have logs, and the one of the wanted worker is asked.
        logs = self._try_launch("logs", *where, "--worker=0").stderr
        _expect(logs, "node-0")
        if "node-1" in logs:
            raise PartError(f"logs of worker 0 alone: {logs}")
        logs = self._try_launch("logs", *where, "--worker=2").stderr
        _expect(logs, "no pod", "job-completion-index=2")

    def _make_pod(self, pod: dict, index: int) -> None:
        """A pod as JobSet names and labels it."""
        pod["metadata"]["name"] = f"other-node-0-{index}"
        pod["spec"]["nodeName"] = f"node-{index}"
        pod["metadata"]["labels"] |= {
            "batch.kubernetes.io/job-completion-index": str(index),
            "jobset.sigs.k8s.io/jobset-name": "other",
            "jobset.sigs.k8s.io/replicatedjob-name": "node",
            "jobset.sigs.k8s.io/restart-attempt": "1",
        }
        self._server.kubectl("create", "--filename=-", text=json.dumps(pod))

    def _set_status(self, kind: str, name: str, status: dict) -> None:
        patch = json.dumps({"status": status})
        words = ("--namespace=ml", "--subresource=status", "--type=merge")
        self._server.kubectl("patch", kind, name, *words, f"--patch={patch}")

    def _expect_refusal(self, documents: Sequence[Any], word: str) -> None:
        try:
            self._server.check(documents)
        except PartError as error:
            _expect(str(error), word)
        else:
            raise PartError("the server takes it")

    def _render(self, *flags: str) -> list[dict]:
        return list(yaml.safe_load_all(self._launch(*JOB, *flags, "--", *COMMAND)))

    def _launch(self, *words: str) -> str:
        done = self._try_launch(*words)
        if done.returncode:
            raise PartError(f"launch tfjob: {done.stderr}")
        return done.stdout

    def _try_launch(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "launch", "tfjob", *words],
            cwd=REPOSITORY,
            env=self._server.environment,
            capture_output=True,
            text=True,
            check=False,
        )


def _expect(told: str, *facts: str) -> None:
    for fact in facts:
        if fact not in told:
            raise PartError(f"{fact!r} is not told: {told}")


def _held(documents: Sequence[Any]) -> Iterator[Any]:
    """The objects in the texts of ConfigMaps."""
    for document in documents:
        for text in document.get("data", {}).values():
            if text.startswith("---"):
                yield from yaml.safe_load_all(text)


def _pods(value: Any) -> Iterator[dict]:
    """A pod of each template below `value`."""
    if isinstance(value, dict):
        if "containers" in value.get("spec", {}):
            labels = value["metadata"].get("labels", {})
            metadata = {"name": "demo", "namespace": "ml", "labels": labels}
            head = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
            yield {**copy.deepcopy(head), "spec": copy.deepcopy(value["spec"])}
        for item in value.values():
            yield from _pods(item)
    elif isinstance(value, list):
        for item in value:
            yield from _pods(item)
