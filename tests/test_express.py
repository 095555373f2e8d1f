"""Answers as Express 5.3.0 gives them: what is expected here was recorded from it."""

import base64
import datetime
import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import pytest
from chalice import BadRequestError, Blueprint, Chalice, NotFoundError, Response
from chalice.app import Request
from chalice.test import Client, HTTPResponse
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.express import ExpressApp, entity_tag, like_express
from chalicekit.runtime.events import proxy_event

HTML = "text/html; charset=utf-8"
JSON = "application/json; charset=utf-8"
BYTES = "application/octet-stream"


def app_with(view: Callable[..., Any], path: str = "/", **declared: Any) -> ExpressApp:
    """Return an app that has one view."""
    app = ExpressApp("other", configure_logs=False)
    app.register_middleware(like_express, "http")
    app.route(path, **declared)(view)
    return app


def current_request(app: Chalice) -> Request:
    """Return the request that is served."""
    assert app.current_request
    return app.current_request


def answer_of(value: Any, method: str = "GET", **headers: str) -> HTTPResponse:
    """Return the answer of a view that returns `value`, the names of its headers in lower case."""
    app = app_with(lambda: value, methods=[method])
    sent = {name.replace("_", "-"): text for name, text in headers.items()}
    response = Client(app).http.request(method, "/", headers=sent)
    response.headers = {name.lower(): text for name, text in response.headers.items()}
    return response


@pytest.mark.parametrize(
    ("value", "body", "content_type", "etag"),
    [
        ("a", "a", HTML, 'W/"1-hvfkN/qlp/zhXR3cuerq6jd2Z7g"'),
        ("", "", HTML, 'W/"0-2jmj7l5rSw0yVb/vlWAYkK/YBwk"'),
        ("a\ud800b", "a\ufffdb", HTML, 'W/"5-w2k66mFsiGyTdG3qs9QpIcog8E4"'),
        ({}, "{}", JSON, 'W/"2-vyGp6PvFo4RvsFtPoIWeCReyIC8"'),
        ([], "[]", JSON, 'W/"2-l9Fw4VUO7kr8CvBlt4zaMCqXZ0w"'),
        (None, "null", JSON, 'W/"4-K+iMpCQsduglOsYkdIUQZQMtaDM"'),
        (True, "true", JSON, 'W/"4-X/5TO4MPCKAyY0ipFgr6/IraRNs"'),
        (5, "5", JSON, 'W/"1-rDR41po8gfpi5g9cNpYWWk5easQ"'),
        (-0.0, "0", JSON, 'W/"1-tlifxqsNyCzxIJnRwtQKuZToQQw"'),
        (1.5, "1.5", JSON, 'W/"3-qo8onr5tTbG0oQOLiTHsjCtTmfs"'),
        ([1.0, -2.0, 100.0], "[1,-2,100]", JSON, 'W/"a-Q+uFGyX8tHRSnshk8k2CXffQzRQ"'),
        (
            [math.nan, math.inf, -math.inf],
            "[null,null,null]",
            JSON,
            'W/"10-tBmfhwPF3CCAVKYiA9sTLD0SWBw"',
        ),
        (
            {"b": (1, {"c": None}), "a": {}},
            '{"b":[1,{"c":null}],"a":{}}',
            JSON,
            'W/"1b-FfKiSEuJmFhKaR4FdeG9wgfCh+Y"',
        ),
        ({"name": "é 한 😀"}, '{"name":"é 한 😀"}', JSON, 'W/"16-AughKE6nc9GOULxIQl2xJ+IHKs4"'),
        (
            ["\u2028\u2029\x85\xa0\ufeff\x7f"],
            '["\u2028\u2029\x85\xa0\ufeff\x7f"]',
            JSON,
            'W/"12-fyOR2zi7k65jS5wOOGiW2FSX6MI"',
        ),
        (["</script><!-- &"], '["</script><!-- &"]', JSON, 'W/"13-dy6isdPbtKYugwQEVQ6NmF2xOH8"'),
        (
            ['"\\/\b\f\n\r\t\0\x1f\x1e'],
            r'["\"\\/\b\f\n\r\t\u0000\u001f\u001e"]',
            JSON,
            'W/"25-e77N/YEDBVb7AL5wEpnTqb48yBM"',
        ),
        (
            ["\ud800", "a\udfff", "😀"],
            r'["\ud800","a\udfff","😀"]',
            JSON,
            'W/"1b-N9/+ntHb/5BX9+btwnyuiih7pc8"',
        ),
        (b"\x89P\0\xff", b"\x89P\0\xff", BYTES, 'W/"4-BTeDPueu5WEiqepJlqTjPLSCX2U"'),
        (bytearray(b"abc"), "abc", BYTES, 'W/"3-qZk+NkcGgWq6PiVxeFDCbJzQ2J0"'),
        (b"", "", BYTES, 'W/"0-2jmj7l5rSw0yVb/vlWAYkK/YBwk"'),
    ],
)
def test_a_return_value_is_sent_as_express_sends_it(
    value: Any, body: str | bytes, content_type: str, etag: str
) -> None:
    answer = answer_of(value)
    assert answer.body == (body if isinstance(body, bytes) else body.encode())
    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    assert answer.headers["etag"] == etag


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
    assert answer_of(number).body.decode() == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**53 + 1, "9007199254740993"),  # JavaScript would round it
        ({"b": 1, "2": 2}, '{"b":1,"2":2}'),  # JavaScript would put "2" first
        ({1: 0, 1e16: 0, None: 0}, '{"1":0,"10000000000000000":0,"null":0}'),
        (Decimal("1.10"), "1.1"),
    ],
)
def test_json_keeps_python_values_that_javascript_does_not_have(value: Any, text: str) -> None:
    assert answer_of(value).body.decode() == text


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}])
def test_a_value_that_json_cannot_hold_is_a_500(headers: dict[str, Any]) -> None:
    app = app_with(lambda: Response({"day": datetime.date.today()}, headers))
    assert app(proxy_event("/"), None)["statusCode"] == 500


@pytest.mark.parametrize("status", [201, 400, 404])
def test_a_response_keeps_its_status(status: int) -> None:
    answer = answer_of(Response({"a": 1}, status_code=status))
    assert (answer.status_code, answer.body) == (status, b'{"a":1}')
    assert answer.headers["content-type"] == JSON
    assert answer.headers["etag"] == 'W/"7-n4nHQM60bXQYySSnisV5QdXpZSA"'


@pytest.mark.parametrize(("error", "status"), [(NotFoundError, 404), (BadRequestError, 400)])
def test_an_error_has_the_body_that_chalice_gives_it(error: type[Exception], status: int) -> None:
    def view() -> None:
        raise error("no such thing")

    answer = Client(app_with(view)).http.get("/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, JSON)
    assert answer.json_body == {"Code": error.__name__, "Message": "no such thing"}


@pytest.mark.parametrize(
    ("body", "content_type", "sent"),
    [
        ("a,b", "text/csv", b"a,b"),
        (b"a\xff", "application/pdf", b"a\xff"),
        ({"title": "é"}, "application/problem+json", '{"title":"é"}'.encode()),
    ],
)
def test_a_response_with_its_own_content_type_is_unchanged(
    body: Any, content_type: str, sent: bytes
) -> None:
    answer = answer_of(Response(body, {"content-type": content_type}), If_None_Match="*")
    assert (answer.status_code, answer.body) == (200, sent)
    assert dict(answer.headers) == {"content-type": content_type}


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("body", ["", None, "a"])
def test_a_status_without_a_body_is_unchanged(status: int, body: str | None) -> None:
    answer = answer_of(Response(body, {"X-A": "b"}, status))
    assert (answer.status_code, answer.body) == (status, b"")
    assert dict(answer.headers) == {"x-a": "b"}


def test_an_etag_set_by_a_view_is_kept_and_compared() -> None:
    mine = Response("a", {"etag": '"mine"'})
    assert answer_of(mine).headers["etag"] == '"mine"'
    assert answer_of(mine, If_None_Match='"mine"').status_code == 304
    assert answer_of(mine, If_None_Match=entity_tag("a")).status_code == 200


def test_a_response_from_another_middleware_is_also_completed() -> None:
    app = app_with(lambda: "a")
    app.register_middleware(lambda request, _: Response(request.path, {"ETag": '"its"'}), "http")
    answer = Client(app).http.get("/")
    assert (answer.body, answer.headers) == (b"/", {"Content-Type": HTML, "ETag": '"its"'})


def test_shared_headers_are_not_changed() -> None:
    shared: dict[str, Any] = {"Cache-Control": "max-age=60"}
    assert answer_of(Response("a", shared)).headers["cache-control"] == "max-age=60"
    assert shared == {"Cache-Control": "max-age=60"}


@pytest.mark.parametrize("value", ["a", {"a": 1}, b"\xff"])
def test_304_has_the_headers_of_the_response_and_no_body(value: Any) -> None:
    whole, fresh = answer_of(value), answer_of(value, If_None_Match="*")
    assert (fresh.status_code, fresh.body) == (304, b"")
    assert dict(fresh.headers) == dict(whole.headers)


@pytest.mark.parametrize(
    ("method", "status", "answered"),
    [
        ("GET", 200, 304),
        ("HEAD", 200, 304),
        ("GET", 201, 304),
        ("GET", 299, 304),
        ("GET", 300, 300),
        ("GET", 404, 404),
        ("POST", 200, 200),
    ],
)
def test_304_is_only_for_a_successful_get_or_head(method: str, status: int, answered: int) -> None:
    answer = answer_of(Response("a", status_code=status), method, If_None_Match="*")
    assert answer.status_code == answered


MINE = 'W/"1-aB"'


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
    assert answer_of(Response("a", {"ETag": MINE}), **headers).status_code == status


@pytest.mark.parametrize(
    ("body", "tag"),
    [
        ("", 'W/"0-2jmj7l5rSw0yVb/vlWAYkK/YBwk"'),
        ("hello world", 'W/"b-Kq5sNclPz7QV2+lfQIuc6R7oRu0"'),
        ("é", 'W/"2-vxW+cXrBsIC08cRWaSgliR/1Bz0"'),
        (b"\xff", 'W/"1-heUyceFABvAmWSHQLU1zbNxYCws"'),
    ],
)
def test_an_entity_tag_is_the_length_and_the_hash_of_the_bytes(body: str | bytes, tag: str) -> None:
    assert entity_tag(body) == tag


def test_head_comes_with_get() -> None:
    app = app_with(lambda: "a", name="index")
    declared = [(entry.method, entry.view_name) for entry in app.routes["/"].values()]
    assert declared == [("GET", "index"), ("HEAD", "index")]
    with Client(app) as client:
        get, head = client.http.get("/"), client.http.head("/")
    assert (head.status_code, head.headers) == (200, get.headers)
    assert head.body == get.body  # API Gateway counts and drops it


def test_chalice_local_closes_the_connection_after_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CHALICE_CLI_MODE", "true")
    assert answer_of("a", "HEAD").headers["connection"] == "close"
    assert "connection" not in answer_of("a").headers


def test_a_head_route_of_your_own_comes_before_its_get() -> None:
    app = ExpressApp("other", configure_logs=False)
    app.route("/", methods=["HEAD"])(lambda: Response("", {"X-Head": "1"}))
    app.route("/")(lambda: "a")
    assert Client(app).http.head("/").headers == {"X-Head": "1"}


def test_a_blueprint_route_behaves_like_any_route() -> None:
    blueprint = Blueprint("other")
    blueprint.route("/a")(lambda: "a")
    app = app_with(lambda: "root")
    app.register_blueprint(blueprint, url_prefix="/more")
    assert Client(app).http.head("/more/a", headers={"Content-Type": "text/plain"}).body == b"a"


def test_a_route_takes_both_get_and_json() -> None:
    app = app_with(lambda: current_request(app).json_body, methods=["GET", "POST"])
    with Client(app) as client:
        headers = {"Content-Type": "application/json"}
        assert client.http.post("/", headers=headers, body=b'{"a":1}').json_body == {"a": 1}
        assert client.http.get("/", headers={"Content-Type": "text/plain"}).status_code == 200
        assert client.http.head("/").status_code == 200


@pytest.mark.parametrize(
    ("declared", "status"),
    [
        ({}, 200),
        ({"content_types": ["text/csv"]}, 415),
        ({"methods": ["DELETE"]}, 200),
        ({"methods": ["POST"]}, 415),
        ({"methods": ["PUT"]}, 415),
        ({"methods": ["PATCH"]}, 415),
        ({"methods": ["POST"], "content_types": ["text/plain"]}, 200),
    ],
)
def test_a_content_type_matters_only_to_a_body(declared: dict[str, Any], status: int) -> None:
    app = app_with(lambda: "a", **declared)
    (method, *_) = declared.get("methods", ["GET"])
    answer = Client(app).http.request(method, "/", headers={"Content-Type": "text/plain"})
    assert answer.status_code == status


def test_304_has_the_cors_headers() -> None:
    answer = Client(app_with(lambda: "a", cors=True)).http.get("/", headers={"If-None-Match": "*"})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (304, "*")


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
    app = app_with(lambda name: [name, current_request(app).uri_params], "/hello/{name}")
    expected = [decoded, {"name": decoded}]
    assert Client(app).http.get(f"/hello/{encoded}").json_body == expected
    event = proxy_event("/hello/{name}", pathParameters={"name": encoded})
    assert json.loads(app(event, None)["body"]) == expected
    assert event["pathParameters"] == {"name": encoded}


def test_a_route_without_parameters_has_none() -> None:
    app = app_with(lambda: current_request(app).uri_params)
    assert Client(app).http.get("/").body == b"null"


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
    answer = app(proxy_event("/", headers=headers), None)
    assert answer["statusCode"] == 200
    assert (answer["body"], answer.get("isBase64Encoded", False)) == sent


def test_api_gateway_decodes_base64_for_every_client() -> None:
    binary_types = ExpressApp("other", configure_logs=False).api.binary_types
    assert binary_types == ["*/*"]


def test_a_middleware_outside_of_like_express_may_answer_anything() -> None:
    app = ExpressApp("other", configure_logs=False)
    app.route("/")(lambda: "a")
    app.register_middleware(lambda *_: Response("text", {"Content-Type": "text/plain"}), "http")
    app.register_middleware(like_express, "http")
    assert Client(app).http.get("/").body == b"text"


@given(st.binary(max_size=20))
@settings(max_examples=30)
def test_bytes_reach_the_client(body: bytes) -> None:
    answer = app_with(lambda: body)(proxy_event("/"), None)
    is_base64 = answer.get("isBase64Encoded", False)
    sent = base64.b64decode(answer["body"]) if is_base64 else answer["body"].encode()
    assert sent == body


anything = st.text(max_size=40)
header_names = anything | st.sampled_from(["If-None-Match", "Cache-Control", "Accept", "Range"])


@given(
    method=st.sampled_from(["GET", "HEAD"]),
    name=anything,
    headers=st.none() | st.dictionaries(header_names, anything),
    query=st.none() | st.dictionaries(anything, st.lists(anything, min_size=1)),
    body=st.none() | anything,
    is_base64=st.booleans(),
)
@settings(max_examples=30)
def test_any_request_gets_a_well_formed_response(
    method: str,
    name: str,
    headers: dict[str, str] | None,
    query: dict[str, list[str]] | None,
    body: str | None,
    is_base64: bool,
) -> None:
    """The shape is AWS's: docs.aws.amazon.com, "Lambda proxy integrations in API Gateway"."""
    app = app_with(lambda name: {"name": name}, "/hello/{name}")
    event = proxy_event(
        "/hello/{name}",
        method,
        pathParameters={"name": name},
        headers=headers,
        multiValueQueryStringParameters=query,
        body=body,
        isBase64Encoded=is_base64,
    )
    answer = app(event, None)
    assert answer["statusCode"] in (200, 304)
    assert answer["body"] in (
        "",
        json.dumps({"name": unquote(name)}, separators=(",", ":"), ensure_ascii=False),
    )
    assert all(isinstance(text, str) for pair in answer["headers"].items() for text in pair)
    assert set(answer) == {"statusCode", "headers", "multiValueHeaders", "body"}
    assert json.loads(json.dumps(answer)) == answer


@pytest.mark.parametrize("payload", [{}, {"requestContext": {}}])
def test_an_event_from_elsewhere_also_gets_a_response(payload: dict[str, Any]) -> None:
    answer = app_with(lambda: "a")(payload, None)
    assert answer["statusCode"] == 500
    assert json.loads(answer["body"])["Message"] == "Unknown request."


def test_a_middleware_can_answer_an_event_from_elsewhere() -> None:
    app = app_with(lambda: "a")
    app.register_middleware(lambda *_: Response("kept warm"), "http")
    answer = app({}, None)
    assert (answer["statusCode"], answer["body"]) == (200, "kept warm")
