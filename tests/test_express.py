"""Responses as Express 5.3.0 sends them: what is expected here was recorded from it."""

import base64
import json
import math
import sys
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from chalice import (
    AuthResponse,
    AuthRoute,
    BadRequestError,
    Blueprint,
    CORSConfig,
    NotFoundError,
    Response,
    UnauthorizedError,
)
from chalice.app import MultiDict
from chalice.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicekit.runtime.events import proxy_event
from chalicelib.express import ExpressApp

HTML = "text/html; charset=utf-8"
JSON = "application/json; charset=utf-8"
BYTES = "application/octet-stream"


class Sent(NamedTuple):
    """What a function gives to API Gateway; the names of the headers in lower case."""

    status: int
    headers: dict[str, Any]
    body: bytes


def app_with(view: Callable[..., Any], path: str = "/", **declared: Any) -> ExpressApp:
    """Return an app that has one view."""
    app = ExpressApp("other", configure_logs=False)
    app.route(path, **declared)(view)
    return app


def send(app: ExpressApp, method: str = "GET", path: str = "/", **fields: Any) -> Sent:
    """Send an event of API Gateway with these fields; return the response."""
    fields["headers"] = fields.get("headers", {})
    response = app(proxy_event(path, method, **fields), None)
    is_base64 = response.get("isBase64Encoded")
    body = base64.b64decode(response["body"]) if is_base64 else response["body"].encode()
    headers = response["headers"] | response["multiValueHeaders"]
    assert len({name.lower() for name in headers}) == len(headers)
    return Sent(response["statusCode"], {name.lower(): headers[name] for name in headers}, body)


def sent_for(value: Any, method: str = "GET", **headers: str) -> Sent:
    """Return what is sent when a view returns `value`."""
    names = {name: name.replace("_", "-") for name in headers}
    sent = {names[name]: text for name, text in headers.items()}
    return send(app_with(lambda: value, methods=[method]), method, headers=sent)


@pytest.mark.parametrize(
    ("value", "body", "content_type", "etag"),
    [
        ("a", b"a", HTML, "1-hvfkN/qlp/zhXR3cuerq6jd2Z7g"),
        ("", b"", HTML, "0-2jmj7l5rSw0yVb/vlWAYkK/YBwk"),
        ("é", "é".encode(), HTML, "2-vxW+cXrBsIC08cRWaSgliR/1Bz0"),
        ("hello world", b"hello world", HTML, "b-Kq5sNclPz7QV2+lfQIuc6R7oRu0"),
        ("a\ud800b", "a\ufffdb".encode(), HTML, "5-w2k66mFsiGyTdG3qs9QpIcog8E4"),
        (b"\x89P\0\xff", b"\x89P\0\xff", BYTES, "4-BTeDPueu5WEiqepJlqTjPLSCX2U"),
        (bytearray(b"abc"), b"abc", BYTES, "3-qZk+NkcGgWq6PiVxeFDCbJzQ2J0"),
        (b"", b"", BYTES, "0-2jmj7l5rSw0yVb/vlWAYkK/YBwk"),
    ],
)
def test_a_text_and_bytes_are_sent_as_express_sends_them(
    value: Any, body: bytes, content_type: str, etag: str
) -> None:
    headers = {"content-type": content_type, "etag": f'W/"{etag}"'}
    assert sent_for(value) == (200, headers, body)


@pytest.mark.parametrize(
    ("value", "text", "etag"),
    [
        ({}, "{}", "2-vyGp6PvFo4RvsFtPoIWeCReyIC8"),
        ([], "[]", "2-l9Fw4VUO7kr8CvBlt4zaMCqXZ0w"),
        (None, "null", "4-K+iMpCQsduglOsYkdIUQZQMtaDM"),
        (True, "true", "4-X/5TO4MPCKAyY0ipFgr6/IraRNs"),
        (5, "5", "1-rDR41po8gfpi5g9cNpYWWk5easQ"),
        (-0.0, "0", "1-tlifxqsNyCzxIJnRwtQKuZToQQw"),
        (1.5, "1.5", "3-qo8onr5tTbG0oQOLiTHsjCtTmfs"),
        ([1.0, -2.0, 100.0], "[1,-2,100]", "a-Q+uFGyX8tHRSnshk8k2CXffQzRQ"),
        ([math.nan, math.inf, -math.inf], "[null,null,null]", "10-tBmfhwPF3CCAVKYiA9sTLD0SWBw"),
        (
            {"b": (1, {"c": None}), "a": 2},
            '{"b":[1,{"c":null}],"a":2}',
            "1a-zkQTuRka2Al/r/QP3tm3TbYRVSE",
        ),
        ({"name": "é 한 😀"}, '{"name":"é 한 😀"}', "16-AughKE6nc9GOULxIQl2xJ+IHKs4"),
        (
            ["\u2028\x85\xa0\ufeff\x7f"],
            '["\u2028\x85\xa0\ufeff\x7f"]',
            "f-L87Z9UyQNiOcuVjCJtVWZA/8JOU",
        ),
        (["</script><!-- &"], '["</script><!-- &"]', "13-dy6isdPbtKYugwQEVQ6NmF2xOH8"),
        (['"\\/\b\f\n\r\t'], r'["\"\\/\b\f\n\r\t"]', "13-Lz1AXaHyyIxykDY1QX8HG/HqcIM"),
        (["\0\x1f\x1e"], r'["\u0000\u001f\u001e"]', "16-fmAEgG3tDmVbPYM+i3x6xIvfgNQ"),
        (
            ["\ud800", "a\udfff", "😀"],
            r'["\ud800","a\udfff","😀"]',
            "1b-N9/+ntHb/5BX9+btwnyuiih7pc8",
        ),
    ],
)
def test_json_is_sent_as_express_sends_it(value: Any, text: str, etag: str) -> None:
    headers = {"content-type": JSON, "etag": f'W/"{etag}"'}
    assert sent_for(value) == (200, headers, text.encode())


@pytest.mark.parametrize(
    ("body", "given", "sent"),
    [
        ("a,b", "text/csv", "text/csv; charset=utf-8"),
        ("<svg/>", "image/svg+xml", "image/svg+xml; charset=utf-8"),
        ("x", 'multipart/mixed; boundary="A b"', 'multipart/mixed; boundary="A b"; charset=utf-8'),
        ("a", "text/plain;", "text/plain; charset=utf-8"),
        ("é", "text/html; Charset=ISO-8859-1", "text/html; charset=utf-8"),
        ({"a": 1}, "application/problem+json", "application/problem+json; charset=utf-8"),
        (b"a,b", "text/csv", "text/csv; charset=utf-8"),
        (b"\xe9", "text/plain; charset=latin1", "text/plain; charset=latin1"),
        (b"a\xff", "application/pdf", "application/pdf"),
        (b"<svg/>", "image/svg+xml", "image/svg+xml"),
    ],
)
def test_a_text_says_that_it_is_utf_8_under_any_content_type(
    body: Any, given: str, sent: str
) -> None:
    view = Response(body, {"content-type": given})
    assert sent_for(view).headers["content-type"] == sent
    assert sent_for(view, If_None_Match="*").status == 304


def test_a_body_under_any_content_type_has_an_entity_tag() -> None:
    sent = sent_for(Response("<a>é</a>", {"Content-Type": "application/xml"}))
    assert sent.headers["etag"] == 'W/"9-ujPmoOt39CjQea8yRfGDBeHRnC4"'


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1e21, "1e+21"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e16, "10000000000000000"),
        (9999999999999998.0, "9999999999999998"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-5, "0.00001"),
        (1e-6, "0.000001"),
        (-1.5e-7, "-1.5e-7"),
        (9.99e-7, "9.99e-7"),
        (1e-10, "1e-10"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
    ],
)
def test_a_number_is_written_as_javascript_writes_it(number: float, text: str) -> None:
    assert sent_for(number).body.decode() == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 1, 2, tzinfo=timezone.utc), "2026-01-02T00:00:00.000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 678999, timezone.utc), "2026-01-02T03:04:05.678Z"),
        (datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=9))), "2026-01-01T15:00:00.000Z"),
        (datetime(2026, 1, 2, 3, 4), "2026-01-02T03:04:00.000Z"),  # as the clock of Lambda, UTC
        (date(2026, 1, 2), "2026-01-02T00:00:00.000Z"),
        (date(1, 1, 1), "0001-01-01T00:00:00.000Z"),
    ],
)
def test_a_date_is_written_as_javascript_writes_its_own(value: date, text: str) -> None:
    assert sent_for({"at": value}).body.decode() == f'{{"at":"{text}"}}'
    assert sent_for({value: 1}).body.decode() == f'{{"{text}":1}}'


def test_a_date_is_in_utc_whatever_the_machine_s_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    try:
        assert sent_for([datetime(2026, 1, 2)]).body == b'["2026-01-02T00:00:00.000Z"]'
    finally:
        monkeypatch.undo()
        time.tzset()


class Money:
    """An object that says what it is in JSON."""

    def __json__(self) -> dict[str, Any]:
        return {"won": Decimal("1500")}


class Price:
    """An object that is a set in JSON."""

    def __json__(self) -> set[int]:
        return {1500}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**53 + 1, "9007199254740993"),  # JavaScript would round it
        ({"b": 1, "2": 2}, '{"b":1,"2":2}'),  # JavaScript would put "2" first
        ({1: 0, 1e16: 0, None: 0}, '{"1":0,"10000000000000000":0,"null":0}'),
        ({'"': 0}, r'{"\"":0}'),
        (Decimal("1.10"), "1.1"),
        ([Money()], '[{"won":1500}]'),
        (MultiDict({"a": ["b", "c"]}), '{"a":"c"}'),
    ],
)
def test_json_keeps_python_values_that_javascript_does_not_have(value: Any, text: str) -> None:
    assert sent_for(value).body.decode() == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": {"tags": {1}}}, "tags is a set, which JSON does not have"),
        ({"files": [b"a"]}, "files is a bytes, which JSON does not have"),
        ({3: object()}, "3 is a object, which JSON does not have"),
        ({"price": Price()}, "price is a set, which JSON does not have"),
        ({1}, "the response is a set, which JSON does not have"),
        ({"q": MultiDict({"a": [{1}]})}, "a is a set, which JSON does not have"),
        ([range(2)], "the response is a range, which JSON does not have"),
        ({b"a": 1}, "b'a' is a bytes, which JSON does not have"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}])
def test_what_json_does_not_have_is_a_500_and_the_log_names_it(
    value: Any, message: str, headers: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert sent_for(Response(value, headers)).status == 500
    (record,) = caplog.records
    assert record.exc_info
    assert str(record.exc_info[1]) == message


@pytest.mark.parametrize("status", [201, 400, 404])
def test_a_response_keeps_its_status(status: int) -> None:
    sent = sent_for(Response({"a": 1}, status_code=status))
    etag = 'W/"7-n4nHQM60bXQYySSnisV5QdXpZSA"'
    assert sent == (status, {"content-type": JSON, "etag": etag}, b'{"a":1}')


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (204, {"etag": 'W/"1-EfatjsUqKYSrqv18O1FlA3hcIHI"'}),
        (205, {"etag": 'W/"1-EfatjsUqKYSrqv18O1FlA3hcIHI"', "content-type": HTML}),
    ],
)
def test_a_status_without_a_body_has_the_tag_of_what_the_view_gave(
    status: int, headers: dict[str, str]
) -> None:
    assert sent_for(Response("x", status_code=status)) == (status, headers, b"")
    assert sent_for(Response("x", status_code=status), If_None_Match="*").status == 304


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("body", ["", None])
def test_no_content_and_a_304_of_the_view_get_no_headers(status: int, body: str | None) -> None:
    assert sent_for(Response(body, {"ETag": '"a"'}, status)) == (status, {"etag": '"a"'}, b"")
    assert sent_for(Response(body, {"X-A": "b"}, status), If_None_Match='"b"') == (
        status,
        {"x-a": "b"},
        b"",
    )


def test_an_etag_set_by_a_view_is_kept_and_compared() -> None:
    mine = Response("a", {"etag": '"mine"'})
    assert sent_for(mine).headers["etag"] == '"mine"'
    assert sent_for(mine, If_None_Match='"mine"').status == 304
    assert sent_for(mine, If_None_Match='W/"1-hvfkN/qlp/zhXR3cuerq6jd2Z7g"').status == 200


@pytest.mark.parametrize("value", ["a", {"a": 1}, b"\xff"])
def test_304_has_the_headers_of_the_response_and_no_body(value: Any) -> None:
    whole = sent_for(value)
    assert sent_for(value, If_None_Match="*") == whole._replace(status=304, body=b"")
    assert sent_for(value, If_None_Match=whole.headers["etag"]).status == 304


@pytest.mark.parametrize(
    ("method", "status", "answered"),
    [
        ("GET", 200, 304),
        ("HEAD", 200, 304),
        ("GET", 201, 304),
        ("GET", 299, 304),
        ("GET", 300, 300),
        ("GET", 304, 304),
        ("GET", 199, 199),
        ("GET", 404, 404),
        ("POST", 200, 200),
    ],
)
def test_304_is_only_for_a_successful_get_or_head(method: str, status: int, answered: int) -> None:
    assert sent_for(Response("a", status_code=status), method, If_None_Match="*").status == answered


MINE = 'W/"1-aB"'


# Recorded from fresh 2.0.0, and the code compared with it on 8,000 random sets of headers.
@pytest.mark.parametrize(
    ("if_none_match", "cache_control", "status"),
    [
        (None, None, 200),
        ("", None, 200),
        ("*", None, 304),
        (" *", None, 200),
        ("*, *", None, 200),
        (MINE, None, 304),
        ('"1-aB"', None, 304),
        (f"W/{MINE}", None, 304),
        (f"{MINE},", None, 304),
        (f'"b",  {MINE}  ,"c"', None, 304),
        ('"b"', None, 200),
        (",", None, 200),
        (f"X{MINE}", None, 200),
        ('w/"1-aB"', None, 200),
        ('W/"1-ab"', None, 200),
        ("1-aB", None, 200),
        (MINE[:-1], None, 200),
        (f"*, {MINE}", None, 304),
        (f'*, "{MINE}"', None, 200),
        # Around an entity tag, Express takes spaces away and no tabs, though RFC 9110 allows both.
        (f'"b",\t{MINE}', None, 200),
        (f"{MINE}\t", None, 200),
        (MINE, "no-cache", 200),
        (MINE, "max-age=0, no-cache", 200),
        (MINE, "no-cache, max-age=0", 200),
        (MINE, "max-age=0,\tno-cache\t,x", 200),  # around a directive, it takes both away
        (MINE, "max-age=0", 304),
        (MINE, "x-no-cache", 304),
        (MINE, "no-cachet", 304),
        (MINE, "NO-CACHE", 304),
    ],
)
def test_304_is_for_a_client_that_has_the_entity_tag(
    if_none_match: str | None, cache_control: str | None, status: int
) -> None:
    sent = {"If_None_Match": if_none_match, "Cache_Control": cache_control}
    headers = {name: text for name, text in sent.items() if text is not None}
    assert sent_for(Response("a", {"ETag": MINE}), **headers).status == status


@pytest.mark.parametrize(
    ("last_modified", "if_modified_since", "status"),
    [
        ("Wed, 01 Jan 2025 00:00:00 GMT", "Wed, 01 Jan 2025 00:00:00 GMT", 304),
        ("Wed, 01 Jan 2025 00:00:00 GMT", "Wed, 01 Jan 2025 00:00:01 GMT", 304),
        ("Wed, 01 Jan 2025 00:00:00 GMT", "Tue, 31 Dec 2024 23:59:59 GMT", 200),
        ("Wed, 01 Jan 2025 00:00:00 GMT", "Wednesday, 01-Jan-25 00:00:00 GMT", 304),
        ("Wed, 01 Jan 2025 00:00:00 GMT", "Wed Jan  1 00:00:00 2025", 304),
        ("Wed, 01 Jan 2025 00:00:00 GMT", "Wed, 01 Jan 2025 00:00:00 +0100", 200),
        ("Wed, 01 Jan 2025 00:00:00 GMT", "2025-01-01", 304),
        ("Wed, 01 Jan 2025 00:00:00 GMT", "", 200),
        ("Wed, 01 Jan 2025 00:00:00 GMT", "yesterday", 200),
        ("Wed, 01 Jan 2025 00:00:00 GMT", "Wed, 32 Jan 2125 00:00:00 GMT", 200),
        ("yesterday", "yesterday", 200),
        ("yesterday", "Fri, 01 Jan 2100 00:00:00 GMT", 200),
        ("", "Fri, 01 Jan 2100 00:00:00 GMT", 200),
        (None, "Fri, 01 Jan 2100 00:00:00 GMT", 200),
    ],
)
def test_304_is_for_a_client_whose_copy_is_not_older(
    last_modified: str | None, if_modified_since: str, status: int
) -> None:
    headers: dict[str, Any] = {"ETag": MINE}
    if last_modified is not None:
        headers["last-modified"] = last_modified
    response = Response("a", headers)
    since = {"If_Modified_Since": if_modified_since}
    assert sent_for(response).status == 200
    assert sent_for(response, **since).status == status
    # Beside If-None-Match, it does not count.
    assert sent_for(response, **since, If_None_Match="").status == status
    assert sent_for(response, **since, If_None_Match='"b"').status == 200
    assert sent_for(response, **since, If_None_Match=MINE).status == 304
    assert sent_for(response, **since, Cache_Control="no-cache").status == 200


@pytest.mark.parametrize(
    ("value", "sent"),
    [(1, "1"), (1.0, "1"), (True, "true"), ([1, "a"], ["1", "a"]), ("a\té", "a\té")],
)
@pytest.mark.parametrize("where", ["view", "middleware"])
def test_a_header_is_sent_as_text(value: Any, sent: Any, where: str) -> None:
    response = Response("a", {"X-Count": value})
    app = app_with(lambda: response if where == "view" else "a")
    if where == "middleware":
        app.register_middleware(lambda *_: response, "http")
    assert send(app).headers["x-count"] == sent


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "a\r\nX-B: b"},
        {"X-A": "a\nb"},
        {"X-A": "a\r"},
        {"X-A": ["a", "b\nX-B: b"]},
        {"X-A": "한"},
        {"X-A": "a\0"},
        {"X-A": {1}},
        {"X-A\r\nX-B": "b"},
        {"X A": "b"},
        {"Ä": "b"},
        {"": "b"},
    ],
)
@pytest.mark.parametrize("where", ["view", "middleware"])
def test_what_is_no_header_is_a_500_as_in_node(
    headers: dict[str, Any], where: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_with(lambda: Response("a", headers) if where == "view" else "a")
    if where == "middleware":
        app.register_middleware(lambda *_: Response("a", headers), "http")
    sent = send(app)
    assert (sent.status, {"x-a", "x-b"} & {*sent.headers}) == (500, set())
    (record,) = caplog.records
    assert record.exc_info
    (name,) = headers
    assert str(record.exc_info[1]) in (
        f"this is not a header: {name!r}: {headers[name]!r}",
        "this is not a header: 'X-A': 'b\\nX-B: b'",
        "X-A is a set, which JSON does not have",
    )


def test_names_of_headers_have_no_case() -> None:
    app = app_with(lambda: Response("a", {"content-type": "text/plain", "x-a": "view"}), cors=True)

    @app.middleware("http")
    def set_headers(request: Any, get_response: Callable[[Any], Response]) -> Response:
        response = get_response(request)
        response.headers |= {"Content-TYPE": "text/csv", "X-A": "last", "etag": MINE}
        response.headers["access-control-allow-origin"] = "https://example.com"
        return response

    sent = send(app)  # which asserts that no name comes twice
    assert sent.headers["content-type"] == "text/csv; charset=utf-8"
    assert (sent.headers["x-a"], sent.headers["etag"]) == ("last", MINE)
    assert sent.headers["access-control-allow-origin"] == "https://example.com"


def test_a_view_s_own_cors_header_comes_before_the_route_s() -> None:
    view = Response("a", {"access-control-allow-origin": "https://example.com"})
    sent = send(app_with(lambda: view, cors=True))
    assert sent.headers["access-control-allow-origin"] == "https://example.com"
    assert "Authorization" in sent.headers["access-control-allow-headers"]


def test_shared_headers_are_not_changed() -> None:
    shared: dict[str, Any] = {"Cache-Control": "max-age=60"}
    assert sent_for(Response("a", shared)).headers["cache-control"] == "max-age=60"
    assert shared == {"Cache-Control": "max-age=60"}


@pytest.mark.parametrize(
    ("error", "status"),
    [(NotFoundError, 404), (BadRequestError, 400), (UnauthorizedError, 401)],
)
@pytest.mark.parametrize("where", ["view", "middleware"])
def test_an_error_has_its_status_and_the_cors_headers(
    error: type[Exception], status: int, where: str
) -> None:
    def fail(*_: Any) -> Response:
        raise error("no such thing")

    cors = CORSConfig(allow_origin="https://example.com")
    app = app_with(fail if where == "view" else lambda: "a", cors=cors)
    if where == "middleware":
        app.register_middleware(fail, "http")
    sent = send(app)
    assert (sent.status, sent.headers["content-type"]) == (status, JSON)
    assert json.loads(sent.body) == {"Code": error.__name__, "Message": "no such thing"}
    assert sent.headers["access-control-allow-origin"] == "https://example.com"
    assert sent.headers["etag"]


def test_an_exception_of_a_view_is_a_500_with_the_cors_headers() -> None:
    sent = send(app_with(lambda: 1 / 0, cors=True))
    assert (sent.status, sent.headers["access-control-allow-origin"]) == (500, "*")


def test_304_has_the_cors_headers() -> None:
    sent = send(app_with(lambda: "a", cors=True), headers={"If-None-Match": "*"})
    assert (sent.status, sent.headers["access-control-allow-origin"]) == (304, "*")


def test_a_response_of_a_middleware_is_also_completed() -> None:
    app = app_with(lambda: "a", cors=True)
    app.register_middleware(lambda request, _: Response(request.path, {"ETag": '"its"'}), "http")
    sent = send(app)
    assert (sent.body, sent.headers["etag"], sent.headers["content-type"]) == (b"/", '"its"', HTML)
    assert sent.headers["access-control-allow-origin"] == "*"


def test_a_middleware_sees_the_value_of_the_view() -> None:
    app = app_with(lambda: {"a": 1})

    @app.middleware("http")
    def add(request: Any, get_response: Callable[[Any], Response]) -> Response:
        response = get_response(request)
        response.body["b"] = 2
        return response

    assert send(app).body == b'{"a":1,"b":2}'


def test_the_names_of_headers_are_written_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CHALICE_CLI_MODE", "true")
    view = Response("a", {"content-type": "text/plain", "x-A": "b", "connection": "upgrade"})
    headers = app_with(lambda: view)(proxy_event("/", "HEAD"), None)["headers"]
    assert {*headers} == {"Content-Type", "ETag", "x-A", "Connection"}


def test_debug_is_chalice_s() -> None:
    app = ExpressApp("other", configure_logs=False, debug=True)
    app.route("/")(lambda: 1 / 0)
    assert b"ZeroDivisionError" in send(app).body


def test_the_middleware_can_be_replaced() -> None:
    app = app_with(lambda: b"a")
    assert app.middleware_handlers == [(app.like_express, "http")]
    app.middleware_handlers.clear()
    assert send(app) == (200, {}, b"a")


def test_the_log_comes_first_and_can_be_left_out() -> None:
    names = [function.__name__ for function, _ in ExpressApp("other").middleware_handlers]
    assert names == ["log_invocation", "like_express"]


def test_head_comes_with_get() -> None:
    app = app_with(lambda: "a", name="index", api_key_required=True, cors=True)
    get, head = app.routes["/"].values()
    assert (get.method, head.method, head.view_name) == ("GET", "HEAD", "index")
    assert vars(head) | {"method": "GET"} == vars(get)
    assert send(app, "HEAD") == send(app)  # API Gateway counts the body and drops it


def test_chalice_local_closes_the_connection_after_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CHALICE_CLI_MODE", "true")
    assert sent_for("a", "HEAD").headers["connection"] == "close"
    assert "connection" not in sent_for("a").headers


def test_a_head_route_of_your_own_comes_before_its_get() -> None:
    app = ExpressApp("other", configure_logs=False)
    app.route("/", methods=["HEAD"])(lambda: Response("", {"X-Head": "1"}))
    app.route("/")(lambda: "a")
    assert send(app, "HEAD").headers["x-head"] == "1"


@pytest.mark.parametrize(
    ("methods", "allowed"), [(["GET"], {"GET", "HEAD"}), (["POST"], {"POST"}), (["HEAD"], {"HEAD"})]
)
def test_an_authorizer_that_lets_get_in_lets_head_in(methods: list[str], allowed: set[str]) -> None:
    app = app_with(lambda: "a")
    route = AuthRoute("/a", methods)
    authorizer = app.authorizer(name="auth")(lambda asked: AuthResponse([asked.token, route], "me"))
    event = {
        "type": "TOKEN",
        "authorizationToken": "/b",
        "methodArn": "arn:aws:execute-api:us-east-1:123456789012:api/dev/GET/a",
    }
    for _ in range(2):
        (statement,) = authorizer(event, None)["policyDocument"]["Statement"]
        any_method, *arns = statement["Resource"]
        assert any_method.endswith("/*/b")
        assert sorted(arn.split("/")[2] for arn in arns) == sorted(allowed)


@pytest.mark.parametrize("value", [None, "nonsense", {"principalId": "me"}])
def test_an_authorizer_may_return_anything_else(value: Any) -> None:
    authorizer = app_with(lambda: "a").authorizer(name="auth")(lambda request: value)
    assert authorizer({"type": "", "authorizationToken": "", "methodArn": ""}, None) == value


def test_an_async_view_is_refused_when_it_is_declared() -> None:
    async def view() -> str:
        return "a"

    async def function(event: Any) -> Any:
        yield event

    app = ExpressApp("other", configure_logs=False)
    with pytest.raises(TypeError) as error:
        app.route("/")(view)
    assert str(error.value) == (
        "view is an `async def`: write `def`, and `asyncio.run(...)` in it for what it awaits. "
        "(Importing asyncio takes longer than importing all of Chalice.)"
    )
    with pytest.raises(TypeError, match=r"^function is an `async def`"):
        app.schedule("rate(1 hour)")(function)
    assert not app.routes
    blueprint = Blueprint("blueprint")
    blueprint.middleware("http")(view)
    for declare in (app.middleware("http"), lambda _: app.register_blueprint(blueprint)):
        with pytest.raises(TypeError, match=r"^view is an `async def`"):
            declare(view)


def test_a_view_may_be_any_callable() -> None:
    view = Decimal(5).__int__
    assert send(app_with(view)).body == b"5"


@pytest.mark.parametrize(
    ("declared", "status"),
    [
        ({}, 200),
        ({"content_types": ["text/csv"]}, 415),
        ({"methods": ["DELETE"]}, 200),
        ({"methods": ["POST"]}, 200),
        ({"methods": ["PUT"]}, 200),
        ({"methods": ["POST"], "content_types": ["application/json"]}, 415),
        ({"methods": ["POST"], "content_types": ["text/plain"]}, 200),
    ],
)
def test_a_body_of_any_type_reaches_the_view_unless_the_route_names_some(
    declared: dict[str, Any], status: int
) -> None:
    app = app_with(lambda: app.current_request.raw_body, **declared)
    (method, *_) = declared.get("methods", ["GET"])
    sent = send(app, method, headers={"Content-Type": "text/plain"}, body="a=1&b=2")
    assert (sent.status, sent.body == b"a=1&b=2") == (status, status == 200)
    if method == "GET":
        assert send(app, "HEAD", headers={"Content-Type": "text/plain"}).status == status


@pytest.mark.parametrize(
    ("body", "is_base64", "raw"),
    [
        ("é", False, "é".encode()),
        (b"\xff", False, b"\xff"),
        ("/w==", True, b"\xff"),
        (None, False, b""),
        (None, True, b""),
    ],
)
def test_the_raw_body_is_bytes(body: Any, is_base64: bool, raw: bytes) -> None:
    app = app_with(lambda: app.current_request.raw_body, methods=["POST"])
    assert send(app, "POST", body=body, isBase64Encoded=is_base64).body == raw


@pytest.mark.parametrize(
    ("content_type", "value"),
    [
        ("application/json", {"a": 1}),
        ("Application/JSON; charset=UTF-8", {"a": 1}),
        ("application/json ;charset=utf-8", {"a": 1}),
        ("application/vnd.api+json", {"a": 1}),
        ("application/jsonp", None),
        ("application/json+x", None),
        ("text/plain", None),
        ("text/json", None),
        ("", None),
    ],
)
def test_a_json_body_has_a_value(content_type: str, value: Any) -> None:
    app = app_with(lambda: [app.current_request.json_body], methods=["POST"])
    sent = send(app, "POST", headers={"content-type": content_type}, body='{"a":1}')
    assert json.loads(sent.body) == [value]


def test_a_json_body_is_read_once() -> None:
    def view() -> Any:
        app.current_request.json_body.append(2)
        return app.current_request.json_body

    app = app_with(view, methods=["POST"])
    sent = send(app, "POST", headers={"content-type": "application/json"}, body="[1]")
    assert sent.body == b"[1,2]"


@pytest.mark.parametrize(
    "body", ["", '{"a"', "NaN", "[Infinity]", "[" * 100_000, b"\xff", "1" * 9_999]
)
def test_a_body_that_is_not_json_is_a_400(body: Any) -> None:
    app = app_with(lambda: app.current_request.json_body, methods=["POST"])
    sent = send(app, "POST", headers={"content-type": "application/json"}, body=body)
    assert sent.status == 400
    assert json.loads(sent.body)["Message"].startswith("The body is not JSON: ")


@pytest.mark.parametrize(
    ("query", "values"), [(None, ["", []]), ({"q": ["a", "b"]}, ["b", ["a", "b"]])]
)
def test_a_query_may_be_empty(query: Any, values: Any) -> None:
    def view() -> Any:
        query = app.current_request.query_params
        return [query.get("q", ""), query.getlist("q") if query else []]

    app = app_with(view)
    assert json.loads(send(app, multiValueQueryStringParameters=query).body) == values


@pytest.mark.parametrize(
    ("encoded", "decoded"),
    [
        ("J%C3%BCrgen", "Jürgen"),
        ("a%2Fb", "a/b"),
        ("%2525", "%25"),
        ("a+b", "a+b"),
        ("%", "%"),  # Express answers 400 to this and to the next
        ("%FF", "\ufffd"),
    ],
)
def test_a_path_parameter_is_decoded_once(encoded: str, decoded: str) -> None:
    app = app_with(lambda name: [name, app.current_request.uri_params], "/hello/{name}")
    parameters = {"name": encoded}
    sent = send(app, path="/hello/{name}", pathParameters=parameters)
    assert json.loads(sent.body) == [decoded, {"name": decoded}]
    assert parameters == {"name": encoded}


@pytest.mark.parametrize("parameters", [None, {}])
def test_a_route_without_parameters_has_none(parameters: Any) -> None:
    app = app_with(lambda: app.current_request.uri_params)
    assert send(app, pathParameters=parameters).body == b"null"


@pytest.mark.parametrize(
    ("body", "content_type", "sent"),
    [
        (b"\xff", "image/png", ("/w==", True)),
        (b"\xff", "application/pdf", ("/w==", True)),
        (b'{"a":1}', "application/json", ('{"a":1}', False)),
        ("<svg/>", "image/png", ("<svg/>", False)),
        ({"a": 1}, "application/json", ('{"a":1}', False)),
    ],
)
@pytest.mark.parametrize("headers", [None, {"Accept": "text/html"}])
def test_text_is_sent_unchanged_and_other_bytes_in_base64(
    body: Any, content_type: str, sent: tuple[str, bool], headers: dict[str, str] | None
) -> None:
    app = app_with(lambda: Response(body, {"Content-Type": content_type}))
    response = app(proxy_event("/", headers=headers), None)
    assert response["statusCode"] == 200
    assert (response["body"], response.get("isBase64Encoded", False)) == sent


def test_api_gateway_decodes_base64_for_every_client() -> None:
    app = app_with(lambda: "a")
    send(app)
    assert app.api.binary_types == ["*/*"]


def test_a_lambda_context_reaches_the_view() -> None:
    app = app_with(lambda: [app.lambda_context, app.current_request.lambda_context])
    assert json.loads(app(proxy_event("/"), "context")["body"]) == ["context", "context"]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[[ExpressApp, str], Any]:
    """What Lambda starts for the function of a name; apps are declared in a module `app`."""
    module = ModuleType("app")
    monkeypatch.setitem(sys.modules, "app", module)

    def function(app: ExpressApp, name: str) -> Any:
        functions: list[Any] = [*app.event_sources, *app.pure_lambda_functions]
        functions += [*app.builtin_auth_handlers, *app.websocket_handlers.values()]
        (handler,) = {item.handler_string for item in functions if item.name == name}
        assert handler.startswith("app.")
        return getattr(module, handler.removeprefix("app."))

    return function


def blueprint_of(result: str) -> Blueprint:
    """Return a blueprint whose function `run` returns this."""
    blueprint = Blueprint("chalicelib.other")

    @blueprint.lambda_function(name="run")
    def run(event: Any, context: Any) -> str:
        return result

    return blueprint


def test_functions_of_one_name_start_as_they_were_registered(
    start: Callable[[ExpressApp, str], Any],
) -> None:
    app = ExpressApp("other", configure_logs=False)
    app.lambda_function(name="run")(lambda event, context: "own")
    app.register_blueprint(blueprint_of("a"), name_prefix="a_")
    app.register_blueprint(blueprint_of("b"), name_prefix="b_")
    app.lambda_function(name="again")(lambda event, context: "again")  # also a <lambda>
    names = ["run", "a_run", "b_run", "again"]
    assert [start(app, name)({}, None) for name in names] == ["own", "a", "b", "again"]
    assert [app.handler_map[name]({}, None) for name in names] == ["own", "a", "b", "again"]


def test_a_blueprint_without_a_prefix_keeps_its_names(
    start: Callable[[ExpressApp, str], Any],
) -> None:
    app = ExpressApp("other", configure_logs=False)
    app.register_blueprint(blueprint_of("a"))
    assert start(app, "run")({}, None) == "a"


def test_each_kind_of_handler_starts_from_a_blueprint(
    start: Callable[[ExpressApp, str], Any],
) -> None:
    app, blueprint = ExpressApp("other", configure_logs=False), Blueprint("chalicelib.other")
    declared = [
        blueprint.schedule("rate(1 hour)", name="schedule"),
        blueprint.on_cw_event({}, name="cloudwatch"),
        blueprint.on_s3_event("bucket", name="s3"),
        blueprint.on_sns_message("topic", name="sns"),
        blueprint.on_sqs_message("queue", name="sqs"),
        blueprint.on_kinesis_record("stream", name="kinesis"),
        blueprint.on_dynamodb_record("arn", name="dynamodb"),
        blueprint.on_ws_connect(name="connect"),
        blueprint.on_ws_message(name="message"),
        blueprint.on_ws_disconnect(name="disconnect"),
        blueprint.authorizer(name="auth"),
    ]
    for declare in declared:
        declare(lambda event: {"statusCode": 201})
    app.register_blueprint(blueprint, name_prefix="a_")
    assert len(app.handler_map) == len(declared)
    for name, handler in app.handler_map.items():
        assert start(app, name) is handler
    websocket = {"apiId": "a", "stage": "s", "domainName": "d", "connectionId": "c"}
    event = {"requestContext": websocket}
    app.websocket_api.configure("d", "s")
    assert start(app, "a_connect")(event, None) == {"statusCode": 201}
    assert start(app, "a_auth").name == "a_auth"


def test_chalice_names_the_handlers_of_an_app_that_is_not_app_py(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "app", raising=False)
    app = ExpressApp("other", configure_logs=False)
    app.register_blueprint(blueprint_of("a"), name_prefix="a_")
    (function,) = app.pure_lambda_functions
    assert function.handler_string == "chalicelib.other.run"


@pytest.mark.parametrize("path", ["/", "/more/b"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_middleware_of_a_blueprint_is_for_the_whole_app(method: str, path: str) -> None:
    app, blueprint = app_with(lambda: "a"), Blueprint("other")
    blueprint.route("/b")(lambda: "b")
    blueprint.register_middleware(lambda *_: Response("", {"X-Mark": "1"}))
    app.register_blueprint(blueprint, url_prefix="/more")
    assert send(app, method, path).headers["x-mark"] == "1"


def test_a_blueprint_can_be_registered_again() -> None:
    app, blueprint = ExpressApp("other", configure_logs=False), Blueprint("other")
    blueprint.route("/a", methods=["POST"])(lambda: "a")
    app.register_blueprint(blueprint, url_prefix="/v1")
    app.register_blueprint(blueprint)
    assert {path: [*methods] for path, methods in app.routes.items()} == {
        "/v1/a": ["POST"],
        "/a": ["POST"],
    }


@pytest.mark.parametrize("view_first", [True, False])
def test_a_view_does_not_take_the_place_of_a_function_of_its_name(view_first: bool) -> None:
    app = ExpressApp("other", configure_logs=False)
    declare = [
        lambda: app.route("/", name="run")(lambda: "a view"),
        lambda: app.lambda_function(name="run")(lambda event, context: "a function"),
    ]
    for declaration in declare if view_first else reversed(declare):
        declaration()
    assert Client(app).lambda_.invoke("run").payload == "a function"


anything = st.text(max_size=40)
request_headers = st.sampled_from(["If-None-Match", "If-Modified-Since", "Cache-Control", "Accept"])


@given(
    method=st.sampled_from(["GET", "HEAD"]),
    name=anything,
    headers=st.none() | st.dictionaries(anything | request_headers, anything),
    query=st.none() | st.dictionaries(anything, st.lists(anything, min_size=1)),
    body=st.none() | anything,
    is_base64=st.booleans(),
)
@settings(max_examples=30, deadline=None, database=None)
def test_any_request_gets_a_well_formed_response(
    method: str,
    name: str,
    headers: dict[str, str] | None,
    query: dict[str, list[str]] | None,
    body: str | None,
    is_base64: bool,
) -> None:
    """The shape is AWS's: docs.aws.amazon.com, "Lambda proxy integrations in API Gateway"."""
    x_a: Any = 1
    app = app_with(lambda name: Response({"name": name}, {"X-A": x_a}), "/hello/{name}")
    event = proxy_event(
        "/hello/{name}",
        method,
        pathParameters={"name": name},
        headers=headers,
        multiValueQueryStringParameters=query,
        body=body,
        isBase64Encoded=is_base64,
    )
    response = app(event, None)
    assert response["statusCode"] in (200, 304)
    assert all(isinstance(text, str) for pair in response["headers"].items() for text in pair)
    assert set(response) == {"statusCode", "headers", "multiValueHeaders", "body"}
    assert json.loads(json.dumps(response)) == response


@pytest.mark.parametrize("payload", [{}, {"requestContext": {}}])
def test_an_event_from_elsewhere_also_gets_a_response(payload: dict[str, Any]) -> None:
    response = app_with(lambda: "a")(payload, None)
    assert response["statusCode"] == 500
    assert json.loads(response["body"])["Message"] == "Unknown request."


def test_a_middleware_can_answer_an_event_from_elsewhere() -> None:
    app = app_with(lambda: "a")
    app.register_middleware(lambda *_: Response("kept warm"), "http")
    response = app({}, None)
    assert (response["statusCode"], response["body"]) == (200, "kept warm")


def test_chalice_s_test_client_works() -> None:
    app = app_with(lambda name: {"name": name}, "/hello/{name}")
    with Client(app) as client:
        response = client.http.get("/hello/a%20b", headers={"X-A": "b"})
    assert (response.status_code, response.json_body) == (200, {"name": "a b"})
