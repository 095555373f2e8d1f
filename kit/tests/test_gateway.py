"""Chalice's local API Gateway as AWS's, in process.

test_places.py compares whole responses with those of the emulated AWS; these are the cases that it
cannot show, and those that the emulated AWS does not have.
"""

import json
import re
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from chalice import (
    AuthResponse,
    AuthRoute,
    Chalice,
    CognitoUserPoolAuthorizer,
    IAMAuthorizer,
    Response,
)
from chalice.test import Client, HTTPResponse

from chalicekit.gateway import use_gateway
from chalicekit.runtime.events import proxy_event

README = Path(__file__).parent.parent / "README.md"
POOL = CognitoUserPoolAuthorizer("pool", provider_arns=["arn:aws:cognito-idp:pool"])


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An app without routes, behind the gateway."""
    use_gateway(monkeypatch)
    return Chalice("app")


def send(app: Chalice, method: str, path: str, **request: Any) -> HTTPResponse:
    """Send a request to an app in process."""
    with Client(app) as client:
        return client.http.request(method, path, **request)


# The event


def event(app: Any, method: str, path: str, **request: Any) -> Any:
    """Return the event of a request for one of the routes."""

    def view(**_: str) -> Any:
        return app.current_request.to_original_event()

    for route in ("/", "/files/{all+}", "/files/{name}", "/users/{id}/{file}", "/users/me"):
        app.route(route, methods=["GET", "PUT"])(view)
    return send(app, method, path, **request).json_body


def test_headers_are_the_clients_and_those_that_aws_adds(app: Any) -> None:
    given = {"X-Own": ["1", "2"], "host": "h.test:8000", "Connection": "close", "User-Agent": "me"}
    sent = event(app, "GET", "/", headers=given | {"X-Forwarded-For": "192.0.2.1"})
    assert sent["headers"] == {
        "X-Own": "2",
        "User-Agent": "me",
        "Host": "h.test:8000",
        "X-Amzn-Trace-Id": sent["headers"]["X-Amzn-Trace-Id"],
        "X-Forwarded-For": "192.0.2.1, 127.0.0.1",
        "X-Forwarded-Port": "8000",
        "X-Forwarded-Proto": "http",
    }
    assert sent["multiValueHeaders"]["X-Own"] == ["1", "2"]
    context = sent["requestContext"]
    assert (context["domainName"], context["domainPrefix"]) == ("h.test", "h")
    assert (context["path"], context["stage"]) == ("/", "api")
    assert context["identity"]["userAgent"] == "me"


@pytest.mark.parametrize(
    ("path", "route", "parameters"),
    [
        ("/users/me", "/users/me", None),
        ("//users/me/", "/users/me", None),
        ("/users/a%2Fb/x.y", "/users/{id}/{file}", {"id": "a%2Fb", "file": "x.y"}),
        ("/files/a", "/files/{name}", {"name": "a"}),
        ("/files/a/b%20c", "/files/{all+}", {"all": "a/b%20c"}),
    ],
)
def test_a_path_finds_the_most_specific_route_and_stays_encoded(
    app: Any, path: str, route: str, parameters: dict[str, str] | None
) -> None:
    sent = event(app, "GET", path)
    assert (sent["resource"], sent["pathParameters"]) == (route, parameters)
    assert sent["requestContext"]["path"] == path


def test_a_client_chooses_the_request_id_and_the_method(app: Any) -> None:
    chosen = "01234567-89ab-cdef-0123-456789abcdef"
    headers = {"x-amzn-RequestId": chosen, "X-HTTP-Method-Override": "PUT"}
    context = event(app, "POST", "/", headers=headers)["requestContext"]
    assert (context["requestId"], context["httpMethod"]) == (chosen, "PUT")


def test_a_body_may_be_text(app: Any) -> None:
    assert event(app, "PUT", "/", body='"é"')["body"] == '"é"'


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


# Authorizers


EVERYTHING = {"Action": "*", "Resource": "*"}
ALLOW = {
    "principalId": "me",
    "context": {"n": 1, "b": True, "none": None},
    "policyDocument": {"Statement": {"Effect": "Allow", **EVERYTHING}},
}
DENY = {"policyDocument": {"Statement": {"Effect": "Deny", **EVERYTHING}}}
DENIED = (
    "User is not authorized to access this resource with an explicit deny in an "
    "identity-based policy"
)
WRONG = {"message": "Internal server error"}


@pytest.mark.parametrize(
    ("check", "status", "body"),
    [
        (lambda: ALLOW, 200, {"principalId": "me", "n": "1", "b": "true"}),
        (lambda: AuthResponse([AuthRoute("/", ["GET"])], "me"), 200, {"principalId": "me"}),
        (lambda: DENY, 403, {"Message": DENIED}),
        (lambda: exit(1), 500, {"message": None}),
        (lambda: {1, 2}, 500, {"message": None}),
        (lambda: {}, 500, WRONG),
        (lambda: {"policyDocument": []}, 500, WRONG),
        (lambda: ALLOW | {"context": 1}, 500, WRONG),
    ],
)
def test_whatever_an_authorizer_does_the_client_gets_the_response_of_aws(
    app: Any, check: Any, status: int, body: Any
) -> None:
    authorizer = app.authorizer(header="X-Token")(lambda request: check())
    app.route("/", authorizer=authorizer)(lambda: app.current_request.context["authorizer"])
    response = send(app, "GET", "/", headers={"x-token": "a"})
    assert (response.status_code, response.json_body) == (status, body)


def test_an_authorizer_gets_the_token_of_its_header(app: Any) -> None:
    seen = []

    def check(request: Any) -> AuthResponse:
        seen.append((request.auth_type, request.token, request.method_arn.split("/", 1)[1]))
        return AuthResponse(["*"], "me")

    app.route("/a/{b}", authorizer=app.authorizer(header="X-Token")(check))(lambda b: b)
    assert send(app, "GET", "/a/1", headers={"X-Token": "secret"}).body == b"1"
    assert send(app, "GET", "/a/1", headers={"Authorization": "secret"}).status_code == 401
    assert seen == [("TOKEN", "secret", "api/GET/a/1")]


@pytest.mark.parametrize("authorizer", [POOL, IAMAuthorizer()])
def test_what_decides_outside_the_app_lets_everyone_in_without_a_warning(
    app: Any, authorizer: Any
) -> None:
    app.route("/", authorizer=authorizer, api_key_required=True)(lambda: "in")
    assert send(app, "GET", "/").body == b"in"


def test_an_app_reads_the_claims_of_a_cognito_token(app: Any) -> None:
    app.route("/", authorizer=POOL)(lambda: app.current_request.context["authorizer"])
    payload = urlsafe_b64encode(json.dumps({"sub": "1"}).encode()).decode().rstrip("=")
    response = send(app, "GET", "/", headers={"authorization": f"Bearer e30.{payload}.x"})
    assert response.json_body == {"claims": {"sub": "1"}}
    assert send(app, "GET", "/", headers={"Authorization": "no token"}).status_code == 401


# Responses


def test_an_unknown_path_is_refused(app: Any) -> None:
    app.route("/a.b")(print)
    response = send(app, "GET", "/a-b", headers={"Authorization": "Bearer a"})
    assert response.status_code == 403
    assert response.json_body == {"message": "Missing Authentication Token"}
    assert {"x-amzn-RequestId", "x-amz-apigw-id"} <= response.headers.keys()


def test_a_view_may_declare_options(app: Any) -> None:
    app.route("/", methods=["OPTIONS"])(lambda: "own")
    assert send(app, "OPTIONS", "/").body == b"own"


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
