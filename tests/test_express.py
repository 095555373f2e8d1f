"""Responses as Express 5.3.0 sends them: what is expected here was recorded from it."""

import json
import math
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from chalice import CORSConfig, Response, UnauthorizedError
from chalice.app import MultiDict
from chalice.config import Config
from chalice.local import LocalGateway

from chalicekit.runtime.events import proxy_event
from chalicelib.express import ExpressApp

HTML = "text/html; charset=utf-8"
JSON = "application/json; charset=utf-8"
BYTES = "application/octet-stream"
TAG = 'W/"1-aB"'
TAG_OF_X = 'W/"1-EfatjsUqKYSrqv18O1FlA3hcIHI"'
NEW_YEAR = "Wed, 01 Jan 2025 00:00:00 GMT"
AN_HOUR_WEST = timezone(timedelta(hours=-1))


class Sent(NamedTuple):
    """What a function gives to API Gateway, with the bytes of the body."""

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
def app() -> ExpressApp:
    """An app without routes."""
    return ExpressApp("other", configure_logs=False)


def send(app: ExpressApp, method: str = "GET", path: str = "/", **fields: Any) -> Sent:
    """Send an event of API Gateway, in which these fields are replaced; return the response."""
    response = app(proxy_event(path, method, headers={}) | fields, None)
    response = json.loads(json.dumps(response))  # as Lambda sends it
    body = response["body"].encode()
    if response.get("isBase64Encoded"):
        body = b64decode(body)
    return Sent(response["statusCode"], response["headers"] | response["multiValueHeaders"], body)


def sent_for(value: Any, headers: Any = None, method: str = "GET") -> Sent:
    """Return the response to a request with these headers if the view returns `value`."""
    app = ExpressApp("other", configure_logs=False)
    app.route("/", methods=[method])(lambda: value)
    return send(app, method, headers=headers)


@pytest.mark.parametrize(
    ("value", "content_type", "body", "tag"),
    [
        ("a", HTML, b"a", 'W/"1-hvfkN/qlp/zhXR3cuerq6jd2Z7g"'),
        ("", HTML, b"", 'W/"0-2jmj7l5rSw0yVb/vlWAYkK/YBwk"'),
        ("é", HTML, b"\xc3\xa9", 'W/"2-vxW+cXrBsIC08cRWaSgliR/1Bz0"'),
        ("a\ud800b", HTML, b"a\xef\xbf\xbdb", 'W/"5-w2k66mFsiGyTdG3qs9QpIcog8E4"'),
        (b"\x89P\0\xff", BYTES, b"\x89P\0\xff", 'W/"4-BTeDPueu5WEiqepJlqTjPLSCX2U"'),
        (bytearray(b"abc"), BYTES, b"abc", 'W/"3-qZk+NkcGgWq6PiVxeFDCbJzQ2J0"'),
        (None, JSON, b"null", 'W/"4-K+iMpCQsduglOsYkdIUQZQMtaDM"'),
    ],
)
def test_a_value_has_a_type_and_a_tag(value: Any, content_type: str, body: bytes, tag: str) -> None:
    assert sent_for(value) == (200, {"Content-Type": content_type, "ETag": tag}, body)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": (1, {"c": None}), "a": [True]}, '{"b":[1,{"c":null}],"a":[true]}'),
        ([-0.0, 1.5, -100.0, math.nan, -math.inf], "[0,1.5,-100,null,null]"),
        ([1e16, 123456789012345680000.0, 1e21], "[10000000000000000,123456789012345680000,1e+21]"),
        ([1e-6, 9.99e-7, -1.5e-7, 1e-10], "[0.000001,9.99e-7,-1.5e-7,1e-10]"),
        (['"\\\n\0</\u2028', "\ud800", "😀"], r'["\"\\\n\u0000</' + '\u2028"' + r',"\ud800","😀"]'),
        (datetime(2026, 1, 2, 3, 4, 5, 678999, timezone.utc), '"2026-01-02T03:04:05.678Z"'),
        ([datetime(2026, 1, 2, tzinfo=AN_HOUR_WEST)], '["2026-01-02T01:00:00.000Z"]'),
        ({datetime(2026, 1, 2, 3, 4): "no zone"}, '{"2026-01-02T03:04:00.000Z":"no zone"}'),
        ({"first": date(1, 1, 1)}, '{"first":"0001-01-01T00:00:00.000Z"}'),
        ([SimpleNamespace(__json__=lambda: {"won": Decimal("1.10")})], '[{"won":1.1}]'),
        (MultiDict({"a": ["b", "c"]}), '{"a":"c"}'),
        ({1: 0, 1e16: 0, None: 0, '"': 0}, r'{"1":0,"10000000000000000":0,"null":0,"\"":0}'),
        # JavaScript rounds the number, and puts "2" before "b".
        ([2**53 + 1, {"b": 1, "2": 2}], '[9007199254740993,{"b":1,"2":2}]'),
    ],
)
def test_json_is_written_as_javascript_writes_it(value: Any, text: str) -> None:
    assert sent_for(value).body.decode() == text


@pytest.mark.parametrize(
    ("body", "given", "sent"),
    [
        ("x", 'multipart/mixed; boundary="A b"', 'multipart/mixed; boundary="A b"; charset=utf-8'),
        ("a", "text/plain;", "text/plain; charset=utf-8"),
        ("é", "text/html; Charset=ISO-8859-1", "text/html; charset=utf-8"),
        ({"a": 1}, "application/problem+json", "application/problem+json; charset=utf-8"),
        (b"a,b", "text/csv", "text/csv; charset=utf-8"),
        (b"{}", "application/json", "application/json; charset=utf-8"),
        ("x", 'multipart/mixed; boundary="a;b"', 'multipart/mixed; boundary="a;b"; charset=utf-8'),
        (b"\xe9", "text/plain; charset=latin1", "text/plain; charset=latin1"),
        (b"<svg/>", "image/svg+xml", "image/svg+xml"),
    ],
)
def test_a_text_says_that_it_is_utf_8(body: Any, given: str, sent: str) -> None:
    assert sent_for(Response(body, {"content-type": given})).headers["Content-Type"] == sent


def test_bytes_that_are_no_text_are_sent_in_base64(app: ExpressApp) -> None:
    app.route("/text")(lambda: b"a")
    app.route("/image")(lambda: Response(b"\xff", {"Content-Type": "image/png"}))
    assert "isBase64Encoded" not in app(proxy_event("/text"), None)
    image = app(proxy_event("/image"), None)  # for a browser, whose Accept header names no image
    assert (image["body"], image["isBase64Encoded"]) == ("/w==", True)
    assert app.api.binary_types == ["*/*"]  # so that API Gateway decodes it for every client


@pytest.mark.parametrize(
    ("value", "headers", "body"),
    [
        (Response("x", {}, 404), {"Content-Type": HTML, "ETag": TAG_OF_X}, b"x"),
        (Response("x", {"etag": TAG}, 201), {"Content-Type": HTML, "ETag": TAG}, b"x"),
        (Response("x", {}, 204), {"ETag": TAG_OF_X}, b""),
        (Response("", {"X-A": "b"}, 204), {"X-A": "b"}, b""),
        (Response("x", {}, 205), {"Content-Type": HTML, "ETag": TAG_OF_X}, b""),
        (Response(None, {"ETag": TAG}, 304), {"ETag": TAG}, b""),
    ],
)
def test_a_response_keeps_its_status_and_tag(value: Response, headers: Any, body: bytes) -> None:
    # The client names no tag at all: this must not match a response that has none, either.
    assert sent_for(value, {"If-None-Match": ","}) == (value.status_code, headers, body)


def test_304_has_the_headers_of_the_response_and_no_body() -> None:
    headers = {"Content-Type": HTML, "ETag": TAG_OF_X}
    assert sent_for("x", {"If-None-Match": TAG_OF_X}) == (304, headers, b"")


@pytest.mark.parametrize(
    ("method", "status", "sent"),
    [
        ("GET", 199, 199),
        ("GET", 200, 304),
        ("GET", 299, 304),
        ("GET", 300, 300),
        ("HEAD", 200, 304),
        ("POST", 200, 200),
    ],
)
def test_304_is_for_a_successful_get_or_head(method: str, status: int, sent: int) -> None:
    assert sent_for(Response("a", {}, status), {"If-None-Match": "*"}, method).status == sent


@pytest.mark.parametrize(
    ("tags", "directives", "status"),
    [
        (TAG, "", 304),
        ('"1-aB"', "", 304),
        (f"W/{TAG}", "", 304),
        (f'"b",  {TAG}  ,"c"', "", 304),
        (f'"b",\t{TAG}', "", 200),  # spaces around a tag do not count, tabs do
        ("*", "", 304),
        ("*, *", "", 200),
        (" *", "", 200),
        ("", "", 200),
        ("1-aB", "", 200),
        ('W/"1-ab"', "", 200),
        ('w/"1-aB"', "", 200),
        (TAG, "max-age=0", 304),
        (TAG, "x-no-cache, no-cachet, NO-CACHE", 304),
        (TAG, "no-cache", 200),
        ("*", "max-age=0,\tno-cache\t,x", 200),
    ],
)
def test_304_is_for_a_client_that_has_the_entity_tag(
    tags: str, directives: str, status: int
) -> None:
    headers = {"If-None-Match": tags, "Cache-Control": directives}
    assert sent_for(Response("a", {"ETag": TAG}), headers).status == status


@pytest.mark.parametrize(
    ("modified", "since", "status"),
    [
        (NEW_YEAR, NEW_YEAR, 304),
        (NEW_YEAR, "Wed, 01 Jan 2025 00:00:01 GMT", 304),
        (NEW_YEAR, "Tue, 31 Dec 2024 23:59:59 GMT", 200),
        (NEW_YEAR, "Wed, 01 Jan 2025 00:00:00 +0100", 200),
        (NEW_YEAR, "Wednesday, 01-Jan-25 00:00:00 GMT", 304),
        (NEW_YEAR, "2025-01-01", 304),
        (NEW_YEAR, "Wed, 32 Jan 2125 00:00:00 GMT", 200),
        ("yesterday", "yesterday", 200),
    ],
)
def test_304_is_for_a_copy_that_is_not_older(modified: str, since: str, status: int) -> None:
    value, headers = Response("a", {"last-modified": modified}), {"If-Modified-Since": since}
    assert sent_for(value, headers).status == status
    assert sent_for(value, headers | {"If-None-Match": '"b"'}).status == 200


def test_a_header_is_sent_as_text() -> None:
    headers: dict[str, Any] = {"a": 1, "b": 1.0, "c": True, "d": [1, "e"], "f": "é\t"}
    sent = sent_for(Response("x", headers)).headers
    assert sent.items() >= {"a": "1", "b": "1", "c": "true", "d": ["1", "e"], "f": "é\t"}.items()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([object()], "the response is a object, which JSON does not have"),
        ({"a": {"tags": [{1}]}}, "tags is a set, which JSON does not have"),
        ({b"a": 1}, "b'a' is a bytes, which JSON does not have"),
        ({"price": SimpleNamespace(__json__=set)}, "price is a set, which JSON does not have"),
        (Response("a", {"X-A": ["a", {1}]}), "X-A is a set, which JSON does not have"),  # type: ignore[list-item]
        (Response("a", {"X-A": ["a", "b\n"]}), r"this is not a header: 'X-A': 'b\n'"),
        (Response("a", {"X-A": "a\r\nX-B: b"}), r"this is not a header: 'X-A': 'a\r\nX-B: b'"),
        (Response("a", {"X-A\r\nX-B": "b"}), r"this is not a header: 'X-A\r\nX-B': 'b'"),
        (Response("a", {"X-A": "한"}), "this is not a header: 'X-A': '한'"),
        (Response("a", {"Ä": "b"}), "this is not a header: 'Ä': 'b'"),
    ],
)
def test_what_cannot_be_sent_is_a_500_and_the_log_names_it(
    value: Any, message: str, caplog: Any
) -> None:
    assert sent_for(value)[:2] == (500, {})
    assert caplog.text.endswith(f"Error: {message}\n")


def test_names_of_headers_have_no_case_and_the_last_one_counts(app: ExpressApp) -> None:
    own: dict[str, Any] = {"x-a": "1", "X-A": "2", "content-type": "text/csv"}
    own["access-control-allow-origin"] = "b"
    app.route("/", cors=True)(lambda: Response("x", own))
    headers = send(app).headers
    assert headers.pop("Access-Control-Allow-Headers").startswith("Authorization,")
    assert headers.pop("access-control-allow-origin") == "b"
    assert headers == {"X-A": "2", "Content-Type": "text/csv; charset=utf-8", "ETag": TAG_OF_X}


def refuse(*_: Any) -> None:
    """A view, or a middleware."""
    raise UnauthorizedError("who?")


def test_an_error_of_a_middleware_has_its_status_and_the_cors_headers(app: ExpressApp) -> None:
    app.route("/", methods=["POST"], cors=CORSConfig(allow_origin="b.org"))(lambda: "x")
    app.register_middleware(refuse, "http")
    status, headers, body = send(app, "POST")
    assert (status, body) == (401, b'{"Code":"UnauthorizedError","Message":"who?"}')
    assert headers["Content-Type"] == JSON
    assert headers["Access-Control-Allow-Origin"] == "b.org"


@pytest.mark.parametrize(
    ("view", "status"), [(lambda: "x", 304), (refuse, 401), (lambda: 1 / 0, 500)]
)
def test_each_response_has_the_cors_headers(
    app: ExpressApp, view: Callable[[], Any], status: int
) -> None:
    app.route("/", cors=True)(view)
    sent = send(app, headers={"If-None-Match": "*"})
    assert (sent.status, sent.headers["Access-Control-Allow-Origin"]) == (status, "*")


def test_debug_is_chalice_s() -> None:
    app = ExpressApp("other", configure_logs=False, debug=True)
    app.route("/")(lambda: 1 / 0)
    assert b"ZeroDivisionError" in send(app).body


def test_head_has_the_response_of_get(app: ExpressApp) -> None:
    app.route("/")(lambda: "a")
    assert send(app, "HEAD") == send(app)  # API Gateway counts the body and drops it


def test_plain_chalice_local_closes_the_connection_after_head(app: ExpressApp) -> None:
    app.route("/")(lambda: Response("a", {"connection": "upgrade"}))
    local = LocalGateway(app, Config())
    sent = [local.handle_request(method, "/", {}, b"") for method in ("GET", "HEAD")]
    assert [response["headers"]["Connection"] for response in sent] == ["upgrade", "close"]
    assert send(app, "HEAD").headers["Connection"] == "upgrade"


@pytest.mark.parametrize(
    ("attribute", "fields", "value"),
    [
        ("raw_body", {"body": "é"}, b"\xc3\xa9"),
        ("raw_body", {"body": "/w==", "isBase64Encoded": True}, b"\xff"),
        ("raw_body", {"body": None}, b""),
        ("query_params", {"multiValueQueryStringParameters": None}, {}),
        ("query_params", {"multiValueQueryStringParameters": {"a": ["b", "c"]}}, {"a": "c"}),
        ("uri_params", {"pathParameters": {}}, None),
    ],
)
def test_a_view_reads_the_request(app: ExpressApp, attribute: str, fields: Any, value: Any) -> None:
    read: list[Any] = []
    app.route("/")(lambda: read.append(getattr(app.current_request, attribute)))
    send(app, **fields)
    assert read == [value]


@pytest.mark.parametrize(
    ("content_type", "value"),
    [
        ("application/json", b"[1]"),
        ("Application/JSON ;a=B", b"[1]"),
        ("application/vnd.api+json", b"[1]"),
        ("application/jsonp", b"null"),
        ("application/json+a", b"null"),
        ("text/json", b"null"),
    ],
)
def test_a_json_body_is_of_a_json_type(app: ExpressApp, content_type: str, value: bytes) -> None:
    app.route("/")(lambda: app.current_request.json_body)
    assert send(app, body="[1]", headers={"content-type": content_type}).body == value
    assert send(app, body="[1]").body == b"null"


@pytest.mark.parametrize(
    "body",
    [
        "",
        '{"a"',
        "NaN",
        "[" * 100_000,  # Python raises RecursionError
        "1" * 9_999,  # Python refuses to make an integer of it
        b"\xff",  # not UTF-8
    ],
)
def test_a_body_that_is_not_json_is_a_400(app: ExpressApp, body: Any) -> None:
    app.route("/")(lambda: app.current_request.json_body)
    sent = send(app, body=body, headers={"content-type": "application/json"})
    assert sent.status == 400
    assert json.loads(sent.body)["Message"].startswith("The body is not JSON: ")


@pytest.mark.parametrize(
    ("encoded", "decoded"),  # Express answers 400 to the last two
    [("J%C3%BCrg", "Jürg"), ("a%2F+", "a/+"), ("%2525", "%25"), ("%", "%"), ("%FF", "\ufffd")],
)
def test_a_path_parameter_is_decoded_once(app: ExpressApp, encoded: str, decoded: str) -> None:
    app.route("/hello/{name}")(lambda name: [name, app.current_request.uri_params])
    sent = send(app, path="/hello/{name}", pathParameters={"name": encoded})
    assert json.loads(sent.body) == [decoded, {"name": decoded}]


def test_a_lambda_context_reaches_the_view(app: ExpressApp) -> None:
    app.route("/")(lambda: [app.lambda_context, app.current_request.lambda_context])
    assert app(proxy_event("/"), "context")["body"] == '["context","context"]'


@pytest.mark.parametrize("event", [{}, {"requestContext": {}}])
def test_an_event_from_elsewhere_also_gets_a_response(app: ExpressApp, event: Any) -> None:
    assert json.loads(app(event, None)["body"])["Message"] == "Unknown request."
    app.register_middleware(lambda *_: Response("kept warm"), "http")
    assert app(event, None)["body"] == "kept warm"
