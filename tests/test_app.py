"""The service in process: its answers, and what a client cannot make it do."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from chalice import Chalice, Response
from chalice.app import CaseInsensitiveMapping
from chalice.test import Client
from hypothesis import given
from hypothesis import strategies as st

from app import app
from chalicelib.responses import entity_tag, like_express
from emulated.events import proxy_event
from tests.answers import Case, answers, check_answer


def client_of(view: Callable[[], Any], method: str = "GET") -> Client:
    """Return a client of an app that has one view."""
    other = Chalice("other")
    other.register_middleware(like_express, "http")
    other.route("/", methods=[method])(view)
    return Client(other)


@answers
def test_answers_as_express(case: Case) -> None:
    with Client(app) as client:
        response = client.http.request(case.method, case.path, headers=case.headers)
    headers = CaseInsensitiveMapping(response.headers)
    check_answer(case, response.status_code, headers, response.body)
    assert (response.status_code == 304) == ("content-type" not in headers)


def test_head_differs_from_get_in_closing_the_connection_alone() -> None:
    with Client(app) as client:
        get, head = client.http.get("/"), client.http.head("/")
    assert head.body == get.body  # API Gateway counts and drops it
    assert head.headers == get.headers | {"Connection": "close"}


@pytest.mark.parametrize(
    ("answer", "status", "content_type", "has_tag"),
    [
        ("text", 200, "text/html; charset=utf-8", True),
        ("", 200, "text/html; charset=utf-8", True),
        (Response("gone", status_code=404), 404, "text/html; charset=utf-8", True),
        ({"a": 1}, 200, None, False),  # API Gateway's own default: application/json
        (Response("a,b", {"content-type": "text/csv"}), 200, "text/csv", False),
    ],
)
def test_only_text_without_a_content_type_is_finished(
    answer: Any, status: int, content_type: str | None, has_tag: bool
) -> None:
    with client_of(lambda: answer) as client:
        response = client.http.get("/", headers={"If-None-Match": '"a"'})
    headers = CaseInsensitiveMapping(response.headers)
    assert (response.status_code, headers.get("content-type")) == (status, content_type)
    assert ("etag" in headers) == has_tag


def test_headers_that_a_view_hands_out_again_stay_as_they_are() -> None:
    shared: dict[str, Any] = {"Cache-Control": "max-age=60"}
    with client_of(lambda: Response("a", shared), "HEAD") as client:
        assert client.http.head("/").headers["Cache-Control"] == "max-age=60"
    assert shared == {"Cache-Control": "max-age=60"}


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("POST", 200)])
def test_304_is_for_a_get_that_went_well(method: str, status: int) -> None:
    with client_of(lambda: Response("a", status_code=status), method) as client:
        response = client.http.request(method, "/", headers={"If-None-Match": "*"})
    assert response.status_code == status


@given(st.text())
def test_entity_tag_is_the_length_and_the_hash_of_the_bytes(body: str) -> None:
    content = body.encode()
    sha1 = base64.b64encode(hashlib.sha1(content).digest()).decode()
    assert entity_tag(body) == f'W/"{len(content):x}-{sha1[:27]}"'


anything = st.text(max_size=40)
header_names = st.one_of(
    st.sampled_from(["If-None-Match", "Cache-Control", "Accept", "Content-Type", "Range"]), anything
)


@given(
    route=st.sampled_from(["/", "/test"]),
    method=st.sampled_from(["GET", "HEAD"]),
    path=anything,
    headers=st.none() | st.dictionaries(header_names, anything),
    query=st.none() | st.dictionaries(anything, st.lists(anything, min_size=1)),
    body=st.none() | anything,
    is_base64=st.booleans(),
)
def test_whatever_a_client_sends_gets_a_well_formed_answer(
    route: str,
    method: str,
    path: str,
    headers: dict[str, str] | None,
    query: dict[str, list[str]] | None,
    body: str | None,
    is_base64: bool,
) -> None:
    """The shape is AWS's: docs.aws.amazon.com, "Lambda proxy integrations in API Gateway"."""
    event = proxy_event(
        route,
        method,
        path=path,
        headers=headers,
        multiValueHeaders=headers and {name: [value] for name, value in headers.items()},
        queryStringParameters=query and {name: values[-1] for name, values in query.items()},
        multiValueQueryStringParameters=query,
        body=body,
        isBase64Encoded=is_base64,
    )
    answer = app(event, None)
    assert answer["statusCode"] in (200, 304)
    assert isinstance(answer["body"], str)
    assert all(isinstance(v, str) for pair in answer["headers"].items() for v in pair)
    assert set(answer) <= {"statusCode", "headers", "multiValueHeaders", "body"}
    assert json.loads(json.dumps(answer)) == answer


@pytest.mark.parametrize("payload", [{}, {"requestContext": {}}])
def test_an_event_of_no_api_gateway_is_answered_too(payload: dict[str, Any]) -> None:
    assert app(payload, None)["statusCode"] == 500
