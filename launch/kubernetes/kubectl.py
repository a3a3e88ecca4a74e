"""The cluster, as kubectl reaches it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from launch.errors import LaunchError
from launch.kubernetes import yaml_stream
from launch.kubernetes.yaml_stream import Document


def create(documents: Sequence[Document]) -> str:
    """Creates the objects; returns what kubectl says of each.

    Raises:
      LaunchError: one of them could not be created.
    """
    done = _run(["create", "--filename=-"], yaml_stream.dump(documents))
    if done.returncode:
        _require_answer(done.stderr)
        names = [f"{d['kind'].lower()}/{d['metadata']['name']}" for d in documents]
        namespace = documents[0]["metadata"]["namespace"]
        created = ", ".join(done.stdout.split(" created\n")).rstrip(", ")
        raise LaunchError(
            f"the cluster refused the job: {_sentence(done.stderr)}; created: "
            f"{created or 'nothing'}; choose another --name, or delete what is there: "
            f"kubectl delete --ignore-not-found --namespace={namespace} "
            f"{' '.join(names)}"
        )
    return done.stdout


def get(kind: str, *words: str, namespace: str, hint: str = "") -> dict[str, Any]:
    """The description of what `kubectl get KIND WORDS` finds.

    Args:
      kind: a resource of the cluster.
      *words: a name, or a selector.
      namespace: the one to look in.
      hint: what the user may try where there is no such thing.

    Raises:
      LaunchError: it is not there, or the cluster cannot be reached.
    """
    done = _run(["get", kind, *words, f"--namespace={namespace}", "--output=json"])
    if done.returncode:
        _require_answer(done.stderr)
        said = f"kubectl get {kind}: {_sentence(done.stderr)}"
        raise LaunchError(f"{said}; {hint}" if hint else said)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def become_logs(
    selector: str, *, container: str, namespace: str, follow: bool
) -> NoReturn:
    """Replaces this process by one that prints the logs of all pods of a label.

    Raises:
      LaunchError: there is no kubectl or no such pod, or no cluster can be reached.
    """
    found = get("pods", f"--selector={selector}", namespace=namespace)
    if not found.get("items"):
        raise LaunchError(
            f"no pod in namespace {namespace} has the labels {selector}; see --name, "
            "--namespace, --kind and --worker, and python -m launch tfjob status"
        )
    words = [
        "kubectl",
        "logs",
        f"--namespace={namespace}",
        f"--selector={selector}",
        f"--container={container}",
        "--prefix",
        "--tail=-1",  # all of it; with a selector ten lines otherwise
        "--max-log-requests=1000",  # pods to follow at once; five otherwise
        *(["--follow"] if follow else []),
    ]
    sys.stdout.flush()
    try:
        os.execvp("kubectl", words)
    except FileNotFoundError:
        raise LaunchError(_MISSING) from None


_NO_ANSWER = re.compile(
    r"connection to the server|[Uu]nable to connect to the server|: dial tcp |"
    r"connection refused|no such host|i/o timeout|TLS handshake timeout"
)
_MISSING = (
    "kubectl is not on PATH; install it, or print the manifest and give it to the "
    "cluster by other means"
)


def _run(words: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["kubectl", *words], input=text, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise LaunchError(_MISSING) from None


def _require_answer(text: str) -> None:
    """Raises LaunchError where kubectl says that it reached no cluster."""
    sentence = _sentence(text)
    # A server that answers may itself name another one that does not.
    if _NO_ANSWER.search(sentence) and "from server" not in sentence:
        said = sentence.partition("; if you choose to ignore these errors")[0]
        raise LaunchError(
            f"no cluster answers: {said}; see kubectl config current-context"
        )


def _sentence(text: str) -> str:
    """The error of kubectl, without its log of the tries that led there."""
    lines = [line for line in text.splitlines() if not re.match(r"[EWI]\d{4} ", line)]
    return "; ".join(lines or text.splitlines()) or "kubectl says nothing"
