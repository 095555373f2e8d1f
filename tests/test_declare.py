"""What you declare with `ExpressApp`: routes and their HEAD, authorizers, blueprints."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from chalice import AuthResponse, AuthRoute, Blueprint, IAMAuthorizer, Response
from chalice.test import Client

from chalicelib.express import ExpressApp


@pytest.fixture
def app() -> ExpressApp:
    """An app without routes."""
    return ExpressApp("other", configure_logs=False)


def test_head_comes_with_get(app: ExpressApp) -> None:
    app.route("/", api_key_required=True, cors=True, authorizer=IAMAuthorizer())(lambda: "a")
    get, head = app.routes["/"].values()
    assert vars(head) == vars(get) | {"method": "HEAD"}


def test_head_does_not_come_with_post(app: ExpressApp) -> None:
    app.route("/", methods=["POST"])(lambda: "a")
    assert [*app.routes["/"]] == ["POST"]


def test_a_head_route_of_your_own_comes_before_its_get(app: ExpressApp) -> None:
    app.route("/", methods=["HEAD"])(lambda: Response("", status_code=202))
    app.route("/")(lambda: "a")
    with Client(app) as client:
        assert client.http.head("/").status_code == 202
        assert client.http.get("/").status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_route_accepts_any_content_type_or_those_it_names(app: ExpressApp, method: str) -> None:
    app.route("/any", methods=["GET", "POST"])(lambda: "a")
    app.route("/csv", methods=["GET", "POST"], content_types=["text/csv"])(lambda: "a")
    headers = {"Content-Type": "text/plain"}
    with Client(app) as client:
        assert client.http.request(method, "/any", headers=headers).status_code == 200
        assert client.http.request(method, "/csv", headers=headers).status_code == 415


AUTH_EVENT = {"type": "", "authorizationToken": "t", "methodArn": "arn:aws:a:b:c:api/dev/GET/a"}


def test_an_authorizer_that_lets_get_in_lets_head_in(app: ExpressApp) -> None:
    kept = AuthResponse([AuthRoute("/a", ["GET"]), AuthRoute("/b", ["POST"]), "/c"], "me")
    authorizer = app.authorizer(name="auth")(lambda request: kept)
    for _ in range(2):  # the second response is the same object
        (statement,) = authorizer(AUTH_EVENT, None)["policyDocument"]["Statement"]
        allowed = sorted(arn.split(":")[-1] for arn in statement["Resource"])
        assert allowed == ["api/dev/*/c", "api/dev/GET/a", "api/dev/HEAD/a", "api/dev/POST/b"]


def test_an_authorizer_may_return_anything_else(app: ExpressApp) -> None:
    assert app.authorizer(name="auth")(lambda request: request.token)(AUTH_EVENT, None) == "t"


@pytest.mark.parametrize(
    "declare",
    [
        lambda app: app.route("/"),
        lambda app: app.schedule("rate(1 hour)"),
        lambda app: app.middleware("http"),
    ],
)
def test_an_async_def_is_refused(app: ExpressApp, declare: Callable[[ExpressApp], Any]) -> None:
    async def view() -> str:
        return "a"

    async def stream() -> AsyncIterator[str]:
        yield "a"

    with pytest.raises(TypeError, match="view is an `async def`: write `def`"):
        declare(app)(view)
    with pytest.raises(TypeError, match="stream is an `async def`: write `def`"):
        declare(app)(stream)
    assert not app.routes


def test_the_middleware_can_be_removed(app: ExpressApp) -> None:
    app.route("/")(lambda: b"a")
    assert app.middleware_handlers == [(app.like_express, "http")]
    app.middleware_handlers.clear()
    with Client(app) as client:
        response = client.http.get("/")
    assert (response.body, "ETag" in response.headers) == (b"a", False)


def test_a_blueprint_can_be_registered_again(app: ExpressApp) -> None:
    blueprint = Blueprint("other")
    blueprint.route("/a", methods=["GET", "POST"])(lambda: "a")
    app.register_blueprint(blueprint, url_prefix="/v1")
    app.register_blueprint(blueprint)
    methods = ["GET", "POST", "HEAD"]
    assert {path: [*app.routes[path]] for path in app.routes} == {"/v1/a": methods, "/a": methods}


def test_a_view_does_not_take_the_place_of_a_function_of_its_name(app: ExpressApp) -> None:
    app.lambda_function(name="run")(lambda event, context: "a function")
    app.route("/", name="run")(lambda: "a view")
    assert Client(app).lambda_.invoke("run").payload == "a function"
