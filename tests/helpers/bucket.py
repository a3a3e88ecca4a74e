"""A bucket of Google Cloud Storage on this machine, for TensorFlow's own client of it.

`google_front.py` tells how the client gets here.
"""

import contextlib
import dataclasses
import itertools
import json
import pathlib
import random
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator

from tests.helpers import google_front

NAME = "bucket"
_PAGE = 1000  # names in one answer


@dataclasses.dataclass(frozen=True)
class Request:
    """One request: its kind, and the object or prefix that it is about."""

    kind: str
    name: str


class Bucket(google_front.Front):
    """Objects by name, and the requests for them.

    Tests set how it fails: the share `fail` of all requests is answered with 503. So is
    the first upload of a name in `lies`, which the next answer says to be complete.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        """Keeps its certificate in `folder`."""
        super().__init__(folder)
        self.objects: dict[str, tuple[bytes, int]] = {}  # contents and generation
        self.requests: list[Request] = []
        self.fail = 0.0
        self.lies: set[str] = set()
        self.before_write: Callable[[str], None] = lambda name: None
        self._random = random.Random(0)
        self._lock = threading.RLock()
        self._uploads: dict[str, str] = {}  # names by session
        self._numbers = itertools.count(1)

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


@contextlib.contextmanager
def serve(folder: pathlib.Path) -> Iterator[Bucket]:
    """Yields an empty bucket gs://bucket that answers in the body."""
    bucket = Bucket(folder)
    with google_front.serve(bucket, _Handler):
        yield bucket


class _Handler(google_front.Handler):
    front: Bucket

    def respond(self) -> None:
        methods = {"GET": self._get, "DELETE": self._delete, "POST": self._post}
        methods.get(self.command, self._put)()

    def _get(self) -> None:
        if self.headers["Host"].startswith("storage."):
            name = urllib.parse.unquote(self.path).removeprefix(f"/{NAME}/")
            self._read(name)
            return
        path, options = self._split()
        if "/o/" in path:
            self._stat(path.partition("/o/")[2])
        elif path.endswith("/o"):
            self._list(options)
        elif self.front.answer("bucket", ""):
            self.reply(200, json.dumps({"location": "here"}).encode())
        else:
            self.reply(503)

    def _delete(self) -> None:
        name = self._split()[0].partition("/o/")[2]
        if self.front.answer("delete", name):
            self.reply(204 if self.front.remove(name) else 404)
        else:
            self.reply(503)

    def _post(self) -> None:
        self.body()
        path, options = self._split()
        if "/rewriteTo/" in path:
            self._rewrite(path)
        elif options["uploadType"] == "resumable":
            if self.front.answer("begin", options["name"]):
                session = self.front.begin_upload(options["name"])
                self.reply(200, Location=f"https://{google_front.API}/upload/{session}")
            else:
                self.reply(503)
        elif self.front.answer("folder", options["name"]):
            self.front.put(options["name"], b"")
            self.reply(200, b"{}")
        else:
            self.reply(503)

    def _put(self) -> None:
        """The bytes of an upload, which come at once, or a question for its state."""
        content = self.body()
        name = self.front.upload(self.path.rpartition("/")[2])
        is_question = self.headers.get("Content-Range", "").startswith("bytes */")
        if not self.front.answer("state" if is_question else "write", name):
            self.reply(503)
        elif name in self.front.lies:
            self.front.lies.remove(name)
            self.front.put(name, b"")
            self.reply(200, b"{}")
        elif is_question:
            self.reply(308)  # nothing of it has come
        else:
            self.front.put(name, content)
            self.reply(200, b"{}")

    def _read(self, name: str) -> None:
        if not self.front.answer("read", name):
            self.reply(503)
            return
        found = self.front.find(name)
        if found is None:
            self.reply(404)
            return
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        content = found[0][int(first) : int(last) + 1]
        self.reply(206 if content else 416, content)

    def _stat(self, name: str) -> None:
        if not self.front.answer("stat", name):
            self.reply(503)
            return
        found = self.front.find(name)
        if found is None:
            self.reply(404)
            return
        told = {
            "size": str(len(found[0])),
            "generation": str(found[1]),
            "updated": "2026-11-29T12:00:00.000Z",
        }
        self.reply(200, json.dumps(told).encode())

    def _list(self, options: dict[str, str]) -> None:
        prefix = options.get("prefix", "")
        if not self.front.answer("list", prefix):
            self.reply(503)
            return
        items, folders = self.front.children(prefix, options.get("delimiter", ""))
        first = int(options.get("pageToken", 0))
        last = first + int(options.get("maxResults", _PAGE))
        told: dict[str, object] = {"items": [{"name": n} for n in items[first:last]]}
        if first == 0:
            told["prefixes"] = folders
        if last < len(items):
            told["nextPageToken"] = str(last)
        self.reply(200, json.dumps(told).encode())

    def _rewrite(self, path: str) -> None:
        source, _, target = path.partition("/rewriteTo/")
        source, target = source.partition("/o/")[2], target.partition("/o/")[2]
        if not self.front.answer("copy", target):
            self.reply(503)
            return
        found = self.front.find(source)
        if found is None:
            self.reply(404)
            return
        self.front.put(target, found[0])
        self.reply(200, json.dumps({"done": True}).encode())

    def _split(self) -> tuple[str, dict[str, str]]:
        """The path without its escapes, and the options of the request."""
        url = urllib.parse.urlsplit(self.path)
        return urllib.parse.unquote(url.path), dict(urllib.parse.parse_qsl(url.query))
