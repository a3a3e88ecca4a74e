"""A Kubernetes API server of a few paths, for the real kubectl to talk to."""

import contextlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.helpers.repository import REPOSITORY

_VERSIONS = {
    "kubeflow.org": "v1",
    "networking.k8s.io": "v1",
    "trainer.kubeflow.org": "v1alpha1",
}
_RESOURCES = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            {
                "name": group,
                "versions": [{"groupVersion": f"{group}/{number}", "version": number}],
                "preferredVersion": {
                    "groupVersion": f"{group}/{number}",
                    "version": number,
                },
            }
            for group, number in _VERSIONS.items()
        ],
    },
    "/openapi/v3": {
        "paths": {
            group: {"serverRelativeURL": f"/openapi/v3/{group}"}
            for group in (
                "api/v1",
                "apis/kubeflow.org/v1",
                "apis/networking.k8s.io/v1",
            )
        }
    },
}


def _schemas(path: str, group: str, kind: str) -> dict[str, Any]:
    """Says that the server itself validates what is sent to `path`."""
    return {
        "openapi": "3.0.0",
        "info": {"title": "fake", "version": "1"},
        "paths": {
            path: {
                "patch": {
                    "x-kubernetes-group-version-kind": {
                        "group": group,
                        "version": "v1",
                        "kind": kind,
                    },
                    "parameters": [{"name": "fieldValidation", "in": "query"}],
                    "responses": {},
                }
            }
        },
    }


def _listed(group_version: str, **kinds: str) -> dict[str, Any]:
    return {
        "kind": "APIResourceList",
        "groupVersion": group_version,
        "resources": [
            {
                "name": name,
                "singularName": kind.lower(),
                "kind": kind,
                "namespaced": True,
                "verbs": ["create", "get", "list"],
            }
            for name, kind in kinds.items()
        ],
    }


class FakeCluster:
    """Objects by their paths; what is created lands in `created`."""

    def __init__(self, *, namespace: str) -> None:
        self.answers: dict[str, Any] = {
            f"/api/v1/namespaces/{namespace}": {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": namespace},
            },
            **_RESOURCES,
            "/openapi/v3/api/v1": _schemas("/api/v1/configmaps", "", "ConfigMap"),
            "/openapi/v3/apis/kubeflow.org/v1": _schemas(
                "/apis/kubeflow.org/v1/tfjobs", "kubeflow.org", "TFJob"
            ),
            "/openapi/v3/apis/networking.k8s.io/v1": _schemas(
                "/apis/networking.k8s.io/v1/networkpolicies",
                "networking.k8s.io",
                "NetworkPolicy",
            ),
            "/apis/networking.k8s.io/v1": _listed(
                "networking.k8s.io/v1", networkpolicies="NetworkPolicy"
            ),
            "/api/v1": _listed("v1", pods="Pod", configmaps="ConfigMap"),
            "/apis/kubeflow.org/v1": _listed("kubeflow.org/v1", tfjobs="TFJob"),
            "/apis/trainer.kubeflow.org/v1alpha1": _listed(
                "trainer.kubeflow.org/v1alpha1", trainjobs="TrainJob"
            ),
        }
        self.created: list[dict[str, Any]] = []
        self.requests: list[str] = []

    def answer(self, path: str, *, selector: str = "") -> tuple[int, Any]:
        if path in self.answers:
            return 200, _selected(self.answers[path], selector)
        return 404, _failure(404, "NotFound", f"{path.rpartition('/')[2]!r} not found")

    def create(self, path: str, item: dict[str, Any]) -> tuple[int, Any]:
        name = item["metadata"]["name"]
        if any(
            (old["kind"], old["metadata"]["name"]) == (item["kind"], name)
            for old in self.created
        ):
            message = f'{path.rpartition("/")[2]} "{name}" already exists'
            return 409, _failure(409, "AlreadyExists", message)
        self.created.append(item)
        return 201, item


def _selected(value: Any, selector: str) -> Any:
    """A list without the items that lack one of the labels KEY=VALUE,..."""
    if not selector:
        return value
    wanted = dict(part.split("=") for part in selector.split(","))
    items = [i for i in value["items"] if wanted.items() <= _labels(i).items()]
    return {**value, "items": items}


def _labels(item: dict[str, Any]) -> dict[str, str]:
    return item["metadata"].get("labels", {})


def _failure(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


@contextlib.contextmanager
def serving(cluster: FakeCluster, folder: pathlib.Path) -> Iterator[dict[str, str]]:
    """Serves the cluster on loopback; yields the environment that kubectl needs."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            cluster.requests.append(f"{url.path}?{urllib.parse.unquote(url.query)}")
            query = urllib.parse.parse_qs(url.query)
            [selector] = query.get("labelSelector", [""])
            code, value = cluster.answer(url.path, selector=selector)
            tail = query.get("tailLines")
            if tail:  # of a log
                value = "".join(value.splitlines(keepends=True)[-int(tail[0]) :])
            self._send(code, value)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            path = urllib.parse.urlsplit(self.path).path
            self._send(*cluster.create(path, json.loads(body)))

        def _send(self, code: int, value: Any) -> None:
            text = value if isinstance(value, str) else json.dumps(value)
            kind = "text/plain" if isinstance(value, str) else "application/json"
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = folder / "kubeconfig.json"
    address = f"http://127.0.0.1:{server.server_port}"
    named = {"name": "fake"}
    config.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "fake",
                "clusters": [{**named, "cluster": {"server": address}}],
                "users": [{**named, "user": {}}],
                "contexts": [{**named, "context": {"cluster": "fake", "user": "fake"}}],
            }
        )
    )
    try:
        yield {"KUBECONFIG": str(config), "HOME": str(folder)}
    finally:
        server.shutdown()
        server.server_close()


def launched(
    words: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs `python -m launch tfjob WORDS` where kubectl finds the cluster."""
    return subprocess.run(
        [sys.executable, "-m", "launch", "tfjob", *words],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
