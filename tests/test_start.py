"""How Lambda starts an app: each function, those of blueprints too, and what is imported then."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import chalicelib
from chalicekit.runtime.events import proxy_event

(PACKAGE,) = chalicelib.__path__
PROJECT = Path(PACKAGE).parent

APP = """
from chalicelib.a import a
from chalicelib.b import b
from chalicelib.express import ExpressApp

app = ExpressApp("other")
app.register_blueprint(a, name_prefix="a_", url_prefix="/a")
app.register_blueprint(b, name_prefix="b_")
app.register_blueprint(b, name_prefix="c_")


@app.lambda_function()
def run(event, context):
    return "own"


@app.route("/")
def hourly():
    return "a view"


@app.lambda_function(name="first")
def twice(event, context):
    return "first"


@app.lambda_function(name="second")
def twice(event, context):
    return "second"
"""
BLUEPRINT_A = """
from chalice import AuthResponse, Blueprint

a = Blueprint(__name__)


@a.middleware()
def mark(event, get_response):
    response = get_response(event)
    if hasattr(response, "headers"):
        response.headers["X-Mark"] = "a"
    return response


@a.route("/")
def index():
    return a.current_request.method


@a.lambda_function(name="run")
def run(event, context):
    a.log.info("runs")
    return "a"


@a.schedule("rate(1 hour)", name="hourly")
def hourly(event):
    return type(event).__name__


@a.on_cw_event({"source": ["aws.ec2"]})
def on_cw(event):
    return type(event).__name__


@a.on_s3_event("bucket")
def on_s3(event):
    return event.key


@a.on_sns_message("topic")
def on_sns(event):
    return event.message


@a.on_sqs_message("queue")
def on_sqs(event):
    return [record.body for record in event]


@a.on_kinesis_record("stream")
def on_kinesis(event):
    return type(event).__name__


@a.on_dynamodb_record("arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/s")
def on_dynamodb(event):
    return type(event).__name__


@a.on_ws_connect()
def connect(event):
    return {"statusCode": 201, "body": event.connection_id}


@a.on_ws_message()
def message(event):
    return {"body": event.body}


@a.on_ws_disconnect()
def disconnect(event):
    a.log.info("goodbye")


@a.authorizer()
def auth(request):
    return AuthResponse([request.token], "me")


@a.route("/guarded", authorizer=auth)
def guarded():
    return "guarded"
"""
BLUEPRINT_B = """
from chalice import Blueprint

b = Blueprint(__name__)


@b.lambda_function(name="run")
def run(event, context):
    return "b"


@b.lambda_function(name="fail")
def fail(event, context):
    raise ValueError("a mistake")
"""
LIST = """
import json
from app import app
functions = [*app.builtin_auth_handlers, *app.event_sources, *app.pure_lambda_functions]
functions += [*app.websocket_handlers.values()]
assert app.routes["/a/guarded"]["GET"].authorizer.name == "a_auth"
print(json.dumps({function.name: function.handler_string for function in functions}))
"""
START = """
import importlib, json, sys

handler, event = json.load(sys.stdin)
module, _, name = handler.rpartition(".")
start = getattr(importlib.import_module(module), name)  # as AWS's client does it
print(json.dumps(start(event, None)))
"""


def python(folder: Path, code: str, stdin: str = "") -> list[str]:
    """Run code in a Python of its own, in a folder; return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, input=stdin, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two blueprints."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "chalicelib").mkdir()
    for name in ("__init__.py", "express.py", "logs.py"):
        shutil.copy(PROJECT / "chalicelib" / name, folder / "chalicelib")
    (folder / "app.py").write_text(APP)
    (folder / "chalicelib/a.py").write_text(BLUEPRINT_A)
    (folder / "chalicelib/b.py").write_text(BLUEPRINT_B)
    return folder


@pytest.fixture(scope="module")
def handlers(project: Path) -> dict[str, str]:
    """The handler of each function, as AWS is told."""
    *_, line = python(project, LIST)
    return dict(json.loads(line))


def start(project: Path, handler: str, event: Any) -> Any:
    """Return what a handler returns in a fresh Python, and the messages that it logs."""
    *log, result = python(project, START, json.dumps([handler, event]))
    return json.loads(result), [json.loads(line)["message"] for line in log]


WEBSOCKET = {"apiId": "a", "stage": "s", "domainName": "d", "connectionId": "c"}
CLOUDWATCH = dict.fromkeys(
    ["version", "account", "region", "detail", "detail-type", "source", "time", "id", "resources"]
)


@pytest.mark.parametrize(
    ("name", "event", "result", "log"),
    [
        ("run", {}, "own", []),
        ("a_run", {}, "a", ["runs"]),
        ("b_run", {}, "b", []),
        ("c_run", {}, "b", []),
        ("first", {}, "first", []),
        ("second", {}, "second", []),
        ("a_hourly", CLOUDWATCH, "CloudWatchEvent", []),
        ("a_on_cw", CLOUDWATCH, "CloudWatchEvent", []),
        (
            "a_on_s3",
            {"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}]},
            "k",
            [],
        ),
        (
            "a_on_sns",
            {"Records": [{"Sns": {"Message": "m", "Subject": "", "MessageAttributes": {}}}]},
            "m",
            [],
        ),
        ("a_on_sqs", {"Records": [{"body": "m", "receiptHandle": "r"}]}, ["m"], []),
        ("a_on_kinesis", {"Records": []}, "KinesisEvent", []),
        ("a_on_dynamodb", {"Records": []}, "DynamoDBEvent", []),
        ("a_connect", {"requestContext": WEBSOCKET}, {"statusCode": 201, "body": "c"}, []),
        (
            "a_message",
            {"requestContext": WEBSOCKET, "body": "m"},
            {"statusCode": 200, "body": "m"},
            [],
        ),
        ("a_disconnect", {"requestContext": WEBSOCKET}, {"statusCode": 200}, ["goodbye"]),
    ],
)
def test_lambda_starts_the_function_that_was_meant(
    project: Path,
    handlers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    event: Any,
    result: Any,
    log: list[str],
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert start(project, handlers[name], event) == (result, log)


def test_a_blueprint_s_authorizer_lets_in(project: Path, handlers: dict[str, str]) -> None:
    arn = "arn:aws:execute-api:us-east-1:123456789012:api/dev/GET/a/guarded"
    event = {"type": "TOKEN", "authorizationToken": "/a/guarded", "methodArn": arn}
    result, _ = start(project, handlers["a_auth"], event)
    (statement,) = result["policyDocument"]["Statement"]
    assert statement["Resource"] == [arn.replace("GET", "*")]


def test_the_log_has_an_exception_of_a_blueprint_s_function(
    project: Path, handlers: dict[str, str]
) -> None:
    code = START.replace("print(", "try: print(") + "except ValueError: pass"
    (line,) = python(project, code, json.dumps([handlers["b_fail"], {}]))
    assert json.loads(line)["errorMessage"] == "a mistake"


# Chalice's own imports move into its functions when it is packaged; here they are there already.
FIRST_REQUEST = """
import json, sys
import chalice.app
from chalicelib.express import ExpressApp

app = ExpressApp("other")
app.route("/")(lambda: "hello world")
app.route("/korean")(lambda: "안녕")
app.route("/json")(lambda: {"a": [1, None]})
for name in ("base64", "copy", "datetime", "decimal", "traceback", "typing", "urllib.parse"):
    del sys.modules[name]
    setattr(chalice.app, name, None)
chalice.app.unquote_plus = None
before = {*sys.modules}
print([app(event, None)["statusCode"] for event in json.load(sys.stdin)], file=sys.stderr)
print(*sorted({*sys.modules} - before))
"""


def test_a_first_request_imports_nothing() -> None:
    """An import costs a request more than a start, for which Lambda gives a whole core."""
    events = [proxy_event(path) for path in ("/", "/korean", "/json")]
    *log, imported = python(PROJECT, FIRST_REQUEST, json.dumps(events))
    assert [json.loads(line)["status"] for line in log] == [200, 200, 200]
    assert imported == ""


# Modules that stand for Chalice's and have whatever is asked of them.
START_OF_THE_APP = """
import sys
from types import ModuleType

import contextlib, json, logging, re  # Lambda's own client has them

for name in ("chalice", "chalice.app"):
    sys.modules[name] = ModuleType(name)
    sys.modules[name].__getattr__ = lambda name: type(name, (), {})
before = {*sys.modules}
import chalicelib.express
print(*sorted({*sys.modules} - before))
"""


def test_the_start_imports_only_what_a_request_needs() -> None:
    (imported,) = python(PROJECT, START_OF_THE_APP)
    own = {"chalicelib", "chalicelib.express", "chalicelib.logs"}
    assert {*imported.split()} <= own | {"__future__", "_sha1", "binascii"}
