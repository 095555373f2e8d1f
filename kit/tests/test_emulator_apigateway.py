"""API Gateway in the emulated AWS: its limits, its own errors, and who chooses a request's id.

What a function and a client get is in test_places.py: it is the same as on this machine.
"""

import json
import time
import uuid

import pytest

from tests.emulated import client, deploy_echo, make_api, make_function, send

MB = 1024 * 1024


@pytest.fixture(scope="module")
def echo(aws: str) -> str:
    """The URL of a function that echoes."""
    return deploy_echo(aws).url


@pytest.mark.parametrize(
    ("size", "status", "message"),
    [
        (2 * MB, 200, None),
        (6 * MB, 413, "Request Too Long"),  # the event has more than the body
        (10 * MB + 1, 413, "HTTP content length exceeded 10485760 bytes."),
    ],
)
def test_a_request_has_at_most_10_mb_and_an_event_6_mb(
    echo: str, size: int, status: int, message: str | None
) -> None:
    response = send("PUT", echo, {"Content-Type": "text/plain"}, b"x" * size)
    assert (response.status, json.loads(response.body).get("message")) == (status, message)


def test_a_function_does_not_get_the_headers_of_a_client_s_connection(echo: str) -> None:
    response = send("GET", echo, {"Connection": "close", "X-Own": "a"})
    headers = json.loads(response.body)["event"]["headers"]
    assert (headers["x-own"], headers["x-forwarded-proto"]) == ("a", "http")
    assert "connection" not in headers


def test_a_body_without_a_type_is_binary_if_json_is(aws: str) -> None:
    types = {"x-amazon-apigateway-binary-media-types": ["*/*"]}
    function = make_function(aws, "def handler(event, _): return {'body': event['body']}")
    url = make_api(aws, function, definition=types).url
    assert send("PUT", url, {}, b"\xe9\0").body == b"6QA="  # in Base64


def test_a_response_has_at_most_6_mb(aws: str) -> None:
    function = make_function(aws, f"def handler(*_): return {{'body': 'x' * {6 * MB + 100}}}")
    assert send("GET", make_api(aws, function).url).status == 502


def test_a_client_does_not_wait_longer_than_the_integration(aws: str) -> None:
    function = make_function(aws, "import time\ndef handler(*_): time.sleep(9)", Timeout=10)
    url, started = make_api(aws, function, {"timeoutInMillis": 50}).url, time.monotonic()
    response = send("GET", url)
    assert time.monotonic() - started < 9
    assert response.status == 504
    assert json.loads(response.body) == {"message": "Endpoint request timed out"}


def test_errors_have_the_headers_of_gateway_responses(aws: str) -> None:
    headers = {"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"}
    both = {key: {"responseParameters": headers} for key in ("DEFAULT_4XX", "DEFAULT_5XX")}
    definition = {"x-amazon-apigateway-gateway-responses": both}
    url = make_api(aws, "none", definition=definition).url
    for path, status in ("/unknown", 403), ("", 500):
        response = send("GET", url + path)
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (status, "*")


def test_a_client_chooses_the_request_id_and_not_the_extended_one(echo: str) -> None:
    chosen = "01234567-89ab-cdef-0123-456789abcdef"
    response = send("GET", echo, {"x-amzn-RequestId": chosen})
    context = json.loads(response.body)["event"]["requestContext"]
    assert context["requestId"] == response.headers["x-amzn-RequestId"] == chosen
    assert context["extendedRequestId"] == response.headers["x-amz-apigw-id"]


def test_a_new_definition_replaces_the_old_one(aws: str) -> None:
    api, gateway = make_api(aws, "any").id, client(aws, "apigateway")
    body = json.dumps({"paths": {"/new": {}}})
    gateway.put_rest_api(restApiId=api, mode="overwrite", body=body)
    resources = gateway.get_resources(restApiId=api)["items"]
    assert {item["path"]: item.get("resourceMethods", {}) for item in resources} == {
        "/": {},
        "/new": {},
    }


def test_chalice_can_remove_the_minimum_compression_size(aws: str) -> None:
    api, gateway = make_api(aws, "any").id, client(aws, "apigateway")
    remove = {"op": "replace", "path": "/minimumCompressionSize", "value": ""}
    updated = gateway.update_rest_api(restApiId=api, patchOperations=[remove])
    assert updated.get("minimumCompressionSize") is None


def test_chalice_can_update_a_domain(aws: str) -> None:
    domain, gateway = f"{uuid.uuid4().hex}.example.com", client(aws, "apigateway")
    gateway.create_domain_name(domainName=domain, certificateArn="arn:aws:acm:::1")
    updated = gateway.update_domain_name(domainName=domain, patchOperations=[])
    assert updated["domainName"] == domain
