"""The service's answers, which are those of the Express app that it replaces.

Add a line for each of your routes. `test_app.py` uses the table in process, and `test_served.py`
over HTTP, under `make run` and in the emulated AWS.
"""

from collections.abc import Mapping
from email.message import Message
from typing import NamedTuple

import pytest


class Answer(NamedTuple):
    """An expected answer."""

    body: bytes
    etag: str
    status: int = 200
    content_type: str = "text/html; charset=utf-8"

    def not_modified(self) -> "Answer":
        """Return the 304 for this answer."""
        return self._replace(status=304, body=b"")


HELLO = Answer(b"hello world", 'W/"b-Kq5sNclPz7QV2+lfQIuc6R7oRu0"')
TEST = Answer(b"test", 'W/"4-qUqP5cyxm6YcTAhz05Hph5gvu9M"')

ANSWERS: list[tuple[str, dict[str, str], Answer]] = [
    ("GET /", {}, HELLO),
    ("GET /test", {}, TEST),
    ("GET /test/", {}, TEST),
    ("GET /test?a=1&a=2&b=", {}, TEST),
    ("HEAD /", {}, HELLO),
    ("HEAD /test", {}, TEST),
    ("GET /test", {"Range": "bytes=0-1"}, TEST),
    ("GET /test", {"Accept": "application/octet-stream"}, TEST),
    ("GET /test", {"Accept-Encoding": "gzip"}, TEST),
    ("GET /test", {"Content-Type": "text/plain"}, TEST),
    ("GET /test", {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, TEST),
    ("GET /test", {"If-None-Match": TEST.etag}, TEST.not_modified()),
    ("HEAD /", {"If-None-Match": HELLO.etag}, HELLO.not_modified()),
    ("GET /", {"If-None-Match": TEST.etag}, HELLO),
    ("GET /test", {"If-None-Match": TEST.etag, "Cache-Control": "no-cache"}, TEST),
]

# Requests that match no route. API Gateway answers 403 without calling Lambda.
REFUSALS = [
    "GET /nothing",
    "GET /test/more",
    "GET /TEST",
    "POST /",
    "DELETE /test",
    "OPTIONS /test",
]

answers = pytest.mark.parametrize(
    ("request_line", "headers", "answer"),
    ANSWERS,
    ids=[f"{line} {headers or ''}" for line, headers, _ in ANSWERS],
)
refusals = pytest.mark.parametrize("request_line", REFUSALS)


def check_answer(
    method: str,
    answer: Answer,
    status: int,
    headers: Mapping[str, str] | Message,
    body: bytes,
) -> None:
    """Compare a response with `answer`; the names in `headers` must be case-insensitive.

    The body of an answer to HEAD is not compared: API Gateway drops it, other servers do not.
    """
    seen = Answer(body, headers["ETag"], status, headers.get("Content-Type", ""))
    assert seen == (answer if method != "HEAD" else answer._replace(body=body))
