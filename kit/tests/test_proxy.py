"""What API Gateway makes of a request's body and of a function's result."""

import json
from typing import Any

import pytest

from chalicekit.proxy import event_body, response_to

TYPES = ["image/png"]


@pytest.mark.parametrize(
    ("types", "content_type", "body", "expected"),
    [
        (["image/png"], "image/png", b"\x89", ("iQ==", True)),
        (["image/*"], "IMAGE/PNG; a=b", b"\x89", ("iQ==", True)),
        (["*/*"], "text/plain", b"{}", ("e30=", True)),
        (["*/*"], "text/plain", b"", (None, False)),
        (["image/png"], "text/plain", "é".encode(), ("é", False)),
        (["image/png"], "text/plain", b"\x89", ("\ufffd", False)),
    ],
)
def test_a_body_of_a_binary_type_arrives_in_base64(
    types: list[str], content_type: str, body: bytes, expected: tuple[Any, bool]
) -> None:
    fields = event_body(body, content_type, types)
    assert (fields["body"], fields["isBase64Encoded"]) == expected


@pytest.mark.parametrize(
    "result",
    [
        None,
        "text",
        {"statusCode": 200, "cookies": []},
        {"statusCode": "OK"},
        {"statusCode": 99},
        {"headers": ["X-A"]},
        {"headers": {"X-Count": 1}},
        {"headers": {"X-Null": None}},
        {"headers": {"X-Lines": "a\r\nX-Other: b"}},
        {"headers": {"X Space": "a"}},
        {"multiValueHeaders": {"X-Text": "a"}},
        {"body": {}},
        {"body": "a", "isBase64Encoded": True},
    ],
)
def test_a_malformed_result_is_a_502(result: Any) -> None:
    response = response_to(result, "image/png", TYPES)
    assert (response.status, json.loads(response.body)) == (
        502,
        {"message": "Internal server error"},
    )


JSON = {"Content-Type": ["application/json"]}


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({}, (200, JSON, b"")),
        ({"statusCode": "404", "body": "é"}, (404, JSON, "é".encode())),
        ({"statusCode": None, "headers": None, "body": None}, (200, JSON, b"")),
        ({"headers": {"content-type": "a/b"}}, (200, {"content-type": ["a/b"]}, b"")),
        ({"headers": {"X-True": True}}, (200, {"X-True": ["true"]} | JSON, b"")),
        ({"headers": {"Date": "x"}}, (200, {"x-amzn-Remapped-Date": ["x"]} | JSON, b"")),
        ({"headers": {"Transfer-Encoding": "chunked"}}, (200, JSON, b"")),
        (
            {"headers": {"a": "1"}, "multiValueHeaders": {"A": ["2"]}},
            (200, {"a": ["2", "1"]} | JSON, b""),
        ),
        (
            {"headers": {"A": "1"}, "multiValueHeaders": {"A": ["1"]}},
            (200, {"A": ["1"]} | JSON, b""),
        ),
    ],
)
def test_a_response_is_what_aws_makes_of_a_result(result: Any, expected: Any) -> None:
    assert response_to(result, "*/*", TYPES) == expected


@pytest.mark.parametrize(
    ("accept", "body"),
    [
        ("image/png, text/html", b"\x89"),
        ("IMAGE/PNG;q=0.9", b"\x89"),
        ("text/html, image/png", b"iQ=="),
        ("*/*", b"iQ=="),
        ("", b"iQ=="),
    ],
)
def test_the_first_type_of_accept_decides_on_bytes(accept: str, body: bytes) -> None:
    result = {"body": "iQ==", "isBase64Encoded": True}
    assert response_to(result, accept, TYPES).body == body
    assert response_to({"body": "iQ=="}, accept, TYPES).body == b"iQ=="
