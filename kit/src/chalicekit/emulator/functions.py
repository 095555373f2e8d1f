"""Make MiniStack's Lambda run functions as AWS's does: with AWS's own runtime client."""

import asyncio
import json
import os
import tempfile
import zipfile
from contextlib import ExitStack
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from ministack.core import lambda_runtime
from ministack.services import lambda_svc, sns

from chalicekit.emulator import Original, replaces
from chalicekit.runtime.api import REQUEST_LIMIT, Function, booted
from chalicekit.runtime.environment import VERSION

SANDBOX = str(Path(__file__).with_name("sandbox.py"))
SECONDS_TO_START = 60  # AWS gives 10 on its own machines
EVENT_LIMIT = 1024 * 1024  # of an asynchronous invocation


@replaces(lambda_svc, "handle_request")
async def manage_functions(
    original: Original,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    query: dict[str, Any],
) -> Any:
    """Respond to a call of Lambda's API, unless it invokes a function with too large an event.

    docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    is_asynchronous = headers.get("x-amz-invocation-type") == "Event"
    limit = EVENT_LIMIT if is_asynchronous else REQUEST_LIMIT
    if path.endswith("/invocations") and len(body) > limit:
        message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        return lambda_svc.error_response_json("RequestTooLargeException", message, 413)
    return await original(method, path, headers, body, query)


@replaces(lambda_svc, "_schedule_state_transition")
def be_ready(original: Original, name: str, delay: float) -> None:
    """Let a new or changed function be Active at once: botocore's waiters sleep for 5 seconds.

    This call still answers Pending; right after it, the function is Active.
    """
    function = lambda_svc._functions[name]
    for item in (function, *function["versions"].values()):
        done = {"State": "Active", "LastUpdateStatus": "Successful"}
        asyncio.get_running_loop().call_soon(item["config"].update, done)


@replaces(sns, "_deliver_to_lambda")
def deliver_notification(
    original: Original, function: str, notification: str, *details: Any
) -> None:
    """Invoke a function with a notification of SNS, with all fields that Chalice's event reads."""
    fields = {"Subject": None, "MessageAttributes": {}, **json.loads(notification)}
    original(function, json.dumps(fields), *details)


@replaces(lambda_runtime, "get_or_create_worker")
class WebSocketWorker:
    """What MiniStack's WebSocket APIs invoke: the function as others invoke it, with its log."""

    def __init__(
        self,
        original: Original,
        name: str,
        config: dict[str, Any],
        code_zip: bytes,
        qualifier: str,
    ) -> None:
        self.function = {"config": config, "code_zip": code_zip}

    def invoke(self, event: Any, request_id: str) -> dict[str, Any]:
        """Return the result of the function, or that it has failed."""
        ended = lambda_svc._execute_function(self.function, event)
        status = "error" if ended.get("error") else "ok"
        return {"status": status, "error": str(ended["body"]), "result": ended["body"]}


@replaces(lambda_svc, "_execute_function_warm")
def execute(original: Original, function: dict[str, Any], event: Any, request_id: str) -> Any:
    """Invoke a function; return its result, or the error that it reports."""
    if is_python(function["config"]):
        # For Python, MiniStack makes an error of its own; for `provided` runtimes, it keeps it.
        return lambda_svc._execute_function_provided_warm(function, event, request_id)
    return original(function, event, request_id)


@replaces(lambda_runtime, "_worker_class_for")
def class_of_instances(original: Original, config: dict[str, Any]) -> Any:
    """Return the class of a function's execution environments."""
    return Instance if is_python(config) else original(config)


def is_python(config: dict[str, Any]) -> bool:
    """Tell whether a function runs in Python; one that is a container image names no runtime."""
    return str(config.get("Runtime", "")).startswith("python")


class Instance(lambda_runtime.Worker):  # type: ignore[misc]
    """An execution environment of a function: a process that handles one event at a time."""

    # `server` sets these two before it serves
    python: Path  # for functions, from `lambda_python`
    url: str  # of the emulated AWS

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.function: Function | None = None  # while its process runs
        self.resources = ExitStack()  # the process and its files
        self.log: BinaryIO = BytesIO()  # one of the files, from the start of the process on

    def invoke(
        self, event: Any, request_id: str, *, invoked_function_arn: str, **_: Any
    ) -> dict[str, Any]:
        """Return the result of an invocation, or its error, and its log, in MiniStack's words."""
        with self._lock:
            function = self.function
            if not function or function.has_ended:
                function = self.start()
            kind, payload = self.handle(function, event, request_id, invoked_function_arn)
            self.log.seek(0)
            log = self.log.read().decode(errors="replace")
            self.log.truncate(0)
            if kind not in ("response", "error"):
                self.end()
            if kind == "response":
                return {"status": "ok", "result": payload, "log": log}
            message = payload["errorMessage"]
            return {"status": "error", "error": message, "error_payload": payload, "log": log}

    def handle(self, function: Function, event: Any, request_id: str, arn: str) -> tuple[str, Any]:
        """Let the process handle an event; return the kind of its report, and the payload.

        The kinds are those of `Function.invoke`, and `timeout`.
        """
        function.settled.wait(SECONDS_TO_START)  # INIT does not count in the timeout
        timeout = self.config["Timeout"]
        try:
            kind, payload = function.invoke(event, timeout, request_id, arn)
        except TimeoutError:
            reason = f"Task timed out after {timeout:.2f} seconds"
            return "timeout", self.failed("Sandbox.Timedout", request_id, reason)
        if kind == "exit":
            reason = f"with error: exit status {payload}" if payload else "without a reason"
            payload = self.failed("Runtime.ExitError", request_id, f"Runtime exited {reason}")
        return kind, payload

    def failed(self, kind: str, request_id: str, reason: str) -> dict[str, str]:
        """Write to the log why the process ended, as Lambda does; return the error."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")[:-6]
        self.log.write(f"{now}Z {request_id} {reason}\n".encode())
        return {"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {reason}"}

    def start(self) -> Function:
        """Start a process, in place of one that has ended."""
        self.end()
        enter = self.resources.enter_context
        folder = Path(enter(tempfile.TemporaryDirectory(prefix="function-")))
        (folder / "tmp").mkdir()
        for layer in self.config["Layers"]:
            with zipfile.ZipFile(BytesIO(lambda_svc._resolve_layer_zip(layer))) as archive:
                lambda_svc._extract_zip_preserving_mode(archive, folder / "opt")
        code = Path(lambda_svc._provided_runtime_code_dir(self.code_zip))
        for path in (code, *code.rglob("*")):
            path.chmod(path.stat().st_mode & 0o555)
        self.log = enter((folder / "log").open("a+b", buffering=0))
        command = [self.python, SANDBOX, self.config["Handler"], self.url, folder / "tmp"]
        self.function = enter(
            booted(code, list(map(str, command)), self.variables(folder), self.log.fileno())
        )
        return self.function

    def end(self) -> None:
        """End the process, if there is one, and delete its files."""
        self.function = None
        self.resources.close()

    # MiniStack's names for these two
    _spawn = start
    _discard_tmpdir = end

    def variables(self, folder: Path) -> dict[str, str]:
        """Return the function's own variables and those that Lambda sets for it.

        docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
        """
        config, region = self.config, self.config["FunctionArn"].split(":")[3]
        own = config.get("Environment", {}).get("Variables", {})
        layers = str(folder / "opt" / "python")
        imported_from = [f"{layers}/lib/{VERSION}/site-packages", layers, own.get("PYTHONPATH", "")]
        return {
            # The function's own variables may replace these, and those that `booted` adds
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            **own,
            # Nothing replaces these
            **lambda_runtime.execution_credentials(config),
            **log_variables(config),
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_LAMBDA_FUNCTION_NAME": config["FunctionName"],
            "AWS_LAMBDA_FUNCTION_VERSION": config["Version"],
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config["MemorySize"]),
            "PYTHONPATH": os.pathsep.join(imported_from),
            "TMPDIR": str(folder / "tmp"),
            "_HANDLER": config["Handler"],
        }


def log_variables(config: dict[str, Any]) -> dict[str, str]:
    """Return the variables of a function's log."""
    settings, today = config["LoggingConfig"], datetime.now(timezone.utc)
    group = settings.get("LogGroup", f"/aws/lambda/{config['FunctionName']}")
    variables = {
        "AWS_LAMBDA_LOG_GROUP_NAME": group,
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{today:%Y/%m/%d}/[{config['Version']}]{uuid4().hex}",
    }
    if settings.get("LogFormat") == "JSON":
        variables["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        variables["AWS_LAMBDA_LOG_LEVEL"] = settings.get("ApplicationLogLevel", "INFO")
    return variables


def write_log(function: str, line: str) -> None:
    """Write a line to the log of a function that runs now; if it runs twice, to the first one's."""
    with lambda_runtime._lock:
        workers = [worker for found in lambda_runtime._workers.values() for worker in found]
    for worker in workers:
        if worker.func_name == function and worker.in_use and isinstance(worker, Instance):
            worker.log.write(f"{line}\n".encode())
            return
