"""The emulated AWS, and functions under the Runtime API."""

import io
import json
import os
import re
import signal
import sys
import uuid
import zipfile
from collections.abc import Callable, Iterator
from email.message import Message
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from chalice.test import Client, HTTPResponse

from chalicekit.runtime.events import proxy_event
from chalicekit.runtime.environment import lambda_python
from chalicekit.runtime.api import booted_python
from tests.echo.app import PNG, app
from tests.processes import REPOSITORY, free_port, is_listening, serving, wait_until
from tests.project import EMULATED_AWS, MAKE_RUN, Project, client, copy_files
from tests.replies import Reply, send

ECHO = REPOSITORY / "tests" / "echo"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


class Echo(NamedTuple):
    """A function and an API in front of it."""

    function: str
    url: str


def deploy_echo(
    endpoint: str, code: str = (ECHO / "function.py").read_text(encoding="utf-8")
) -> Echo:
    """Deploy the function that echoes, without Chalice."""
    name, package = f"echo-{uuid.uuid4().hex[:8]}", io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("function.py", code)
    function = client("lambda", endpoint_url=endpoint).create_function(
        FunctionName=name,
        Runtime=PYTHON,
        Role="arn:aws:iam::123456789012:role/echo",
        Handler="function.handler",
        Code={"ZipFile": package.getvalue()},
    )
    path = f"2015-03-31/functions/{function['FunctionArn']}/invocations"
    integration = {
        "type": "aws_proxy",
        "httpMethod": "POST",
        "uri": f"arn:aws:apigateway:us-east-1:lambda:path/{path}",
    }
    method = {"x-amazon-apigateway-integration": integration}
    definition = {
        "info": {"title": name},
        "paths": {"/answer": {"post": method}, "/event/{name}": {"get": method, "put": method}},
        "x-amazon-apigateway-binary-media-types": ["image/png"],
    }
    gateway = client("apigateway", endpoint_url=endpoint)
    api = gateway.import_rest_api(body=json.dumps(definition))["id"]
    gateway.create_deployment(restApiId=api, stageName="dev")
    return Echo(name, f"{endpoint}/_aws/execute-api/{api}/dev")


@pytest.fixture(scope="module")
def echo() -> str:
    """The address of an API whose function echoes."""
    return deploy_echo(os.environ["AWS_ENDPOINT_URL"]).url


def sent_event(url: str, method: str = "GET", **request: Any) -> dict[str, Any]:
    """Return the event that a request makes."""
    reply = send(method, url, **request)
    event: dict[str, Any] = json.loads(reply.body)["event"]
    return event


gateway = pytest.mark.xdist_group("echo")


@gateway
def test_an_event_has_the_fields_that_aws_sends(echo: str) -> None:
    event, sample = sent_event(f"{echo}/event/one"), proxy_event("/event/{name}")
    assert event.keys() == sample.keys()
    context, sample_context = event["requestContext"], sample["requestContext"]
    assert context.keys() == sample_context.keys()
    assert context["identity"].keys() == sample_context["identity"].keys()
    own = [name for name, value in context.items() if value != sample_context[name]]
    assert {"apiId", "deploymentId", "domainName", "resourceId", "extendedRequestId"} <= set(own)
    added = {name.lower() for name in sample["headers"] if name.startswith(("X-Amzn", "X-Forw"))}
    assert added <= event["headers"].keys() == event["multiValueHeaders"].keys()


@gateway
@pytest.mark.parametrize(
    ("path", "event_path", "name"),
    [
        ("/event/one", "/event/one", "one"),
        ("/event/one/", "/event/one/", "one"),
        ("//event/one", "/event/one", "one"),
        ("/event/a%2Fb", "/event/a%2Fb", "a%2Fb"),
        ("/event/J%C3%BCrgen", "/event/J%C3%BCrgen", "J%C3%BCrgen"),
        ("/event/a+b%20c", "/event/a+b%20c", "a+b%20c"),
    ],
)
def test_a_path_stays_encoded(echo: str, path: str, event_path: str, name: str) -> None:
    event = sent_event(echo + path)
    assert (event["resource"], event["path"]) == ("/event/{name}", event_path)
    assert event["pathParameters"] == {"name": name}
    assert event["requestContext"]["path"] == f"/dev{path}"


@gateway
def test_the_last_value_of_a_repeated_parameter_wins(echo: str) -> None:
    event = sent_event(f"{echo}/event/one?a=1&a=2+3&b=")
    assert event["queryStringParameters"] == {"a": "2 3", "b": ""}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2 3"], "b": [""]}


@gateway
def test_a_header_overrides_the_method(echo: str) -> None:
    event = sent_event(f"{echo}/event/one", headers={"X-HTTP-Method-Override": "PUT"})
    assert event["httpMethod"] == event["requestContext"]["httpMethod"] == "PUT"


@gateway
@pytest.mark.parametrize(
    ("content_type", "body", "event_body", "is_base64"),
    [("image/png", b"\x89PNG", "iVBORw==", True), ("text/plain", "é".encode(), "é", False)],
)
def test_a_binary_body_arrives_in_base64(
    echo: str, content_type: str, body: bytes, event_body: str, is_base64: bool
) -> None:
    headers = {"Content-Type": content_type}
    event = sent_event(f"{echo}/event/one", "PUT", headers=headers, body=body)
    assert (event["body"], event["isBase64Encoded"]) == (event_body, is_base64)
    assert "content-length" not in event["headers"]


@gateway
def test_a_client_chooses_the_request_id_and_not_the_extended_one(echo: str) -> None:
    chosen = "01234567-89ab-cdef-0123-456789abcdef"
    reply = send("GET", f"{echo}/event/one", {"x-amzn-RequestId": chosen})
    context = json.loads(reply.body)["event"]["requestContext"]
    assert context["requestId"] == reply.headers["x-amzn-RequestId"] == chosen
    assert context["extendedRequestId"] == reply.headers["x-amz-apigw-id"]
    forged = sent_event(f"{echo}/event/one", headers={"x-amzn-RequestId": "no UUID"})
    assert forged["requestContext"]["requestId"] != "no UUID"


@gateway
def test_a_function_is_ready_as_soon_as_it_is_updated() -> None:
    name, functions = deploy_echo(os.environ["AWS_ENDPOINT_URL"]).function, client("lambda")
    functions.update_function_configuration(FunctionName=name, Timeout=9)
    function = functions.get_function_configuration(FunctionName=name)
    assert (function["State"], function["LastUpdateStatus"]) == ("Active", "Successful")


@gateway
def test_an_update_can_remove_the_minimum_compression_size(echo: str) -> None:
    api = client("apigateway").get_rest_api(restApiId=echo.split("/")[-2])["id"]
    for value in ("1024", ""):
        operation = {"op": "replace", "path": "/minimumCompressionSize", "value": value}
        updated = client("apigateway").update_rest_api(restApiId=api, patchOperations=[operation])
    assert updated.get("minimumCompressionSize") is None


def answer_to(echo: str, answer: Any, **headers: str) -> Reply:
    """Return what a client gets when the function returns `answer`."""
    return send("POST", f"{echo}/answer", headers, json.dumps(answer))


@gateway
@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        ({}, 200, b""),
        ({"headers": {"X-Test": "value"}}, 200, b""),
        ({"headers": None, "multiValueHeaders": None, "body": None}, 200, b""),
        ({"statusCode": "201", "body": "text"}, 201, b"text"),
        ({"statusCode": 304}, 304, b""),
    ],
)
def test_a_response_gets_a_content_type(echo: str, answer: Any, status: int, body: bytes) -> None:
    reply = answer_to(echo, answer)
    assert (reply.status, reply.body) == (status, body)
    assert reply.headers.get_all("Content-Type") == ["application/json"]


@gateway
@pytest.mark.parametrize(
    "answer",
    [
        None,
        "text",
        [],
        {"statusCode": 200, "unknown": "field"},
        {"statusCode": "no number"},
        {"headers": {"X-Count": 1}},
        {"headers": ["X-Test"]},
        {"multiValueHeaders": {"X-Test": "no list"}},
        {"body": {"no": "text"}},
        {"body": 1},
        {"errorMessage": "'NoneType'", "errorType": "TypeError"},
    ],
    ids=json.dumps,
)
def test_a_malformed_response_is_refused(echo: str, answer: Any) -> None:
    reply = answer_to(echo, answer)
    assert (reply.status, json.loads(reply.body)) == (502, {"message": "Internal server error"})


@gateway
def test_headers_of_the_connection_are_renamed(echo: str) -> None:
    sent = {"Connection": "close", "Content-Length": "9", "Date": "today", "server": "ours"}
    reply = answer_to(echo, {"headers": sent, "body": "text"})
    for name, value in sent.items():
        assert reply.headers[f"x-amzn-Remapped-{name}"] == value
    assert (reply.headers["Connection"], reply.headers["Content-Length"]) == (None, "4")


@gateway
def test_single_and_repeated_headers_are_merged(echo: str) -> None:
    reply = answer_to(
        echo,
        {
            "headers": {"set-cookie": "c", "X-Flag": True},
            "multiValueHeaders": {"Set-Cookie": ["a", "b"], "content-type": ["text/html"]},
        },
    )
    assert reply.headers.get_all("Set-Cookie") == ["a", "b", "c"]
    assert reply.headers.get_all("Content-Type") == ["text/html"]
    assert reply.headers["X-Flag"] == "true"


@gateway
@pytest.mark.parametrize(
    ("accept", "is_base64", "body"),
    [
        ("image/png", True, b"\x89PNG"),
        ("image/png;q=0.9", True, b"\x89PNG"),
        ("image/png,*/*", True, b"\x89PNG"),
        ("image/webp,image/png", True, b"iVBORw=="),  # only the first type counts
        ("*/*", True, b"iVBORw=="),
        ("", True, b"iVBORw=="),
        ("image/png", False, b"iVBORw=="),
    ],
)
def test_base64_is_decoded_for_a_client_that_accepts_the_type(
    echo: str, accept: str, is_base64: bool, body: bytes
) -> None:
    answer = {"body": "iVBORw==", "isBase64Encoded": is_base64}
    assert answer_to(echo, answer, Accept=accept).body == body


@gateway
@pytest.mark.parametrize(
    ("method", "path", "authorization", "error"),
    [
        ("GET", "/nothing", None, "MissingAuthenticationTokenException"),
        ("GET", "/ANSWER", None, "MissingAuthenticationTokenException"),
        ("DELETE", "/answer", None, "MissingAuthenticationTokenException"),
        ("GET", "/nothing", "Bearer x", "IncompleteSignatureException"),
        ("DELETE", "/answer", "Basic eDp5", "IncompleteSignatureException"),
    ],
)
def test_an_unknown_path_or_method_is_forbidden(
    echo: str, method: str, path: str, authorization: str | None, error: str
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    reply = send(method, echo + path, headers)
    assert (reply.status, reply.headers["x-amzn-ErrorType"]) == (403, error)
    message = json.loads(reply.body)["message"]
    assert (authorization or "Missing Authentication Token") in message


IN_PROCESS = "in process"
HTML, JSON = "text/html; charset=utf-8", "application/json; charset=utf-8"
BYTES = bytes(range(256))
PREFLIGHT = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET,HEAD,OPTIONS",
    "Access-Control-Allow-Headers": "Authorization,Content-Type,X-Amz-Date,X-Amz-Security-Token,"
    "X-Api-Key",
}
PLACES = [
    pytest.param(place, marks=pytest.mark.xdist_group(f"echo {place}"))
    for place in (IN_PROCESS, MAKE_RUN, EMULATED_AWS)
]


@pytest.fixture(scope="module", params=PLACES)
def ask(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Reply]]:
    """Sends a request to the app in tests/echo: takes a method, a path, headers and a body."""
    project = Project(tmp_path_factory.mktemp("echo") / "project")
    copy_files(ECHO / "app.py", project.folder / "app.py")
    if request.param == IN_PROCESS:
        yield lambda method, path, headers, body: Reply(
            *in_process(Client(app).http.request(method, path, headers, body))
        )
    else:
        with project.served(request.param) as url:
            yield lambda method, path, *more: send(method, url + path, *more)


def in_process(response: HTTPResponse) -> tuple[int, Message, bytes]:
    """Return the parts of an answer that a server did not touch."""
    headers = Message()
    for name, value in response.headers.items():
        headers[name] = value
    return response.status_code, headers, response.body


@pytest.mark.parametrize(
    ("request_line", "headers", "status", "answer_headers", "body"),
    [
        ("GET /png", {"Accept": "image/png"}, 200, {"Content-Type": "image/png"}, PNG),
        ("GET /hello/J%C3%BCrgen", {}, 200, {"Content-Type": HTML}, "Hello, Jürgen!".encode()),
        ("GET /hello/a%2Fb%20c+d", {}, 200, {"Content-Type": HTML}, b"Hello, a/b c+d!"),
        ("GET /json", {}, 200, {"Content-Type": JSON}, '{"name":"Jürgen","한":[1,null]}'.encode()),
        (
            "GET /json",
            {"Origin": "https://example.com"},
            200,
            {"Access-Control-Allow-Origin": "*"},
            None,
        ),
        ("GET /redirect", {}, 302, {"Location": "/hello/you", "Content-Type": HTML}, b""),
    ],
)
def test_a_response_is_the_same_everywhere(
    ask: Callable[..., Reply],
    request_line: str,
    headers: dict[str, str],
    status: int,
    answer_headers: dict[str, str],
    body: bytes | None,
) -> None:
    reply = ask(*request_line.split(), headers, b"")
    assert reply.status == status
    assert {name: reply.headers[name] for name in answer_headers} == answer_headers
    assert body in (None, reply.body)


def test_bytes_pass_unchanged_everywhere(
    ask: Callable[..., Reply],
) -> None:
    octets = {"Content-Type": "application/octet-stream", "Accept": "application/octet-stream"}
    assert ask("POST", "/upload", octets, BYTES).body == BYTES


@pytest.mark.parametrize("ask", PLACES[1:], indirect=True)  # in process, no server answers it
def test_make_run_and_the_emulated_aws_answer_a_preflight(
    ask: Callable[..., Reply],
) -> None:
    reply = ask("OPTIONS", "/json", {"Origin": "https://example.com"}, b"")
    assert reply.status == 200
    assert {name: reply.headers[name] for name in PREFLIGHT} == PREFLIGHT


AUTHORIZER = """
from chalice import AuthResponse

@app.authorizer()
def check(request):
    return AuthResponse(routes=["/secret"] if request.token == "good" else [], principal_id="me")

@app.route("/secret", authorizer=check)
def secret():
    return app.current_request.context["authorizer"]["principalId"]
"""


def test_a_second_deploy_keeps_authorizers(project: Project) -> None:
    project.append(AUTHORIZER)
    for _ in range(2):
        url = project.deploy() + "/secret"
        assert send("GET", url).status == 401
        assert send("GET", url, {"Authorization": "bad"}).status == 403
        assert send("GET", url, {"Authorization": "good"}).body == b"me"
    api = url.split("/")[-3]
    assert len(client("apigateway").get_authorizers(restApiId=api)["items"]) == 1


OURS = dict.fromkeys(("PYTHONPATH", "LOG_LEVEL", "SERVICES", "PERSIST_STATE", "USER"), "1")


def check_environment(shown: dict[str, Any]) -> None:
    """Compare what a function found with what Lambda gives it."""
    assert shown["installed"] == ["boto3", "botocore", "awslambdaric"]
    assert shown["environment"]["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{PYTHON}"
    assert shown["environment"]["LAMBDA_TASK_ROOT"] == str(Path(shown["file"]).parent)
    assert not shown["environment"].keys() & OURS.keys()
    assert not Path(shown["environment"]["HOME"]).exists()


def test_the_emulated_aws_gives_a_function_lambda_s_environment() -> None:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with serving([sys.executable, "-m", "chalicekit.emulator.server", str(port)], port, REPOSITORY, **OURS):
        shown = json.loads(send("GET", deploy_echo(endpoint).url + "/event/a").body)
    check_environment(shown)
    assert shown["environment"]["AWS_ENDPOINT_URL"] == endpoint


def test_the_runtime_api_gives_a_function_lambda_s_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in OURS.items():
        monkeypatch.setenv(name, value)
    with booted_python(ECHO, lambda_python(tmp_path), "function.handler") as function:
        _, answer = function.invoke(proxy_event("/"))
    check_environment(json.loads(answer["body"]))


BOTO3 = """
import boto3

@app.route("/functions")
def functions():
    found = boto3.client("lambda").list_functions()["Functions"]
    return [function["FunctionName"] for function in found]
"""


def test_boto3_reaches_the_emulated_aws(project: Project) -> None:
    project.append(BOTO3)
    assert project.name in send("GET", project.deploy() + "/functions").body.decode()


def test_a_function_that_does_not_start_logs_the_reason() -> None:
    echo = deploy_echo(os.environ["AWS_ENDPOINT_URL"], "import json\nimport requests")
    assert [send("GET", echo.url + "/event/a").status for _ in range(2)] == [502, 502]
    events = client("logs").filter_log_events(logGroupName=f"/aws/lambda/{echo.function}")["events"]
    log = "\n".join(event["message"] for event in events)
    assert 'function.py", line 2' in log
    assert log.count("No module named 'requests'") == 2


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [("import requests", "init/error", "No module named 'requests'"), ("exit(3)", "exit", "3")],
)
def test_a_function_that_does_not_start_is_reported(
    tmp_path: Path, code: str, kind: str, reason: str
) -> None:
    (tmp_path / "function.py").write_text(code)
    with booted_python(
        tmp_path, lambda_python(tmp_path / "python"), "function.handler"
    ) as function:
        seen, report = function.outcome()
    assert seen == kind
    assert reason in str(report)


@pytest.fixture
def terminal() -> Iterator[None]:
    """A terminal that can be closed: nohup ignores SIGHUP, and so do the processes in it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("start", "end"),
    [
        ('exec "$@"', signal.SIGTERM),
        ('exec "$@"', signal.SIGHUP),
        ("trap '' INT; exec \"$@\"", signal.SIGINT),  # as in a script's background job
        ('"$@" & wait', signal.SIGKILL),  # ends the parent only
    ],
)
def test_the_emulated_aws_leaves_nothing_behind(
    tmp_path: Path, start: str, end: signal.Signals
) -> None:
    port = free_port()
    command = ["sh", "-c", start, "sh", sys.executable, "-m", "chalicekit.emulator.server", str(port)]
    with serving(command, port, TMPDIR=str(tmp_path)) as process:
        url = deploy_echo(f"http://127.0.0.1:{port}").url
        instance = json.loads(send("GET", url + "/event/a").body)["process"]
        process.send_signal(end)
        wait_until(lambda: not is_listening(port) and not any(tmp_path.iterdir()))
    with pytest.raises(ProcessLookupError):
        os.kill(instance, 0)


def test_the_emulated_aws_leaves_nothing_behind_when_it_ends_during_its_start(
    tmp_path: Path,
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "chalicekit.emulator.server", str(port)]
    with serving(command, port, TMPDIR=str(tmp_path)) as process:
        wait_until(lambda: any(tmp_path.iterdir()))
        process.terminate()
        process.wait(timeout=20)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("file", ["apigateway.py", "functions.py"])
def test_the_emulated_aws_fits_this_version_of_ministack(file: str) -> None:
    modules = {
        "apigateway": "ministack.services.apigateway_v1",
        "app": "ministack.app",
        "lambda_runtime": "ministack.core.lambda_runtime",
        "lambda_svc": "ministack.services.lambda_svc",
    }
    code = (REPOSITORY / "emulated" / file).read_text(encoding="utf-8")
    for module, name in re.findall(rf"\b({'|'.join(modules)})\.(\w+)", code):
        assert hasattr(import_module(modules[module]), name), (
            f"MiniStack {version('ministack')} has no {module}.{name}: see the top of {file}"
        )
