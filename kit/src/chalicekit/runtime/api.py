"""Lambda's Runtime API, and functions that run with it as on Lambda.

The protocol: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from queue import Empty, SimpleQueue
from socketserver import ThreadingTCPServer
from typing import Any

from chalicekit.runtime.environment import function_variables

REQUEST_ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:test"
# docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
REQUEST_LIMIT = 6 * 1024 * 1024
RESPONSE_LIMIT = REQUEST_LIMIT + 100
TOO_LARGE = {
    "errorType": "Function.ResponseSizeTooLarge",
    "errorMessage": "Response payload size exceeded maximum allowed payload size "
    f"({RESPONSE_LIMIT} bytes).",
}


class Function:
    """A function that has been started: its events and its reports."""

    def __init__(self) -> None:
        self.events = SimpleQueue[tuple[bytes, dict[str, str]] | None]()
        self.reports = SimpleQueue[tuple[str, Any]]()
        self.settled = threading.Event()  # INIT has ended: it is ready, or it has failed
        # For measurements
        self.process_id = 0
        self.started = time.perf_counter()
        self.ready: float | None = None  # when it first asked for an event

    @property
    def has_ended(self) -> bool:
        """Whether its process has ended since the last event: a report that nobody has read yet."""
        return not self.reports.empty()

    def report(self, kind: str, payload: Any) -> None:
        """Add a report, which `invoke` returns."""
        self.reports.put((kind, payload))
        self.settled.set()

    def invoke(
        self, event: Any, seconds: float = 30, request_id: str = REQUEST_ID, arn: str = ARN
    ) -> tuple[str, Any]:
        """Send an event; return the function's next report: its kind and payload.

        The kind is `response`, `error`, `init/error`, `too-large` (a response), or `exit` with the
        process' exit status. TimeoutError if there is no report within `seconds`: invoke the
        function no more, since the report of this event may still come.
        """
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": arn,
            "Content-Type": "application/json",  # without it, AWS's runtime client crashes
        }
        self.events.put((json.dumps(event).encode(), headers))
        try:
            return self.reports.get(timeout=seconds)
        except Empty:
            raise TimeoutError(f"the function reported nothing within {seconds} s") from None


class RuntimeApi(ThreadingTCPServer):
    """A server with the Runtime API of one function, on any port of 127.0.0.1."""

    daemon_threads = True

    def __init__(self, function: Function) -> None:
        self.function = function
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        """Ignore it: a function that ends breaks its connection."""


class Handler(BaseHTTPRequestHandler):
    """The calls of a function."""

    server: RuntimeApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the body waits for the client to acknowledge the headers

    def parse_request(self) -> bool:
        """Refuse requests of web pages: they are for another host or name their site."""
        if not super().parse_request():
            return False
        is_for_us = self.headers["Host"] == self.server.address
        is_of_a_page = "Origin" in self.headers or "Sec-Fetch-Site" in self.headers
        if not is_for_us or is_of_a_page:
            self.send_error(403)
            return False
        return True

    def do_GET(self) -> None:
        """Respond with the next event, once there is one."""
        function = self.server.function
        function.ready = function.ready or time.perf_counter()
        function.settled.set()
        event = function.events.get()
        if event is None:
            self.close_connection = True
        else:
            self.respond(200, *event)

    def do_POST(self) -> None:
        """Take a report."""
        function = self.server.function
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if len(body) > RESPONSE_LIMIT:
            function.report("too-large", TOO_LARGE)
            self.respond(413, b'{"errorType": "RequestEntityTooLarge"}')
        else:
            is_init = self.path.endswith("/init/error")
            kind = "init/error" if is_init else self.path.rpartition("/")[2]
            function.report(kind, json.loads(body))
            self.respond(202)

    def respond(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        """Send a response."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def booted(
    code: Path, command: list[str], environment: dict[str, str], log: int | None = None
) -> Iterator[Function]:
    """Start `command` in the folder `code` with the environment that Lambda gives a function.

    `log` is the `stdout` of `subprocess.Popen`: a descriptor, DEVNULL, or None for this process's
    output, which pytest shows if a test fails.
    """
    function = Function()
    with RuntimeApi(function) as server:
        # shutdown() waits for `poll_interval`, 0.5 seconds otherwise
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        variables = function_variables("test", code)
        variables["AWS_LAMBDA_RUNTIME_API"] = server.address
        function.started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=code,
            env=variables | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        function.process_id = process.pid
        threading.Thread(target=lambda: function.report("exit", process.wait())).start()
        try:
            yield function
        finally:
            process.kill()
            process.wait()
            function.events.put(None)  # ends the thread that waits for an event
            server.shutdown()


def booted_python(
    code: Path, python: Path, handler: str = "app.app", log: int | None = None, **environment: str
) -> AbstractContextManager[Function]:
    """Start a Python handler with AWS's runtime client, in the Python from `lambda_python`."""
    return booted(code, [str(python), "-m", "awslambdaric", handler], environment, log)
