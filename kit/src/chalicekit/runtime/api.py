"""Lambda's Runtime API, and functions that run with it as on Lambda.

The protocol: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from chalicekit.runtime.environment import VARIABLES

ARN = "arn:aws:lambda:us-east-1:123456789012:function:test"


class Function:
    """A function that has been started: its events and its reports."""

    def __init__(self) -> None:
        self.events = SimpleQueue[bytes | None]()
        self.outcomes = SimpleQueue[tuple[str, Any]]()
        self.started = time.perf_counter()
        self.ready: float | None = None  # when it first asks for an event: the end of INIT
        self.process_id = 0

    def outcome(self, seconds: float = 30) -> tuple[str, Any]:
        """Return the function's next report: its kind and payload.

        The kind is `response`, `error`, `init/error`, or `exit` with the process' exit status.
        TimeoutError if there is no report within `seconds`.
        """
        try:
            return self.outcomes.get(timeout=seconds)
        except Empty:
            raise TimeoutError(f"the function reported nothing within {seconds} s") from None

    def invoke(self, event: Any) -> tuple[str, Any]:
        """Return the outcome of an invocation."""
        self.events.put(json.dumps(event).encode())
        return self.outcome()


def runtime_api(function: Function) -> ThreadingHTTPServer:
    """Return a server with the Runtime API of one function."""

    class RuntimeApi(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            function.ready = function.ready or time.perf_counter()
            event = function.events.get()
            if event is None:
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header(
                "Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
            )
            self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 10_000))
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", ARN)
            # Without a Content-Type, AWS's runtime client crashes.
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(event)))
            self.end_headers()
            self.wfile.write(event)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kind = self.path.rpartition("/")[2]
            function.outcomes.put(("init/error" if "/init/" in self.path else kind, body))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: Any) -> None:
            """Ignore it: a function that ends breaks its connection."""

    return Server(("127.0.0.1", 0), RuntimeApi)


@contextmanager
def booted(
    code: Path, command: list[str], environment: dict[str, str], log: int | None = None
) -> Iterator[Function]:
    """Start `command` in the folder `code` with the environment that Lambda gives a function.

    `log` is the `stdout` of `subprocess.Popen`: a descriptor, DEVNULL, or None for this process's
    output, which pytest shows if a test fails.
    """
    function = Function()
    with runtime_api(function) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        lambda_environment = VARIABLES | {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": "test",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/test",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]0",
            "LAMBDA_TASK_ROOT": str(code),
        }
        function.started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=code,
            env=lambda_environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        function.process_id = process.pid
        threading.Thread(target=lambda: function.outcomes.put(("exit", process.wait()))).start()
        try:
            yield function
        finally:
            process.kill()
            process.wait()
            function.events.put(None)
            server.shutdown()


def booted_python(
    code: Path, python: Path, handler: str = "app.app", log: int | None = None, **environment: str
) -> AbstractContextManager[Function]:
    """Start a Python handler with AWS's runtime client, in the Python from `lambda_python`."""
    return booted(code, [str(python), "-m", "awslambdaric", handler], environment, log)
