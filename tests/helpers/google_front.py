"""Google's host names for storage on this machine, for TensorFlow's own client.

The client speaks TLS to hosts whose names are built in. A child process with the
environment of a `Front` reaches it in their place, as a proxy that answers itself;
nothing else on the machine is changed.
"""

import abc
import contextlib
import http.server
import pathlib
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator

OPENSSL = shutil.which("openssl")

API, CONTENTS = HOSTS = ("www.googleapis.com", "storage.googleapis.com")


class Front:
    """The certificate of the hosts, and the way of a child process to them."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Keeps its certificate in `folder`."""
        self._certificate = folder / "certificate.pem"
        self._key = folder / "key.pem"
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

    def _write_certificate(self) -> None:
        names = ",".join(f"DNS:{host}" for host in HOSTS)
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


class Handler(http.server.BaseHTTPRequestHandler, abc.ABC):
    """A connection that begins with CONNECT and goes on under TLS."""

    front: Front
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
        self.connection = self.front.context.wrap_socket(
            self.connection, server_side=True
        )
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self.close_connection = False

    @abc.abstractmethod
    def respond(self) -> None:
        """Answers a request of whatever method."""

    def do_GET(self) -> None:
        self.respond()

    def do_DELETE(self) -> None:
        self.respond()

    def do_POST(self) -> None:
        self.respond()

    def do_PUT(self) -> None:
        self.respond()

    def body(self) -> bytes:
        """The contents of the request."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def reply(self, code: int, body: bytes = b"", **headers: str) -> None:
        """Sends a whole answer."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def serve(front: Front, handler: type[Handler]) -> Iterator[None]:
    """Answers in the body."""
    bound = type("Bound", (handler,), {"front": front})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), bound) as server:
        server.daemon_threads = True
        front.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
