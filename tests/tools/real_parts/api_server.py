"""Kubernetes' own API server with its etcd, which end with this process."""

import contextlib
import json
import os
import pathlib
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from launch.local import addresses
from tests.tools.real_parts.outcomes import PartError

PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
_STARTING_SECS = 120
_RESTRICTED = "pod-security.kubernetes.io"


def find(name: str) -> str | None:
    """The path of a program, in KUBEBUILDER_ASSETS or on PATH."""
    folder = os.environ.get("KUBEBUILDER_ASSETS", "")
    return (shutil.which(name, path=folder) if folder else None) or shutil.which(name)


class Server:
    """A running API server, as its administrator reaches it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` tells kubectl where the server is."""
        self.environment = {**os.environ, **environment}

    def kubectl(self, *words: str, text: str = "") -> str:
        """What kubectl prints; a warning of the server is an error too.

        Raises:
          PartError: the server refuses it or warns.
        """
        done = self.try_kubectl(*words, text=text)
        if done.returncode or "Warning:" in done.stderr:
            raise PartError(f"kubectl {words[0]}: {done.stderr.strip()}")
        return done.stdout

    def try_kubectl(
        self, *words: str, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """The same, whatever comes of it."""
        return subprocess.run(
            [find("kubectl") or "kubectl", *words],
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )

    def check(self, documents: Sequence[Any], *more: str) -> None:
        """Has the server check the objects as if it would create them.

        Raises:
          PartError: it refuses one, or warns.
        """
        words = ("create", "--dry-run=server", "--validate=strict", "--filename=-")
        self.kubectl(*words, *more, text="\n".join(map(json.dumps, documents)))

    def make_namespace(self, name: str) -> None:
        """A namespace whose pods have to be of the level "restricted"."""
        labels = {f"{_RESTRICTED}/{mode}": "restricted" for mode in ("enforce", "warn")}
        metadata = {"name": name, "labels": labels}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        self.kubectl("create", "--filename=-", text=json.dumps(namespace))


@contextlib.contextmanager
def serving(folder: pathlib.Path) -> Iterator[Server]:
    """Yields a server without objects; it keeps its files in `folder`."""
    etcd, peer, own = addresses.free(3)
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    with contextlib.ExitStack() as stack:
        for words in (
            _etcd(folder, f"http://{etcd}", f"http://{peer}"),
            _api_server(folder, f"http://{etcd}", own.rpartition(":")[2]),
        ):
            stack.enter_context(_running(words, folder))
        server = Server({"KUBECONFIG": str(_write_config(folder, own, token))})
        _wait_for(server, folder)
        yield server


def _etcd(folder: pathlib.Path, address: str, peer: str) -> list[str]:
    return [
        *("etcd", f"--data-dir={folder / 'etcd'}", "--unsafe-no-fsync"),
        *(f"--listen-client-urls={address}", f"--advertise-client-urls={address}"),
        *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
        f"--initial-cluster=default={peer}",
    ]


def _api_server(folder: pathlib.Path, etcd: str, port: str) -> list[str]:
    key = folder / "account.pem"
    subprocess.run(
        ["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True
    )
    return [
        *("kube-apiserver", f"--etcd-servers={etcd}"),
        *("--bind-address=127.0.0.1", f"--secure-port={port}"),
        *(f"--cert-dir={folder / 'certificates'}", "--endpoint-reconciler-type=none"),
        *("--authorization-mode=RBAC", f"--token-auth-file={folder / 'tokens.csv'}"),
        "--service-account-issuer=https://localhost",
        *(
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
        ),
        "--service-cluster-ip-range=10.0.0.0/24",
        # No controller makes the accounts of namespaces.
        "--disable-admission-plugins=ServiceAccount",
    ]


@contextlib.contextmanager
def _running(words: list[str], folder: pathlib.Path) -> Iterator[None]:
    with (folder / f"{words[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            [find(words[0]) or words[0], *words[1:]],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _write_config(folder: pathlib.Path, address: str, token: str) -> pathlib.Path:
    """The file that tells kubectl of the server."""
    cluster = {
        "server": f"https://{address}",
        "certificate-authority": str(folder / "certificates" / "apiserver.crt"),
    }
    named = {"name": "real"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "real",
        "clusters": [{**named, "cluster": cluster}],
        "users": [{**named, "user": {"token": token}}],
        "contexts": [{**named, "context": {"cluster": "real", "user": "real"}}],
    }
    path = folder / "kubeconfig.json"
    path.write_text(json.dumps(config))
    return path


def _wait_for(server: Server, folder: pathlib.Path) -> None:
    deadline = time.monotonic() + _STARTING_SECS
    while time.monotonic() < deadline:
        if server.try_kubectl("get", "--raw=/readyz").returncode == 0:
            return
        time.sleep(0.5)
    log = (folder / "kube-apiserver.log").read_text()[-1000:]
    raise RuntimeError(f"kube-apiserver is not ready: {log}")
