"""What the service answers, wherever it runs: what the seed's Express app answers."""

from collections.abc import Mapping
from typing import NamedTuple

import pytest

ROOT_TAG = 'W/"b-Kq5sNclPz7QV2+lfQIuc6R7oRu0"'
TEST_TAG = 'W/"4-qUqP5cyxm6YcTAhz05Hph5gvu9M"'
STRONG = TEST_TAG.removeprefix("W/")


class Case(NamedTuple):
    """A request, and the answer it must get."""

    name: str
    method: str
    path: str
    headers: dict[str, str] | None = None
    status: int = 200


ANSWERS = [
    Case("root", "GET", "/"),
    Case("test", "GET", "/test"),
    Case("trailing slash", "GET", "/test/"),
    Case("query", "GET", "/test?a=1&a=2&b="),
    Case("HEAD of the root", "HEAD", "/"),
    Case("HEAD of the test", "HEAD", "/test"),
    Case("Range is ignored", "GET", "/test", {"Range": "bytes=0-1"}),
    Case("Accept is ignored", "GET", "/test", {"Accept": "application/octet-stream"}),
    Case("Accept-Encoding is ignored", "GET", "/test", {"Accept-Encoding": "gzip"}),
    Case("Content-Type is ignored", "GET", "/test", {"Content-Type": "text/plain"}),
    Case("a date alone", "GET", "/test", {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}),
    Case("HEAD is 304 as well", "HEAD", "/", {"If-None-Match": ROOT_TAG}, 304),
    Case("the other's tag", "GET", "/", {"If-None-Match": TEST_TAG}),
    *(
        Case(f"If-None-Match: {value}", "GET", "/test", {"If-None-Match": value}, status)
        for value, status in {
            TEST_TAG: 304,
            STRONG: 304,
            f"W/{TEST_TAG}": 304,
            "*": 304,
            f'"a", {TEST_TAG}': 304,
            f'"a",  {STRONG}  ,"b"': 304,
            f"{TEST_TAG},": 304,
            "": 200,
            ",": 200,
            '"a"': 200,
            f'*, "{TEST_TAG}"': 200,
            f"w/{STRONG}": 200,
            STRONG.strip('"'): 200,
            TEST_TAG.lower(): 200,
            TEST_TAG[:-1]: 200,
        }.items()
    ),
    *(
        Case(
            f"Cache-Control: {value}",
            "GET",
            "/test",
            {"If-None-Match": TEST_TAG, "Cache-Control": value},
            status,
        )
        for value, status in {
            "no-cache": 200,
            "max-age=0, no-cache": 200,
            "max-age=0,no-cache ,no-store": 200,
            "max-age=0": 304,
            "no-cachet": 304,
            "x-no-cache": 304,
        }.items()
    ),
]

# What API Gateway answers by itself, without calling Lambda.
REFUSALS = [
    Case("unknown path", "GET", "/nothing", status=403),
    Case("below a path", "GET", "/test/more", status=403),
    Case("another case", "GET", "/TEST", status=403),
    Case("POST", "POST", "/", status=403),
    Case("DELETE", "DELETE", "/test", status=403),
    Case("OPTIONS", "OPTIONS", "/test", status=403),
]

answers = pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case.name)
refusals = pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)


def check_answer(case: Case, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Hold an answer against the case; `headers` must not mind the case of names.

    The body of a HEAD's answer is not looked at: it depends on who serves.
    """
    is_test = case.path.startswith("/test")
    assert status == case.status
    assert headers["ETag"] == (TEST_TAG if is_test else ROOT_TAG)
    if status == 304:
        assert body == b""
    else:
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        if case.method != "HEAD":
            assert body == (b"test" if is_test else b"hello world")
