"""An AWS endpoint that fails from a certain request on."""

import http.client
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit


class Fault(Enum):
    """The fault at the request.

    KILLED and CTRL_C: AWS carries the request out, and the client ends before it gets the response.
    REFUSED and ENDPOINT_DOWN: AWS carries out neither this request nor any later one.
    IGNORED: AWS responds as if it had carried the request out.
    """

    KILLED = "killed"
    CTRL_C = "Ctrl-C"
    REFUSED = "refused"
    ENDPOINT_DOWN = "endpoint down"
    IGNORED = "ignored"


class Endpoint(ThreadingHTTPServer):
    """A server that passes requests on to `target` until one matches the pattern `request`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, target: str, fault: Fault, request: str) -> None:
        super().__init__(("127.0.0.1", 0), Forward)
        self.target, self.fault, self.request = urlsplit(target), fault, re.compile(request)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.failing = False
        self.on_fault: Callable[[], None] = lambda: None

    def handle_error(self, *_: Any) -> None:
        """Ignore it: a client that is killed breaks its connection."""


class Forward(BaseHTTPRequestHandler):
    """Passes a request on."""

    protocol_version = "HTTP/1.1"
    error_message_format = "<ErrorResponse><Error><Code>%(code)d</Code></Error></ErrorResponse>"
    server: Endpoint

    def forward(self) -> None:
        """Respond as the target does, unless it is time to fail."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        # The path, this header or the start of the body names the operation.
        operation = self.headers.get("X-Amz-Target") or body[:200].decode(errors="replace")
        matches = self.server.request.search(f"{self.command} {self.path} {operation}")
        if matches and self.server.fault is Fault.IGNORED:
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.server.failing |= bool(matches)
        if not self.server.failing:
            self.respond(*self.ask_target(body))
            return
        self.close_connection = True
        if self.server.fault is Fault.REFUSED:
            self.send_error(403)
        elif self.server.fault is not Fault.ENDPOINT_DOWN:
            self.ask_target(body)
            self.server.on_fault()

    def ask_target(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        """Return the target's response."""
        connection = http.client.HTTPConnection(self.server.target.netloc, timeout=30)
        connection.request(self.command, self.path, body, dict(self.headers))
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response, content

    def respond(self, response: http.client.HTTPResponse, content: bytes) -> None:
        """Send a response."""
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def faulty_endpoint(target: str, fault: Fault, request: str) -> Iterator[Endpoint]:
    """Serve until the end of the block."""
    with Endpoint(target, fault, request) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        try:
            yield server
        finally:
            server.shutdown()
