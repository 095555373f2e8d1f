"""Chalice's local API Gateway as AWS's: in process, and over HTTP."""

import json
import re
import socket
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import requests
from chalice import (
    AuthResponse,
    AuthRoute,
    Chalice,
    CognitoUserPoolAuthorizer,
    CORSConfig,
    IAMAuthorizer,
    Response,
)
from chalice.config import Config
from chalice.test import Client, HTTPResponse

from chalicekit.gateway import use_gateway
from chalicekit.http_server import Server
from chalicekit.runtime.events import proxy_event

README = Path(__file__).parent.parent / "README.md"
MISSING_TOKEN = {"message": "Missing Authentication Token"}
POOL = CognitoUserPoolAuthorizer("pool", provider_arns=["arn:aws:cognito-idp:pool"])


@pytest.fixture(autouse=True)
def gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway for `chalice.test.Client`."""
    use_gateway(monkeypatch)


@pytest.fixture
def app() -> Any:
    """An app without routes."""
    return Chalice("app")


class Echo(Chalice):
    """An app that responds with its event, whatever the route."""

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Respond."""
        return {"body": json.dumps(event)}


@pytest.fixture
def echo() -> Echo:
    """An app that responds with its event and has a route for `/`."""
    echo = Echo("echo")
    echo.route("/", methods=["GET", "PUT"])(print)
    return echo


def send(app: Chalice, method: str, path: str, **request: Any) -> HTTPResponse:
    """Send a request to an app in process."""
    with Client(app) as client:
        return client.http.request(method, path, **request)


def event(echo: Echo, path: str, method: str = "GET", **request: Any) -> Any:
    """Return the event of a request."""
    return send(echo, method, path, **request).json_body


# The event


def test_an_event_has_all_fields_that_aws_sends(echo: Echo) -> None:
    echo.route("/a/{b}")(print)
    sent, sample = event(echo, "/a/1"), proxy_event("/a/{b}")
    context, sample_context = sent["requestContext"], sample["requestContext"]
    assert sent.keys() == sample.keys()
    assert context.keys() == sample_context.keys()
    assert context["identity"].keys() == sample_context["identity"].keys()
    assert (sent["resource"], sent["path"], sent["httpMethod"]) == ("/a/{b}", "/a/1", "GET")
    assert (context["domainName"], context["stage"]) == ("localhost", "api")
    assert (context["path"], context["httpMethod"]) == ("/a/1", "GET")


def test_headers_are_the_clients_and_those_that_aws_adds(echo: Echo) -> None:
    given = {"X-Own": ["1", "2"], "Host": "h.test:8000", "Connection": "close", "User-Agent": "me"}
    sent = event(echo, "/", headers=given)
    assert sent["headers"] == {
        "X-Own": "2",
        "User-Agent": "me",
        "Host": "h.test:8000",
        "X-Amzn-Trace-Id": sent["headers"]["X-Amzn-Trace-Id"],
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Port": "8000",
        "X-Forwarded-Proto": "http",
    }
    assert sent["multiValueHeaders"]["X-Own"] == ["1", "2"]
    assert sent["requestContext"]["domainName"] == "h.test"
    assert sent["requestContext"]["identity"]["userAgent"] == "me"


@pytest.mark.parametrize(
    ("path", "route", "parameters"),
    [
        ("/", "/", None),
        ("//", "/", None),
        ("/users/me", "/users/me", None),
        ("/users/me/", "/users/me", None),
        ("//users/me", "/users/me", None),
        ("/users/a%2Fb", "/users/{id}", {"id": "a%2Fb"}),
        ("/users/1/x.y", "/users/{id}/{file}", {"id": "1", "file": "x.y"}),
        ("/files/a/b%20c", "/files/{all+}", {"all": "a/b%20c"}),
        ("/files/a", "/files/{name}", {"name": "a"}),
    ],
)
def test_a_path_finds_the_most_specific_route_and_stays_encoded(
    echo: Echo, path: str, route: str, parameters: dict[str, str] | None
) -> None:
    users = ("/users/{id}/{file}", "/users/{id}", "/users/me")
    for known in ("/files/{all+}", "/files/{name}", *users):
        echo.route(known)(print)
    sent = event(echo, path)
    assert (sent["resource"], sent["pathParameters"]) == (route, parameters)
    assert sent["requestContext"]["path"] == path


def test_a_query_has_lists_and_last_values(echo: Echo) -> None:
    sent = event(echo, "/?a=1&a=2+3&b=")
    assert sent["multiValueQueryStringParameters"] == {"a": ["1", "2 3"], "b": [""]}
    assert sent["queryStringParameters"] == {"a": "2 3", "b": ""}
    assert event(echo, "/")["multiValueQueryStringParameters"] is None


@pytest.mark.parametrize(
    ("types", "content_type", "body", "expected"),
    [
        (["image/png"], "image/png", b"\x89", ("iQ==", True)),
        (["image/*"], "image/png; a=b", b"\x89", ("iQ==", True)),
        (["*/*"], "", b"{}", ("e30=", True)),
        (["*/*"], "text/plain", b"", (None, False)),
        (["image/png"], "text/plain", "é".encode(), ("é", False)),
        (["image/png"], "text/plain", "é", ("é", False)),
    ],
)
def test_a_body_of_a_binary_type_arrives_in_base64(
    echo: Echo, types: list[str], content_type: str, body: bytes | str, expected: tuple[Any, bool]
) -> None:
    echo.api.binary_types = types
    headers = {"Content-Type": content_type} if content_type else {}
    sent = event(echo, "/", "PUT", headers=headers, body=body)
    assert (sent["body"], sent["isBase64Encoded"]) == expected


def test_a_client_chooses_the_request_id_and_the_method(echo: Echo) -> None:
    chosen = "01234567-89ab-cdef-0123-456789abcdef"
    headers = {"x-amzn-RequestId": chosen, "X-HTTP-Method-Override": "PUT"}
    response = send(echo, "POST", "/", headers=headers)
    assert response.headers["x-amzn-RequestId"] == chosen
    context = response.json_body["requestContext"]
    assert (context["requestId"], context["httpMethod"]) == (chosen, "PUT")
    assert context["extendedRequestId"] == response.headers["x-amz-apigw-id"]


def test_the_url_of_another_path_is_built_in_one_way(app: Any) -> None:
    code = re.search("```python\n(def url.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert code
    names: dict[str, Any] = {"app": app}
    exec(code[1], names)
    url = names["url"]
    app.route("/")(lambda: url("/new"))
    app.route("/a/{b}")(lambda b: url("/new"))
    headers = {"Host": "127.0.0.1:8000"}
    for path in ("/", "/a/1", "/a/1/"):
        assert send(app, "GET", path, headers=headers).body == b"http://127.0.0.1:8000/new"
    for route, path in (("/", "/api/"), ("/a/{b}", "/api/a/1")):
        on_aws = proxy_event(route, pathParameters={"b": "1"})
        on_aws["requestContext"] |= {"path": path}
        host = on_aws["headers"]["Host"]
        assert app(on_aws, None)["body"] == f"https://{host}/api/new"


# Requests that the app does not get


@pytest.mark.parametrize("request_line", ["GET /none", "GET /A", "POST /", "OPTIONS /", "HEAD /"])
def test_what_is_not_declared_is_refused(app: Any, request_line: str) -> None:
    app.route("/")(print)
    response = send(app, *request_line.split())
    assert response.status_code == 403
    assert response.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
    if request_line != "HEAD /":
        assert response.json_body == MISSING_TOKEN


def test_an_authorization_on_an_unknown_path_is_read_as_a_signature(app: Any) -> None:
    response = send(app, "GET", "/", headers={"Authorization": "Bearer a"})
    assert response.status_code == 403
    assert response.headers["x-amzn-ErrorType"] == "IncompleteSignatureException"


def test_cors_declares_options(app: Any) -> None:
    cors = CORSConfig(allow_origin="https://a.test")
    app.route("/", methods=["GET", "PUT"], cors=cors)(print)
    response = send(app, "OPTIONS", "/")
    assert (response.status_code, response.body) == (200, b"")
    assert response.headers["Access-Control-Allow-Origin"] == "https://a.test"
    assert response.headers["Access-Control-Allow-Methods"] == "GET,PUT,OPTIONS"


def test_a_view_may_declare_options(app: Any) -> None:
    app.route("/", methods=["OPTIONS"])(lambda: "own")
    assert send(app, "OPTIONS", "/").body == b"own"


# Authorizers


ALLOW = {
    "principalId": "me",
    "context": {"n": 1, "b": True},
    "policyDocument": {
        "Statement": [{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}]
    },
}
DENY = {"policyDocument": {"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}}
NOT_ALLOWED = {"Message": "User is not authorized to access this resource"}
DENIED = {"Message": NOT_ALLOWED["Message"] + " with an explicit deny in an identity-based policy"}
WRONG = {"message": "Internal server error"}


def raises(message: str) -> Any:
    """Raise an exception."""
    raise Exception(message)


@pytest.mark.parametrize(
    ("answer", "status", "kind", "body"),
    [
        (lambda: ALLOW, 200, None, {"principalId": "me", "n": "1", "b": "true"}),
        (lambda: AuthResponse(["*"], "me"), 200, None, {"principalId": "me"}),
        (lambda: AuthResponse(["/"], "me"), 200, None, {"principalId": "me"}),
        (lambda: AuthResponse([AuthRoute("/", ["GET"])], "me"), 200, None, {"principalId": "me"}),
        (lambda: AuthResponse([], "me"), 403, "AccessDeniedException", NOT_ALLOWED),
        (lambda: AuthResponse(["/other"], "me"), 403, "AccessDeniedException", NOT_ALLOWED),
        (lambda: DENY, 403, "AccessDeniedException", DENIED),
        (lambda: raises("Unauthorized"), 401, "UnauthorizedException", {"message": "Unauthorized"}),
        (lambda: raises("x"), 500, "AuthorizerConfigurationException", {"message": None}),
        (lambda: {1, 2}, 500, "AuthorizerConfigurationException", {"message": None}),
        (lambda: exit(1), 500, "AuthorizerConfigurationException", {"message": None}),
        (lambda: None, 500, "AuthorizerConfigurationException", WRONG),
        (lambda: "nonsense", 500, "AuthorizerConfigurationException", WRONG),
        (lambda: {}, 500, "AuthorizerConfigurationException", WRONG),
        (lambda: {"policyDocument": {}}, 403, "AccessDeniedException", NOT_ALLOWED),
        (lambda: {"policyDocument": []}, 500, "AuthorizerConfigurationException", WRONG),
        (lambda: ALLOW | {"context": {"a": []}}, 500, "AuthorizerConfigurationException", WRONG),
        (lambda: ALLOW | {"context": 1}, 500, "AuthorizerConfigurationException", WRONG),
    ],
)
def test_whatever_an_authorizer_does_the_client_gets_aws_s_answer(
    app: Any, answer: Any, status: int, kind: str | None, body: Any
) -> None:
    authorizer = app.authorizer(header="X-Token")(lambda request: answer())
    app.route("/", authorizer=authorizer)(lambda: app.current_request.context["authorizer"])
    response = send(app, "GET", "/", headers={"x-token": "a"})
    assert (response.status_code, response.headers.get("x-amzn-ErrorType")) == (status, kind)
    assert response.json_body == body


def test_an_authorizer_gets_the_token_of_its_header(app: Any) -> None:
    requests = []

    def check(request: Any) -> AuthResponse:
        requests.append((request.auth_type, request.token, request.method_arn.split("/", 1)[1]))
        return AuthResponse(["*"], "me")

    app.route("/a/{b}", authorizer=app.authorizer(header="X-Token")(check))(lambda b: b)
    assert send(app, "GET", "/a/1", headers={"X-Token": "secret"}).body == b"1"
    response = send(app, "GET", "/a/1", headers={"Authorization": "secret"})
    assert (response.status_code, response.json_body) == (401, {"message": "Unauthorized"})
    assert requests == [("TOKEN", "secret", "api/GET/a/1")]


@pytest.mark.parametrize("authorizer", [POOL, IAMAuthorizer()])
def test_what_decides_outside_the_app_lets_everyone_in_without_a_warning(
    app: Any, authorizer: Any
) -> None:
    app.route("/", authorizer=authorizer, api_key_required=True)(lambda: "in")
    assert send(app, "GET", "/").body == b"in"


def test_an_app_reads_the_claims_of_a_cognito_token(app: Any) -> None:
    app.route("/", authorizer=POOL)(lambda: app.current_request.context["authorizer"])
    payload = urlsafe_b64encode(json.dumps({"sub": "1"}).encode()).decode().rstrip("=")
    response = send(app, "GET", "/", headers={"authorization": f"e30.{payload}.x"})
    assert response.json_body == {"claims": {"sub": "1"}}
    assert send(app, "GET", "/", headers={"Authorization": "no token"}).status_code == 401


# Responses


def respond(app: Any, result: Any, accept: str = "") -> HTTPResponse:
    """Return the response for a function's result."""

    class Function(Chalice):
        def __call__(self, event: Any, context: Any) -> Any:
            return result

    function = Function("function")
    function.api.binary_types = ["image/png"]
    function.route("/")(lambda: None)
    return send(function, "GET", "/", headers={"Accept": accept} if accept else {})


@pytest.mark.parametrize(
    "result",
    [
        None,
        "text",
        {"statusCode": 200, "cookies": []},
        {"headers": {"X-Count": 1}},
        {"headers": {"X-Null": None}},
        {"headers": {"X-List": ["a"]}},
        {"headers": {"X-Lines": "a\r\nX-Other: b"}},
        {"headers": {"X Space": "a"}},
        {"multiValueHeaders": {"X-Text": "a"}},
        {"body": {"a": 1}},
        {"body": b"\xff"},
        {"body": {1, 2}},
        {"statusCode": "OK"},
        {"statusCode": 99},
        {"body": "a", "isBase64Encoded": True},
    ],
)
def test_a_malformed_response_is_a_502(app: Any, result: Any) -> None:
    response = respond(app, result)
    assert (response.status_code, response.json_body) == (502, {"message": "Internal server error"})


@pytest.mark.parametrize(
    ("result", "status", "headers", "body"),
    [
        ({}, 200, {"Content-Type": "application/json"}, b""),
        ({"statusCode": "404", "body": "é"}, 404, {}, "é".encode()),
        ({"headers": {"content-type": "text/plain"}}, 200, {"content-type": "text/plain"}, b""),
        ({"headers": {"X-True": True}}, 200, {"X-True": "true"}, b""),
        ({"headers": {"a": "1"}, "multiValueHeaders": {"A": ["2"]}}, 200, {"A": ["2", "1"]}, b""),
        ({"headers": {"A": "1"}, "multiValueHeaders": {"A": ["1"]}}, 200, {"A": "1"}, b""),
        ({"headers": {"Date": "x"}}, 200, {"x-amzn-Remapped-Date": "x"}, b""),
        ({"statusCode": 204, "body": "x"}, 204, {}, b""),
        ({"body": "iQ==", "isBase64Encoded": True}, 200, {}, b"iQ=="),
    ],
)
def test_a_response_is_what_aws_makes_of_it(
    app: Any, result: Any, status: int, headers: dict[str, str], body: bytes
) -> None:
    response = respond(app, result)
    assert (response.status_code, response.body) == (status, body)
    assert headers.items() <= response.headers.items()
    assert [name.lower() for name in response.headers].count("content-type") == 1


def test_the_first_type_of_accept_decides_on_bytes(app: Any) -> None:
    result = {"body": "iQ==", "isBase64Encoded": True}
    for accept in ("image/png, text/html", "image/png;q=0.9", "IMAGE/PNG"):
        assert respond(app, result, accept).body == b"\x89"
    assert respond(app, {"body": "iQ=="}, "image/png").body == b"iQ=="
    assert respond(app, result, "text/html, image/png").body == b"iQ=="
    assert respond(app, result, "*/*").body == b"iQ=="


def test_a_function_that_fails_is_a_502_and_logs_why(
    app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app.api.binary_types = []
    app.route("/")(lambda: Response(b"\xff", {"Content-Type": "text/plain"}))
    assert send(app, "GET", "/").status_code == 502
    assert "UnicodeDecodeError" in caplog.text


def test_head_has_the_length_and_no_body(app: Any) -> None:
    app.route("/", methods=["HEAD"])(lambda: "hello")
    response = send(app, "HEAD", "/")
    assert (response.body, response.headers["Content-Length"]) == (b"", "5")


# Over HTTP


@pytest.fixture
def connection(app: Any) -> Iterator[HTTPConnection]:
    """A connection to a server with an app that has one route for each kind of response."""
    views = {
        "GET": lambda: "hello",
        "HEAD": lambda: "hello",
        "PUT": lambda: app.current_request.raw_body.decode(),
        "DELETE": lambda: Response("gone", status_code=204),
        "PATCH": lambda: Response("", {"X-Name": "日本", "X-Two": ["1", "2"]}, 304),
    }
    for method, view in views.items():
        app.route("/", methods=[method], content_types=[])(view)
    with Server(app, Config.create(), "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, args=[0.05]).start()
        connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
        yield connection
        connection.close()
        server.shutdown()


def exchange(connection: HTTPConnection, method: str, **request: Any) -> tuple[int, bytes]:
    """Return the status and the body of a response."""
    connection.request(method, "/", **request)
    response = connection.getresponse()
    return response.status, response.read()


def test_requests_share_a_connection(connection: HTTPConnection) -> None:
    exchange(connection, "GET")
    used = connection.sock
    for _ in range(3):
        assert exchange(connection, "GET") == (200, b"hello")
        assert exchange(connection, "HEAD") == (200, b"")
        assert exchange(connection, "DELETE") == (204, b"")
        assert exchange(connection, "PATCH") == (304, b"")
        assert exchange(connection, "PUT", body=b"in one piece") == (200, b"in one piece")
        assert exchange(connection, "PUT", body=iter([b"in ", b"chunks"])) == (200, b"in chunks")
        assert exchange(connection, "BREW")[0] == 403
    assert connection.sock is used is not None


def test_a_response_has_each_header_once_and_values_that_are_not_latin_1(
    connection: HTTPConnection,
) -> None:
    connection.request("PATCH", "/")
    headers = connection.getresponse().headers
    assert headers["X-Name"].encode("latin-1").decode() == "日本"
    assert headers.get_all("X-Two") == ["1", "2"]
    assert headers.get_all("Content-Type") == ["application/json"]
    assert "Content-Length" not in headers


@pytest.mark.parametrize(
    "header", ["Content-Length: x", "Content-Length: -1", "Transfer-Encoding: chunked"]
)
def test_a_malformed_body_is_a_400(connection: HTTPConnection, header: str) -> None:
    with socket.create_connection((connection.host, connection.port), timeout=10) as client:
        client.sendall(f"PUT / HTTP/1.1\r\n{header}\r\n\r\nx\r\n".encode())
        response = b"".join(iter(lambda: client.recv(4096), b""))
    assert response.startswith(b"HTTP/1.1 400 ")
    assert response.count(b"HTTP/1.1") == 1


def test_threads_have_their_own_request(app: Any) -> None:
    barrier = threading.Barrier(2, timeout=10)

    def wait(name: str) -> str:
        barrier.wait()
        return f"{name} {app.current_request.uri_params['name']}"

    app.route("/{name}")(wait)
    with (
        Server(app, Config.create(), "127.0.0.1", 0) as server,
        ThreadPoolExecutor() as pool,
    ):
        pool.submit(server.serve_forever, 0.05)
        url = f"http://127.0.0.1:{server.server_address[1]}"
        bodies = list(pool.map(lambda name: requests.get(f"{url}/{name}", timeout=10).text, "ab"))
        server.shutdown()
    assert bodies == ["a a", "b b"]
