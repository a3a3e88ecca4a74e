"""A bucket of Google Cloud Storage on this machine, for TensorFlow's own client of it.

The client speaks TLS to hosts whose names are built in. A child process with the
environment of a `Bucket` reaches this server in their place, as a proxy that answers
itself; nothing else on the machine is changed.
"""

import contextlib
import dataclasses
import http.server
import itertools
import json
import pathlib
import random
import shutil
import ssl
import subprocess
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator

NAME = "bucket"
OPENSSL = shutil.which("openssl")

_HOSTS = ("www.googleapis.com", "storage.googleapis.com")
_PAGE = 1000  # names in one answer


@dataclasses.dataclass(frozen=True)
class Request:
    """One request: its kind, and the object or prefix that it is about."""

    kind: str
    name: str


class Bucket:
    """Objects by name, and the requests for them.

    Tests set how it fails: the share `fail` of all requests is answered with 503. So is
    the first upload of a name in `lies`, which the next answer says to be complete.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        """Keeps its certificate in `folder`."""
        self.objects: dict[str, tuple[bytes, int]] = {}  # contents and generation
        self.requests: list[Request] = []
        self.fail = 0.0
        self.lies: set[str] = set()
        self.before_write: Callable[[str], None] = lambda name: None
        self._certificate = folder / "certificate.pem"
        self._key = folder / "key.pem"
        self._random = random.Random(0)
        self._lock = threading.RLock()
        self._uploads: dict[str, str] = {}  # names by session
        self._numbers = itertools.count(1)
        self._write_certificate()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self._certificate, self._key)
        self.port = 0

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which a child process finds this server."""
        return {
            "https_proxy": f"http://127.0.0.1:{self.port}",
            "no_proxy": "",
            "CURL_CA_BUNDLE": str(self._certificate),
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "token",
            "GCS_RETRY_CONFIG_INIT_DELAY_TIME_US": "1000",
        }

    @property
    def kinds(self) -> dict[str, int]:
        """The number of requests of each kind."""
        return dict(Counter(request.kind for request in self.requests))

    def names(self, prefix: str = "") -> list[str]:
        """The objects under `prefix`, without the markers of folders."""
        with self._lock:
            found = [name for name in self.objects if name.startswith(prefix)]
        return sorted(name for name in found if not name.endswith("/"))

    def read(self, name: str) -> bytes:
        """The contents of an object."""
        with self._lock:
            return self.objects[name][0]

    def answer(self, kind: str, name: str) -> bool:
        """Counts a request; whether it is to be answered, else it fails."""
        if kind == "write":
            self.before_write(name)
        with self._lock:
            self.requests.append(Request(kind, name))
            is_answered = self._random.random() >= self.fail
            return is_answered and not (kind == "write" and name in self.lies)

    def put(self, name: str, content: bytes) -> None:
        """Makes `content` the object `name`."""
        with self._lock:
            self.objects[name] = (content, next(self._numbers))

    def remove(self, name: str) -> bool:
        """Removes an object; whether it was there."""
        with self._lock:
            return self.objects.pop(name, None) is not None

    def find(self, name: str) -> tuple[bytes, int] | None:
        """The contents and the generation of an object."""
        with self._lock:
            return self.objects.get(name)

    def begin_upload(self, name: str) -> str:
        """The name of a session that will upload the object `name`."""
        with self._lock:
            session = str(next(self._numbers))
            self._uploads[session] = name
            return session

    def upload(self, session: str) -> str:
        """The object that a session uploads."""
        with self._lock:
            return self._uploads[session]

    def children(self, prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
        """Names under `prefix`, and where they go on after a delimiter, once each."""
        with self._lock:
            found = sorted(name for name in self.objects if name.startswith(prefix))
        items, folders = [], []
        for name in found:
            head, cut, _ = name[len(prefix) :].partition(delimiter or "\0")
            if not cut:
                items.append(name)
            elif f"{prefix}{head}{cut}" not in folders:
                folders.append(f"{prefix}{head}{cut}")
        return items, folders

    def _write_certificate(self) -> None:
        names = ",".join(f"DNS:{host}" for host in _HOSTS)
        subprocess.run(
            [
                *(OPENSSL or "openssl", "req", "-x509", "-newkey", "ec", "-nodes"),
                *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"),
                *("-subj", "/CN=bucket", "-addext", f"subjectAltName={names}"),
                *("-keyout", self._key, "-out", self._certificate),
            ],
            check=True,
            capture_output=True,
        )


@contextlib.contextmanager
def serve(folder: pathlib.Path) -> Iterator[Bucket]:
    """Yields an empty bucket gs://bucket that answers in the body."""
    bucket = Bucket(folder)
    handler = type("Handler", (_Handler,), {"bucket": bucket})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        bucket.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield bucket
        finally:
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    bucket: Bucket
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        # Of a process that was killed.
        with contextlib.suppress(OSError):
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        self.connection.close()

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.connection = self.bucket.context.wrap_socket(
            self.connection, server_side=True
        )
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self.close_connection = False

    def do_GET(self) -> None:
        if self.headers["Host"].startswith("storage."):
            name = urllib.parse.unquote(self.path).removeprefix(f"/{NAME}/")
            self._read(name)
            return
        path, options = self._split()
        if "/o/" in path:
            self._stat(path.partition("/o/")[2])
        elif path.endswith("/o"):
            self._list(options)
        elif self.bucket.answer("bucket", ""):
            self._send(200, json.dumps({"location": "here"}).encode())
        else:
            self._send(503)

    def do_DELETE(self) -> None:
        name = self._split()[0].partition("/o/")[2]
        if self.bucket.answer("delete", name):
            self._send(204 if self.bucket.remove(name) else 404)
        else:
            self._send(503)

    def do_POST(self) -> None:
        self._body()
        path, options = self._split()
        if "/rewriteTo/" in path:
            self._rewrite(path)
        elif options["uploadType"] == "resumable":
            if self.bucket.answer("begin", options["name"]):
                session = self.bucket.begin_upload(options["name"])
                self._send(200, Location=f"https://{_HOSTS[0]}/upload/{session}")
            else:
                self._send(503)
        elif self.bucket.answer("folder", options["name"]):
            self.bucket.put(options["name"], b"")
            self._send(200, b"{}")
        else:
            self._send(503)

    def do_PUT(self) -> None:
        """The bytes of an upload, which come at once, or a question for its state."""
        content = self._body()
        name = self.bucket.upload(self.path.rpartition("/")[2])
        is_question = self.headers.get("Content-Range", "").startswith("bytes */")
        if not self.bucket.answer("state" if is_question else "write", name):
            self._send(503)
        elif name in self.bucket.lies:
            self.bucket.lies.remove(name)
            self.bucket.put(name, b"")
            self._send(200, b"{}")
        elif is_question:
            self._send(308)  # nothing of it has come
        else:
            self.bucket.put(name, content)
            self._send(200, b"{}")

    def _read(self, name: str) -> None:
        if not self.bucket.answer("read", name):
            self._send(503)
            return
        found = self.bucket.find(name)
        if found is None:
            self._send(404)
            return
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        content = found[0][int(first) : int(last) + 1]
        self._send(206 if content else 416, content)

    def _stat(self, name: str) -> None:
        if not self.bucket.answer("stat", name):
            self._send(503)
            return
        found = self.bucket.find(name)
        if found is None:
            self._send(404)
            return
        told = {
            "size": str(len(found[0])),
            "generation": str(found[1]),
            "updated": "2026-11-29T12:00:00.000Z",
        }
        self._send(200, json.dumps(told).encode())

    def _list(self, options: dict[str, str]) -> None:
        prefix = options.get("prefix", "")
        if not self.bucket.answer("list", prefix):
            self._send(503)
            return
        items, folders = self.bucket.children(prefix, options.get("delimiter", ""))
        first = int(options.get("pageToken", 0))
        last = first + int(options.get("maxResults", _PAGE))
        told: dict[str, object] = {"items": [{"name": n} for n in items[first:last]]}
        if first == 0:
            told["prefixes"] = folders
        if last < len(items):
            told["nextPageToken"] = str(last)
        self._send(200, json.dumps(told).encode())

    def _rewrite(self, path: str) -> None:
        source, _, target = path.partition("/rewriteTo/")
        source, target = source.partition("/o/")[2], target.partition("/o/")[2]
        if not self.bucket.answer("copy", target):
            self._send(503)
            return
        found = self.bucket.find(source)
        if found is None:
            self._send(404)
            return
        self.bucket.put(target, found[0])
        self._send(200, json.dumps({"done": True}).encode())

    def _split(self) -> tuple[str, dict[str, str]]:
        """The path without its escapes, and the options of the request."""
        url = urllib.parse.urlsplit(self.path)
        return urllib.parse.unquote(url.path), dict(urllib.parse.parse_qsl(url.query))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
