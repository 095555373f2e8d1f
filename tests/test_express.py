"""Responses as Express 5.3.0 sends them: what is expected here was recorded from it."""

import json
import math
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from chalice import AuthResponse, AuthRoute, Blueprint, CORSConfig, Response, UnauthorizedError
from chalice.app import MultiDict
from chalice.test import Client

from chalicekit.runtime.events import proxy_event
from chalicelib.express import ExpressApp

HTML = "text/html; charset=utf-8"
JSON = "application/json; charset=utf-8"
BYTES = "application/octet-stream"
TAG = 'W/"1-aB"'
TAG_OF_X = 'W/"1-EfatjsUqKYSrqv18O1FlA3hcIHI"'
HOUR = timedelta(hours=1)
NEW_YEAR = "Wed, 01 Jan 2025 00:00:00 GMT"


class Sent(NamedTuple):
    """What a function gives to API Gateway; the names of the headers in lower case."""

    status: int
    headers: dict[str, Any]
    body: bytes


@pytest.fixture(autouse=True)
def time_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time zone of the machine, which must not matter."""
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> ExpressApp:
    """An app without routes, which is not that of a module `app`."""
    monkeypatch.delitem(sys.modules, "app", raising=False)
    return ExpressApp("other", configure_logs=False)


def send(app: ExpressApp, method: str = "GET", path: str = "/", **fields: Any) -> Sent:
    """Send an event of API Gateway with these fields; return the response."""
    response = app(proxy_event(path, method, **{"headers": {}, **fields}), None)
    assert json.loads(json.dumps(response)) == response
    is_base64 = response.get("isBase64Encoded")
    body = b64decode(response["body"]) if is_base64 else response["body"].encode()
    headers = response["headers"] | response["multiValueHeaders"]
    named = {name.lower(): value for name, value in headers.items()}
    assert len(named) == len(headers)
    return Sent(response["statusCode"], named, body)


def sent_for(value: Any, headers: Any = None, method: str = "GET") -> Sent:
    """Return the response to a request with these headers if the view returns `value`."""
    app = ExpressApp("other", configure_logs=False)
    app.route("/", methods=[method])(lambda: value)
    return send(app, method, headers=headers)


@pytest.mark.parametrize(
    ("value", "content_type", "body", "tag"),
    [
        ("a", HTML, b"a", "1-hvfkN/qlp/zhXR3cuerq6jd2Z7g"),
        ("", HTML, b"", "0-2jmj7l5rSw0yVb/vlWAYkK/YBwk"),
        ("é", HTML, "é".encode(), "2-vxW+cXrBsIC08cRWaSgliR/1Bz0"),
        ("a\ud800b", HTML, "a\ufffdb".encode(), "5-w2k66mFsiGyTdG3qs9QpIcog8E4"),
        (b"\x89P\0\xff", BYTES, b"\x89P\0\xff", "4-BTeDPueu5WEiqepJlqTjPLSCX2U"),
        (bytearray(b"abc"), BYTES, b"abc", "3-qZk+NkcGgWq6PiVxeFDCbJzQ2J0"),
        (None, JSON, b"null", "4-K+iMpCQsduglOsYkdIUQZQMtaDM"),
        ({}, JSON, b"{}", "2-vyGp6PvFo4RvsFtPoIWeCReyIC8"),
    ],
)
def test_a_value_has_a_type_and_a_tag(value: Any, content_type: str, body: bytes, tag: str) -> None:
    headers = {"content-type": content_type, "etag": f'W/"{tag}"'}
    assert sent_for(value) == (200, headers, body)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([True, 5, -0.0, 1.5, 100.0, math.nan, -math.inf], "[true,5,0,1.5,100,null,null]"),
        ([1e21, 123456789012345680000.0], "[1e+21,123456789012345680000]"),
        ([9999999999999998.0, 0.1 + 0.2], "[9999999999999998,0.30000000000000004]"),
        ([1e-5, 1e-6, 9.99e-7, -1.5e-7, 1e-10], "[0.00001,0.000001,9.99e-7,-1.5e-7,1e-10]"),
        ([5e-324, 1.7976931348623157e308], "[5e-324,1.7976931348623157e+308]"),
        ({"b": (1, {"c": None}), "a": []}, '{"b":[1,{"c":null}],"a":[]}'),
        (['"\\/\b\f\n\r\t', "\0\x1f"], r'["\"\\/\b\f\n\r\t","\u0000\u001f"]'),
        (["\u2028\x85\xa0\ufeff\x7f</script>"], '["\u2028\x85\xa0\ufeff\x7f</script>"]'),
        (["\ud800", "a\udfff", "😀"], r'["\ud800","a\udfff","😀"]'),
        ([SimpleNamespace(__json__=lambda: {"won": Decimal("1.10")})], '[{"won":1.1}]'),
        (datetime(2026, 1, 2, 3, 4, 5, 678999, timezone.utc), '"2026-01-02T03:04:05.678Z"'),
        ([datetime(2026, 1, 2, tzinfo=timezone(-HOUR))], '["2026-01-02T01:00:00.000Z"]'),
        ({datetime(2026, 1, 2, 3, 4): "no zone"}, '{"2026-01-02T03:04:00.000Z":"no zone"}'),
        ({"first": date(1, 1, 1)}, '{"first":"0001-01-01T00:00:00.000Z"}'),
        # JavaScript rounds the number, and puts "2" before "b".
        ([2**53 + 1, {"b": 1, "2": 2}], '[9007199254740993,{"b":1,"2":2}]'),
        ({1: 0, 1e16: 0, None: 0, '"': 0}, r'{"1":0,"10000000000000000":0,"null":0,"\"":0}'),
        (MultiDict({"a": ["b", "c"]}), '{"a":"c"}'),
    ],
)
def test_json_is_written_as_javascript_writes_it(value: Any, text: str) -> None:
    assert sent_for(value).body.decode() == text


@pytest.mark.parametrize(
    ("body", "given", "sent"),
    [
        ("a,b", "text/csv", "text/csv; charset=utf-8"),
        ("x", 'multipart/mixed; boundary="A b"', 'multipart/mixed; boundary="A b"; charset=utf-8'),
        ("a", "text/plain;", "text/plain; charset=utf-8"),
        ("é", "text/html; Charset=ISO-8859-1", "text/html; charset=utf-8"),
        ({"a": 1}, "application/problem+json", "application/problem+json; charset=utf-8"),
        (b"a,b", "text/csv", "text/csv; charset=utf-8"),
        (b"\xe9", "text/plain; charset=latin1", "text/plain; charset=latin1"),
        (b"<svg/>", "image/svg+xml", "image/svg+xml"),
    ],
)
def test_a_text_says_that_it_is_utf_8(body: Any, given: str, sent: str) -> None:
    assert sent_for(Response(body, {"content-type": given})).headers["content-type"] == sent


def test_bytes_that_are_no_text_are_sent_in_base64(app: ExpressApp) -> None:
    app.route("/text")(lambda: b"a")
    app.route("/image")(lambda: Response(b"\xff", {"Content-Type": "image/png"}))
    assert "isBase64Encoded" not in app(proxy_event("/text"), None)
    image = app(proxy_event("/image"), None)  # for a browser, whose Accept header names no image
    assert (image["body"], image["isBase64Encoded"]) == ("/w==", True)
    assert app.api.binary_types == ["*/*"]  # so that API Gateway decodes it for every client


@pytest.mark.parametrize(
    ("view", "headers", "body"),
    [
        (Response("x", {}, 404), {"content-type": HTML, "etag": TAG_OF_X}, b"x"),
        (Response("x", {}, 204), {"etag": TAG_OF_X}, b""),
        (Response("x", {}, 205), {"content-type": HTML, "etag": TAG_OF_X}, b""),
        (Response("x", {"etag": TAG}, 201), {"content-type": HTML, "etag": TAG}, b"x"),
        (Response("", {"X-A": "b"}, 204), {"x-a": "b"}, b""),
        (Response(None, {"ETag": TAG}, 304), {"etag": TAG}, b""),
    ],
)
def test_a_response_keeps_its_status_and_tag(view: Response, headers: Any, body: bytes) -> None:
    assert sent_for(view, {"If-None-Match": ","}) == (view.status_code, headers, body)


@pytest.mark.parametrize("value", ["a", {"a": 1}, b"\xff"])
def test_304_has_the_headers_of_the_response_and_no_body(value: Any) -> None:
    whole = sent_for(value)
    copy = {"If-None-Match": whole.headers["etag"]}
    assert sent_for(value, copy) == whole._replace(status=304, body=b"")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status", [199, 200, 204, 205, 299, 300, 404])
def test_304_is_for_a_successful_get_or_head(method: str, status: int) -> None:
    is_fresh = method != "POST" and 200 <= status < 300
    sent = sent_for(Response("a", {}, status), {"If-None-Match": "*"}, method)
    assert sent.status == (304 if is_fresh else status)


# Recorded from fresh 2.0.0, and the code compared with it on 8,000 random requests. Around a tag,
# it takes spaces away and no tabs; around a directive of Cache-Control, both.
SAME_TAG = ["*", TAG, '"1-aB"', f"W/{TAG}", f"{TAG},", f'"b",  {TAG}  ,"c"', f"*, {TAG}"]
OTHER_TAG = ["", " *", "*, *", ",", '"b"', "1-aB", f"X{TAG}", TAG[:-1], 'w/"1-aB"', 'W/"1-ab"']
OTHER_TAG += [f'*, "{TAG}"', f'"b",\t{TAG}', f"{TAG}\t"]
CACHE = ["max-age=0", "x-no-cache", "no-cachet", "NO-CACHE"]
NO_CACHE = ["no-cache", "max-age=0, no-cache", "no-cache, max-age=0", "max-age=0,\tno-cache\t,x"]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        *[(304, {"If-None-Match": tags}) for tags in SAME_TAG],
        *[(200, {"If-None-Match": tags}) for tags in OTHER_TAG],
        *[(304, {"If-None-Match": TAG, "Cache-Control": directives}) for directives in CACHE],
        *[(200, {"If-None-Match": TAG, "Cache-Control": directives}) for directives in NO_CACHE],
    ],
)
def test_304_is_for_a_client_that_has_the_entity_tag(status: int, headers: dict[str, str]) -> None:
    assert sent_for(Response("a", {"ETag": TAG}), headers).status == status


@pytest.mark.parametrize(
    ("status", "modified", "since"),
    [
        (304, NEW_YEAR, NEW_YEAR),
        (304, NEW_YEAR, "Wed, 01 Jan 2025 00:00:01 GMT"),
        (200, NEW_YEAR, "Tue, 31 Dec 2024 23:59:59 GMT"),
        (200, NEW_YEAR, "Wed, 01 Jan 2025 00:00:00 +0100"),
        (304, NEW_YEAR, "Wednesday, 01-Jan-25 00:00:00 GMT"),
        (304, NEW_YEAR, "2025-01-01"),
        (200, NEW_YEAR, ""),
        (200, NEW_YEAR, "Wed, 32 Jan 2125 00:00:00 GMT"),
        (200, "yesterday", "yesterday"),
    ],
)
def test_304_is_for_a_copy_that_is_not_older(status: int, modified: str, since: str) -> None:
    view, headers = Response("a", {"last-modified": modified}), {"If-Modified-Since": since}
    assert sent_for(view, headers).status == status
    assert sent_for(view).status == 200
    assert sent_for(view, headers | {"If-None-Match": '"b"'}).status == 200


def test_a_header_is_sent_as_text() -> None:
    headers: dict[str, Any] = {"a": 1, "b": 1.0, "c": True, "d": [1, "e"], "f": "é\t"}
    sent = sent_for(Response("x", headers)).headers
    assert sent.items() >= {"a": "1", "b": "1", "c": "true", "d": ["1", "e"], "f": "é\t"}.items()


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ({"a": {"tags": {1}}}, "tags is a set, which JSON does not have"),
        ({3: [b"a"]}, "3 is a bytes, which JSON does not have"),
        ({b"a": 1}, "b'a' is a bytes, which JSON does not have"),
        ([object()], "the response is a object, which JSON does not have"),
        ({"q": MultiDict({"a": [{1}]})}, "a is a set, which JSON does not have"),
        ({"price": SimpleNamespace(__json__=set)}, "price is a set, which JSON does not have"),
        (Response("a", {"X-A": {1}}), "X-A is a set, which JSON does not have"),  # type: ignore[dict-item]
        (Response("a", {"X-A": "a\r\nX-B: b"}), r"this is not a header: 'X-A': 'a\r\nX-B: b'"),
        (Response("a", {"X-A": ["a", "b\n"]}), r"this is not a header: 'X-A': 'b\n'"),
        (Response("a", {"X-A": "한\0"}), r"this is not a header: 'X-A': '한\x00'"),
        (Response("a", {"X-A\r\nX-B": "b"}), r"this is not a header: 'X-A\r\nX-B': 'b'"),
        (Response("a", {"Ä": "b"}), "this is not a header: 'Ä': 'b'"),
        (Response("a", {"": "b"}), "this is not a header: '': 'b'"),
    ],
)
def test_what_cannot_be_sent_is_a_500_and_the_log_names_it(
    view: Any, message: str, caplog: Any
) -> None:
    caplog.set_level("ERROR")
    assert sent_for(view)[:2] == (500, {})
    assert message in caplog.text.splitlines()[-1].split("Error: ")


def test_names_of_headers_have_no_case_and_the_last_one_counts(app: ExpressApp) -> None:
    view = Response({"csv": "x"}, {"content-type": "text/plain", "x-a": "view"})
    app.route("/", cors=True)(lambda: view)

    def set_headers(request: Any, get_response: Any) -> Response:
        response = get_response(request)
        own = {"Content-TYPE": "text/csv", "X-A": 1, "access-control-allow-origin": request.path}
        return Response(response.body["csv"], response.headers | own)

    app.register_middleware(set_headers)
    headers = app(proxy_event("/"), None)["headers"]
    assert headers.pop("Access-Control-Allow-Headers").startswith("Authorization,")
    assert headers.pop("access-control-allow-origin") == "/"
    assert headers == {"Content-Type": "text/csv; charset=utf-8", "X-A": "1", "ETag": TAG_OF_X}
    assert view.headers == {"content-type": "text/plain", "x-a": "view"}


def fail(*_: Any) -> None:
    raise UnauthorizedError("who?")


def test_an_error_of_a_middleware_has_its_status_and_the_cors_headers(app: ExpressApp) -> None:
    app.route("/", cors=CORSConfig(allow_origin="b.org"))("x".lower)
    app.register_middleware(fail, "http")
    status, headers, body = send(app)
    assert (status, body) == (401, b'{"Code":"UnauthorizedError","Message":"who?"}')
    assert (headers["content-type"], headers["access-control-allow-origin"]) == (JSON, "b.org")


@pytest.mark.parametrize(("view", "status"), [("x".lower, 304), (fail, 401), ([].pop, 500)])
def test_each_response_has_the_cors_headers(app: ExpressApp, view: Any, status: int) -> None:
    app.route("/", cors=True)(view)
    sent = send(app, headers={"If-None-Match": "*"})
    assert (sent.status, sent.headers["access-control-allow-origin"]) == (status, "*")


def test_the_middleware_can_be_replaced(app: ExpressApp) -> None:
    app.route("/")(lambda: b"a")
    assert app.middleware_handlers == [(app.like_express, "http")]
    app.middleware_handlers.clear()
    assert send(app) == (200, {}, b"a")


def test_debug_is_chalice_s() -> None:
    app = ExpressApp("other", configure_logs=False, debug=True)
    app.route("/")(lambda: 1 / 0)
    assert b"ZeroDivisionError" in send(app).body


def test_head_comes_with_get(app: ExpressApp) -> None:
    app.route("/", name="index", api_key_required=True, cors=True)(lambda: "a")
    get, head = app.routes["/"].values()
    assert (get.method, head.method, head.view_name) == ("GET", "HEAD", "index")
    assert vars(head) | {"method": "GET"} == vars(get)
    assert send(app, "HEAD") == send(app)  # API Gateway counts the body and drops it


def test_a_head_route_of_your_own_comes_before_its_get(app: ExpressApp) -> None:
    app.route("/", methods=["HEAD"])(lambda: "own")
    app.route("/")(lambda: "a")
    assert (send(app, "HEAD").body, send(app).body) == (b"own", b"a")


def test_chalice_local_closes_the_connection_after_head(
    app: ExpressApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.route("/")(lambda: Response("a", {"connection": "upgrade"}))
    assert send(app, "HEAD").headers["connection"] == "upgrade"
    monkeypatch.setenv("AWS_CHALICE_CLI_MODE", "true")
    assert send(app).headers["connection"] == "upgrade"
    headers = app(proxy_event("/", "HEAD"), None)["headers"]
    assert {*headers} == {"Content-Type", "ETag", "Connection"}
    assert headers["Connection"] == "close"


AUTH_EVENT = {"type": "", "authorizationToken": "t", "methodArn": "arn:aws:a:b:c:api/dev/GET/a"}


def test_an_authorizer_that_lets_get_in_lets_head_in(app: ExpressApp) -> None:
    kept = AuthResponse([AuthRoute("/a", ["GET"]), AuthRoute("/b", ["POST"]), "/c"], "me")
    authorizer = app.authorizer(name="auth")(lambda request: kept)
    for _ in range(2):
        (statement,) = authorizer(AUTH_EVENT, None)["policyDocument"]["Statement"]
        allowed = sorted(arn.split(":")[-1] for arn in statement["Resource"])
        assert allowed == ["api/dev/*/c", "api/dev/GET/a", "api/dev/HEAD/a", "api/dev/POST/b"]


def test_an_authorizer_may_return_anything_else(app: ExpressApp) -> None:
    assert app.authorizer(name="auth")(lambda request: request.token)(AUTH_EVENT, None) == "t"


def of_type(content_type: str) -> dict[str, Any]:
    return {"headers": {"content-type": content_type}}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_route_accepts_any_content_type_or_those_it_names(app: ExpressApp, method: str) -> None:
    app.route("/any", methods=["GET", "POST"])(lambda: "a")
    app.route("/csv", methods=["GET", "POST"], content_types=["text/csv"])(lambda: "a")
    assert send(app, method, "/any", **of_type("text/plain")).status == 200
    assert send(app, method, "/csv", **of_type("text/plain")).status == 415


@pytest.mark.parametrize(
    ("attribute", "fields", "value"),
    [
        ("raw_body", {"body": "é"}, b"\xc3\xa9"),
        ("raw_body", {"body": b"\xff"}, b"\xff"),
        ("raw_body", {"body": "/w==", "isBase64Encoded": True}, b"\xff"),
        ("raw_body", {"body": None, "isBase64Encoded": True}, b""),
        ("json_body", {"body": "[1]", **of_type("application/json")}, [1]),
        ("json_body", {"body": "[1]", **of_type("Application/JSON ;a=B")}, [1]),
        ("json_body", {"body": "[1]", **of_type("application/vnd.api+json")}, [1]),
        ("json_body", {"body": "[1]", **of_type("application/jsonp")}, None),
        ("json_body", {"body": "[1]", **of_type("application/json+a")}, None),
        ("json_body", {"body": "[1]", **of_type("text/json")}, None),
        ("json_body", {"body": "[1]"}, None),
        ("query_params", {"multiValueQueryStringParameters": None}, {}),
        ("query_params", {"multiValueQueryStringParameters": {"a": ["b", "c"]}}, {"a": "c"}),
        ("uri_params", {"pathParameters": None}, None),
        ("uri_params", {"pathParameters": {}}, None),
    ],
)
def test_a_view_reads_the_request(app: ExpressApp, attribute: str, fields: Any, value: Any) -> None:
    read: list[Any] = []
    app.route("/")(lambda: read.append(getattr(app.current_request, attribute)))
    send(app, **fields)
    assert read == [value]


def test_a_json_body_is_read_once(app: ExpressApp) -> None:
    app.route("/")(lambda: app.current_request.json_body is app.current_request.json_body)
    assert send(app, body="[1]", **of_type("application/json")).body == b"true"


@pytest.mark.parametrize("body", ["", '{"a"', "NaN", "[" * 100_000, b"\xff", "1" * 9_999])
def test_a_body_that_is_not_json_is_a_400(app: ExpressApp, body: Any) -> None:
    app.route("/")(lambda: app.current_request.json_body)
    sent = send(app, body=body, **of_type("application/json"))
    assert sent.status == 400
    assert json.loads(sent.body)["Message"].startswith("The body is not JSON: ")


@pytest.mark.parametrize(
    ("encoded", "decoded"),  # Express answers 400 to the last two
    [("J%C3%BCrg", "Jürg"), ("a%2F+", "a/+"), ("%2525", "%25"), ("%", "%"), ("%FF", "\ufffd")],
)
def test_a_path_parameter_is_decoded_once(app: ExpressApp, encoded: str, decoded: str) -> None:
    app.route("/hello/{name}")(lambda name: [name, app.current_request.uri_params])
    parameters = {"name": encoded}
    sent = send(app, path="/hello/{name}", pathParameters=parameters)
    assert json.loads(sent.body) == [decoded, {"name": decoded}]
    assert parameters == {"name": encoded}


def test_a_lambda_context_reaches_the_view(app: ExpressApp) -> None:
    app.route("/")(lambda: [app.lambda_context, app.current_request.lambda_context])
    assert app(proxy_event("/"), "context")["body"] == '["context","context"]'


@pytest.mark.parametrize("event", [{}, {"requestContext": {}}])
def test_an_event_from_elsewhere_also_gets_a_response(app: ExpressApp, event: Any) -> None:
    assert json.loads(app(event, None)["body"])["Message"] == "Unknown request."
    app.register_middleware(lambda *_: Response("kept warm"), "http")
    assert app(event, None)["body"] == "kept warm"


@pytest.mark.parametrize("declare", ["route", "schedule", "middleware"])
def test_an_async_def_is_refused_when_it_is_declared(app: ExpressApp, declare: str) -> None:
    async def view() -> str:
        return "a"

    async def generator() -> Any:
        yield "a"

    for function in (view, generator):
        with pytest.raises(TypeError) as error:
            getattr(app, declare)("/")(function)
        assert str(error.value) == (
            f"{function.__name__} is an `async def`: write `def`, and `asyncio.run(...)` in it for "
            "what it awaits. (Importing asyncio takes longer than importing all of Chalice.)"
        )
    assert not app.routes


def test_a_middleware_of_a_blueprint_is_for_the_whole_app(app: ExpressApp) -> None:
    blueprint = Blueprint("other")
    blueprint.route("/b")(lambda: "b")
    blueprint.register_middleware(lambda *_: Response("its"))
    app.route("/")(lambda: "a")
    app.register_blueprint(blueprint, url_prefix="/more")
    assert [send(app, "HEAD", path).body for path in ("/", "/more/b")] == [b"its", b"its"]


def test_a_blueprint_can_be_registered_again(app: ExpressApp) -> None:
    blueprint = Blueprint("other")
    blueprint.route("/a", methods=["POST"])(lambda: "a")
    app.register_blueprint(blueprint, url_prefix="/v1")
    app.register_blueprint(blueprint)
    assert {path: [*app.routes[path]] for path in app.routes} == {"/v1/a": ["POST"], "/a": ["POST"]}


def test_a_view_does_not_take_the_place_of_a_function_of_its_name(app: ExpressApp) -> None:
    app.route("/a", name="run")(lambda: "a view")
    app.lambda_function(name="run")(lambda event, context: "a function")
    app.route("/b", name="run")(lambda: "a view")
    assert Client(app).lambda_.invoke("run").payload == "a function"
