"""What the service answers: what the Express app answered, and, for no route, API Gateway.

Add a line for each of your routes. `test_app.py` sends these requests in process, `test_served.py`
over HTTP, under `make run` and in the emulated AWS. A line can state any header, and a request's
headers and body too:

    Case("POST /links", Answer("", {"Location": "/links/1"}, 201), JSON, '{"url": "/"}')
"""

from collections.abc import Mapping
from typing import NamedTuple

import pytest


class Answer(NamedTuple):
    """A response; of its headers, those that are stated here are compared."""

    body: str
    headers: Mapping[str, str | None]
    status: int = 200


class Case(NamedTuple):
    """A request and what it is answered with."""

    request: str
    answer: Answer
    headers: Mapping[str, str] = {}
    body: str = ""


HTML = {"Content-Type": "text/html; charset=utf-8"}
JSON = {"Content-Type": "application/json"}
HELLO_TAG, TEST_TAG = 'W/"b-Kq5sNclPz7QV2+lfQIuc6R7oRu0"', 'W/"4-qUqP5cyxm6YcTAhz05Hph5gvu9M"'
HELLO = Answer("hello world", {**HTML, "ETag": HELLO_TAG})
TEST = Answer("test", {**HTML, "ETag": TEST_TAG})
# API Gateway answers what no route matches. In the production stack it is a 404.
NO_ROUTE = Answer('{"message":"Missing Authentication Token"}', JSON, 403)

ANSWERS = [
    Case("GET /", HELLO),
    Case("GET //", HELLO),
    Case("HEAD /", HELLO._replace(body="")),
    Case("GET /test", TEST),
    Case("GET /test/", TEST),
    Case("GET /test?a=1&a=2&b=", TEST),
    Case("HEAD /test", TEST._replace(body="")),
    Case("GET /test", TEST, {"Range": "bytes=0-1"}),
    Case("GET /test", TEST, {"Accept": "application/octet-stream"}),
    Case("GET /test", TEST, {"Accept-Encoding": "gzip"}),
    Case("GET /test", TEST, {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}),
    Case("GET /test", Answer("", TEST.headers, 304), {"If-None-Match": TEST_TAG}),
    Case("HEAD /", Answer("", HELLO.headers, 304), {"If-None-Match": HELLO_TAG}),
    Case("GET /", HELLO, {"If-None-Match": TEST_TAG}),
    Case("GET /test", TEST, {"If-None-Match": "*", "Cache-Control": "no-cache"}),
    Case("GET /nothing", NO_ROUTE),
    Case("GET /TEST", NO_ROUTE),
    Case("POST /", NO_ROUTE, JSON, "{}"),
    Case("OPTIONS /test", NO_ROUTE),
]

each_case = pytest.mark.parametrize(
    "case", ANSWERS, ids=lambda case: f"{case.request} {case.headers}"
)


def answer_of(case: Case, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """Return a response as an answer with the headers that a case states, to compare the two."""
    return Answer(body.decode(), {name: headers.get(name) for name in case.answer.headers}, status)
