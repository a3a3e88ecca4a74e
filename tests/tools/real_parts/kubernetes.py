"""Kubernetes' own API server checks every manifest that the project writes.

    python -m tests.tools.real_parts kubernetes CRDS ...

CRDS are files of custom resource definitions, or folders of them. The server refuses
fields that it does not know, and pods that are not of the level "restricted". No node
belongs to it: nothing runs.
"""

import json
import pathlib
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence

import yaml

from tests.helpers import google_front
from tests.tools.real_parts import api_server, outcomes
from tests.tools.real_parts.kubernetes_parts import Parts

_SOURCES = {
    "TFJob": "kubeflow/trainer v1.9, manifests/base/crds",
    "TrainJob": "kubeflow/trainer v2, manifests/base/crds",
    "TrainingRuntime": "kubeflow/trainer v2, manifests/base/crds",
    "JobSet": "kubernetes-sigs/jobset, config/components/crd/bases",
}


def main(words: Sequence[str]) -> int:
    """Returns 0 if all parts passed, 1 if not, 2 where the machine lacks something."""
    definitions = list(_definitions(words))
    lacking = _lacking(definitions)
    if lacking:
        print(f"real_parts kubernetes: {lacking}", file=sys.stderr)
        return 2
    # So that the server ends with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (
        tempfile.TemporaryDirectory(prefix="kubernetes-") as name,
        api_server.serving(pathlib.Path(name)) as server,
    ):
        version = json.loads(server.kubectl("get", "--raw=/version"))
        print(f"kube-apiserver {version['gitVersion']}", flush=True)
        found = _try_all(server, definitions)
    print(f"\n{outcomes.table(found)}")
    return int(any(outcome.failure for outcome in found))


def _definitions(names: Sequence[str]) -> Iterator[dict]:
    for name in names:
        path = pathlib.Path(name)
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            for document in yaml.load_all(file.read_bytes(), yaml.CSafeLoader):
                if document and document.get("kind") == "CustomResourceDefinition":
                    yield document


def _lacking(definitions: Sequence[dict]) -> str:
    """What the machine lacks, and how to get it; "" where nothing."""
    missing = [name for name in api_server.PROGRAMS if not api_server.find(name)]
    if missing:
        return (
            f"{', '.join(missing)} must be on PATH or in KUBEBUILDER_ASSETS, got none; "
            "setup-envtest of kubernetes-sigs/controller-runtime downloads them"
        )
    if not google_front.OPENSSL:
        return "openssl must be on PATH, to make a key, got none; install it"
    given = {definition["spec"]["names"]["kind"] for definition in definitions}
    for kind, source in _SOURCES.items():
        if kind not in given:
            return (
                f"CRDS must define {kind}, got {', '.join(sorted(given)) or 'none'}; "
                f"its definition is in {source}"
            )
    return ""


def _try_all(
    server: api_server.Server, definitions: Sequence[dict]
) -> list[outcomes.Outcome]:
    parts: dict[str, Callable[[], None]] = {
        "the definitions are established": lambda: _define(server, definitions),
        **Parts(server).all(),
    }
    return [outcomes.attempt(what, part) for what, part in parts.items()]


def _define(server: api_server.Server, definitions: Sequence[dict]) -> None:
    text = "\n".join(map(json.dumps, definitions))
    server.kubectl("create", "--filename=-", text=text)
    server.kubectl("wait", "--for=condition=Established", "crd", "--all")
    for name in ("ml", "alambic"):
        server.make_namespace(name)
