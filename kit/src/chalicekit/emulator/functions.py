"""Make MiniStack's Lambda run functions as AWS's does: with AWS's own runtime client."""

import asyncio
import json
import os
import re
import tempfile
import zipfile
from contextlib import ExitStack
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

from ministack.core import lambda_runtime
from ministack.services import lambda_svc, sns

from chalicekit.runtime.api import REQUEST_LIMIT, TOO_LARGE, Function, booted
from chalicekit.runtime.environment import RESERVED_VARIABLES, VERSION, lambda_python

SANDBOX = str(Path(__file__).with_name("sandbox.py"))
SECONDS_TO_START = 60  # AWS gives 10 on its own machines
EVENT_LIMIT = 1024 * 1024  # of an asynchronous invocation

DIRECT_UPLOAD_LIMIT = 70167211  # of a request: 50 MB in Base64, and a little

# docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
VARIABLE = re.compile("[a-zA-Z][a-zA-Z0-9_]+")
MALFORMED = (
    "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: "
    "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: "
    "[a-zA-Z]([a-zA-Z0-9_])+]"
)
UNUSABLE = (
    "Lambda was unable to configure your environment variables because the environment variables "
    "you have provided "
)
RESERVED = (
    "contains reserved keys that are currently not supported for modification. "
    "Reserved keys used in this request: {names}"
)

# MiniStack's own functions, which the functions below call
worker_class = lambda_runtime._worker_class_for
execute_warm = lambda_svc._execute_function_warm
handle_request = lambda_svc.handle_request
create_function = lambda_svc._create_function
update_configuration = lambda_svc._update_config
deliver_notification = sns._deliver_to_lambda


def patch_lambda(folder: Path, url: str) -> None:
    """Change MiniStack's Lambda before it serves at `url`. `folder` is for the functions' Python.

    A deployed function is ready at once: while it is pending, botocore's waiters sleep for 5 and 10
    seconds.
    """
    Instance.python, Instance.url = lambda_python(folder), url
    lambda_runtime._worker_class_for = lambda config: (
        Instance if config.get("Runtime", "").startswith("python") else worker_class(config)
    )
    lambda_runtime.get_or_create_worker = Dispatched
    lambda_svc.handle_request = control_plane
    lambda_svc._create_function = create_configured_function
    lambda_svc._update_config = update_configured_function
    lambda_svc._execute_function_warm = execute
    lambda_svc._schedule_state_transition = be_ready
    sns._deliver_to_lambda = deliver_complete_notification


def be_ready(name: str, _: float) -> None:
    """Let a function that is new or changed be ready once this call has its response: pending."""
    function = lambda_svc._functions[name]
    for item in (function, *function["versions"].values()):
        done = {"State": "Active", "LastUpdateStatus": "Successful"}
        asyncio.get_running_loop().call_soon(item["config"].update, done)


async def control_plane(
    method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
) -> Any:
    """Respond to a call of Lambda's API, unless it is too large.

    docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    operation, limit = "", 0
    match method, path.strip("/").split("/")[2:]:
        case "POST", [_, "invocations"]:
            is_event = headers.get("x-amz-invocation-type") == "Event"
            operation, limit = "InvokeFunction", EVENT_LIMIT if is_event else REQUEST_LIMIT
        case "POST", []:
            operation, limit = "CreateFunction", DIRECT_UPLOAD_LIMIT
        case "PUT", [_, "code"]:
            operation, limit = "UpdateFunctionCode", DIRECT_UPLOAD_LIMIT
    if operation and len(body) > limit:
        kind = (
            "RequestTooLargeException"
            if limit < DIRECT_UPLOAD_LIMIT
            else "RequestEntityTooLargeException"
        )
        message = f"Request must be smaller than {limit} bytes for the {operation} operation"
        return lambda_svc.error_response_json(kind, message, 413)
    return await handle_request(method, path, headers, body, query)


def create_configured_function(request: dict[str, Any]) -> Any:
    """Create a function, unless its environment variables are refused."""
    return refused_variables(request) or create_function(request)


def update_configured_function(name: str, request: dict[str, Any]) -> Any:
    """Update a function's configuration, unless its environment variables are refused."""
    return refused_variables(request) or update_configuration(name, request)


def refused_variables(request: dict[str, Any]) -> Any:
    """Return AWS's refusal of a function's environment variables, or None."""
    variables = request.get("Environment", {}).get("Variables") or {}
    measured = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    kind, message = "InvalidParameterValueException", ""
    if not all(map(VARIABLE.fullmatch, variables)):
        kind, message = "ValidationException", MALFORMED
    elif reserved := RESERVED_VARIABLES & variables.keys():
        message = UNUSABLE + RESERVED.format(names=", ".join(sorted(reserved)))
    elif len(measured.encode()) > 4096:
        message = UNUSABLE + f"exceeded the 4KB limit. String measured: {measured}"
    return lambda_svc.error_response_json(kind, message, 400) if message else None


def execute(function: dict[str, Any], event: Any, request_id: str) -> Any:
    """Invoke a function; MiniStack's own way for other runtimes passes errors on as they are."""
    python = function["config"]["Runtime"].startswith("python")
    run = lambda_svc._execute_function_provided_warm if python else execute_warm
    return run(function, event, request_id)


def deliver_complete_notification(function: str, notification: str, *details: Any) -> None:
    """Invoke a function with a notification of SNS, with the fields that AWS sends to Lambda.

    docs.aws.amazon.com/lambda/latest/dg/with-sns.html
    """
    fields = {"Subject": None, "MessageAttributes": {}, **json.loads(notification)}
    complete = {name.replace("URL", "Url"): value for name, value in fields.items()}
    deliver_notification(function, json.dumps(complete), *details)


class Dispatched:
    """What MiniStack's WebSocket APIs invoke: the function as others invoke it, with its log."""

    def __init__(self, _: str, config: dict[str, Any], code_zip: bytes, qualifier: str) -> None:
        self.function = {"config": config, "code_zip": code_zip}

    def invoke(self, event: Any, _: str) -> dict[str, Any]:
        """Return the result of the function, or that it has failed."""
        result = lambda_svc._execute_function(self.function, event)
        status = "error" if result.get("error") else "ok"
        return {"status": status, "error": str(result["body"]), "result": result["body"]}


def write_log(function: str, line: str) -> None:
    """Write a line to the log of a function that runs now."""
    with lambda_runtime._lock:
        workers = [worker for found in lambda_runtime._workers.values() for worker in found]
    for worker in workers:
        if worker.func_name == function and worker.in_use and isinstance(worker, Instance):
            worker.log.write(f"{line}\n".encode())
            return


class Instance(lambda_runtime.Worker):  # type: ignore[misc]
    """An execution environment of a function: a process that handles one event at a time."""

    python: Path
    url: str  # of the emulated AWS

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.function: Function | None = None
        self.files = ExitStack()

    def invoke(
        self, event: Any, request_id: str, *, invoked_function_arn: str = "", **_: Any
    ) -> dict[str, Any]:
        """Return the outcome of an invocation and its log, in MiniStack's words."""
        with self._lock:
            if not self.function or not self.function.reports.empty():  # it has ended
                self._spawn()
            assert self.function
            timeout = self.config["Timeout"]
            arn = invoked_function_arn or self.config["FunctionArn"]
            self.function.settled.wait(SECONDS_TO_START)
            try:
                kind, payload = self.function.invoke(event, timeout, request_id, arn)
            except TimeoutError:
                reason = f"Task timed out after {timeout:.2f} seconds"
                kind, payload = "timeout", self.failed("Sandbox.Timedout", request_id, reason)
            if kind == "exit":
                reason = f"with error: exit status {payload}" if payload else "without a reason"
                payload = self.failed("Runtime.ExitError", request_id, f"Runtime exited {reason}")
            self.log.seek(0)
            log = self.log.read().decode(errors="replace")
            self.log.truncate(0)
            if kind not in ("response", "error") or payload is TOO_LARGE:
                self._discard_tmpdir()
            if kind == "response":
                return {"status": "ok", "result": payload, "log": log}
            message = payload["errorMessage"]
            return {"status": "error", "error": message, "error_payload": payload, "log": log}

    def failed(self, kind: str, request_id: str, reason: str) -> dict[str, str]:
        """Write to the log why the process ended, as Lambda does; return the error."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")[:-6]
        self.log.write(f"{now}Z {request_id} {reason}\n".encode())
        return {"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {reason}"}

    def _spawn(self) -> None:
        """Start a process."""
        self._discard_tmpdir()
        folder = Path(self.files.enter_context(tempfile.TemporaryDirectory(prefix="function-")))
        (folder / "tmp").mkdir()
        for layer in self.config["Layers"]:
            with zipfile.ZipFile(BytesIO(lambda_svc._resolve_layer_zip(layer))) as archive:
                lambda_svc._extract_zip_preserving_mode(archive, folder / "opt")
        code = Path(lambda_svc._provided_runtime_code_dir(self.code_zip))
        for path in (code, *code.rglob("*")):
            path.chmod(path.stat().st_mode & 0o555)
        self.log = self.files.enter_context((folder / "log").open("a+b", buffering=0))
        command = [self.python, SANDBOX, self.config["Handler"], self.url, folder / "tmp"]
        self.function = self.files.enter_context(
            booted(code, list(map(str, command)), self.environment(folder), self.log.fileno())
        )

    def environment(self, folder: Path) -> dict[str, str]:
        """Return the variables that Lambda sets for this function, and the function's own.

        docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
        """
        config, logging = self.config, self.config["LoggingConfig"]
        name, version = config["FunctionName"], config["Version"]
        region, today = config["FunctionArn"].split(":")[3], datetime.now(timezone.utc)
        own = config.get("Environment", {}).get("Variables", {})
        layers = str(folder / "opt" / "python")
        paths = f"{layers}/lib/{VERSION}/site-packages", layers, own.get("PYTHONPATH")
        if logging.get("LogFormat") == "JSON":
            own = own | {
                "AWS_LAMBDA_LOG_FORMAT": "JSON",
                "AWS_LAMBDA_LOG_LEVEL": logging.get("ApplicationLogLevel", "INFO"),
            }
        return {
            "AWS_ENDPOINT_URL": self.url,
            lambda_runtime.HOST_PREFIX_ENV: "true",
            **own,
            **lambda_runtime.execution_credentials(config),
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config["MemorySize"]),
            "AWS_LAMBDA_LOG_GROUP_NAME": logging.get("LogGroup", f"/aws/lambda/{name}"),
            "AWS_LAMBDA_LOG_STREAM_NAME": f"{today:%Y/%m/%d}/[{version}]{uuid4().hex}",
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "TMPDIR": str(folder / "tmp"),
            "_HANDLER": config["Handler"],
        }

    def _discard_tmpdir(self) -> None:
        """End the process, if there is one, and delete its files; MiniStack calls this, too."""
        self.function = None
        self.files.close()
