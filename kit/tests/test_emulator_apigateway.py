"""API Gateway in the emulated AWS: what it refuses, and its limits.

What a function and a client get is in test_places.py: it is the same as on this machine.
"""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulated import client, deploy_echo, make_function, send

MB = 1024 * 1024


@pytest.fixture(scope="module")
def echo(aws: str) -> str:
    """The URL of an API whose function echoes."""
    return deploy_echo(aws).url


def test_a_client_chooses_the_request_id_and_not_the_extended_one(echo: str) -> None:
    chosen = "01234567-89ab-cdef-0123-456789abcdef"
    response = send("GET", f"{echo}/event/one", {"x-amzn-RequestId": chosen})
    context = json.loads(response.body)["event"]["requestContext"]
    assert context["requestId"] == response.headers["x-amzn-RequestId"] == chosen
    assert context["extendedRequestId"] == response.headers["x-amz-apigw-id"]
    forged = send("GET", f"{echo}/event/one", {"x-amzn-RequestId": "no UUID"})
    assert forged.headers["x-amzn-RequestId"] != "no UUID"


def test_an_update_can_remove_the_minimum_compression_size(aws: str, echo: str) -> None:
    api = echo.split("/")[-2]
    for value in ("1024", ""):
        operation = {"op": "replace", "path": "/minimumCompressionSize", "value": value}
        updated = client(aws, "apigateway").update_rest_api(
            restApiId=api, patchOperations=[operation]
        )
    assert updated.get("minimumCompressionSize") is None


def import_api(aws: str, paths: dict[str, Any], **settings: Any) -> str:
    """Create an API with a definition of these paths; return its id."""
    definition = {"info": {"title": "api"}, "paths": paths, **settings}
    gateway = client(aws, "apigateway")
    api: str = gateway.import_rest_api(body=json.dumps(definition))["id"]
    gateway.create_deployment(restApiId=api, stageName="dev")
    return api


def invoking(function: str, **settings: Any) -> dict[str, Any]:
    """Return the definition of a path whose GET invokes a function."""
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function}"
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": uri, **settings}
    return {"get": {"x-amazon-apigateway-integration": integration}}


@pytest.mark.parametrize(
    ("paths", "place", "sibling"),
    [
        (["/users/{id}", "/users/{user}/posts"], "/users/{user}", "{id}"),
        (["/{a}/b", "/{c}/d"], "/{c}", "{a}"),
        (["/files/{name}", "/files/{proxy+}"], "/files/{proxy+}", "{name}"),
        (["/a/{b}/{c}", "/a/{b}/{d}"], "/a/{b}/{d}", "{c}"),
    ],
)
def test_a_path_segment_has_one_variable(
    aws: str, paths: list[str], place: str, sibling: str
) -> None:
    accepted = import_api(aws, {paths[0]: {}})
    message = f"'{place}': A sibling ({sibling}) of this resource already has a variable path part"
    definition: dict[str, Any] = {"info": {"title": "api"}, "paths": {path: {} for path in paths}}
    with pytest.raises(ClientError) as refused:
        import_api(aws, definition["paths"])
    assert message in str(refused.value)
    with pytest.raises(ClientError, match="BadRequestException"):
        client(aws, "apigateway").put_rest_api(
            restApiId=accepted, mode="overwrite", body=json.dumps(definition)
        )
    resources = client(aws, "apigateway").get_resources(restApiId=accepted)["items"]
    assert paths[0] in {resource["path"] for resource in resources}


def test_errors_have_the_headers_of_gateway_responses(aws: str) -> None:
    headers = {"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"}
    both = {key: {"responseParameters": headers} for key in ("DEFAULT_4XX", "DEFAULT_5XX")}
    extension = {"x-amazon-apigateway-gateway-responses": both}
    api = import_api(aws, {"/none": invoking("none")}, **extension)
    for path, status in ("/unknown", 403), ("/none", 500):
        response = send("GET", f"{aws}/_aws/execute-api/{api}/dev{path}")
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (status, "*")


def test_a_request_has_at_most_10_mb_and_an_event_6_mb(echo: str) -> None:
    text = {"Content-Type": "text/plain"}
    large = send("PUT", echo + "/event/a", text, b"x" * (10 * MB + 1))
    assert (large.status, json.loads(large.body)) == (
        413,
        {"message": "HTTP content length exceeded 10485760 bytes."},
    )
    assert send("PUT", echo + "/event/a", text, b"x" * (6 * MB)).status == 413
    assert send("PUT", echo + "/event/a", text, b"x" * (2 * MB)).status == 200


def test_a_response_has_at_most_6_mb(aws: str) -> None:
    url = deploy_echo(aws, f"def handler(*_): return {{'body': 'x' * {6 * MB + 100}}}").url
    assert send("GET", url + "/event/a").status == 502


def test_a_client_does_not_wait_longer_than_the_integration(aws: str) -> None:
    function = make_function(aws, "import time\ndef handler(*_): time.sleep(9)", Timeout=10)
    api = import_api(aws, {"/slow": invoking(function, timeoutInMillis=50)})
    response = send("GET", f"{aws}/_aws/execute-api/{api}/dev/slow")
    assert (response.status, json.loads(response.body)) == (
        504,
        {"message": "Endpoint request timed out"},
    )
