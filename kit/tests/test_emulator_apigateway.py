"""API Gateway in the emulated AWS: what a function gets, and what a client gets."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicekit.emulator.on_demand import client_environment
from chalicekit.runtime.events import proxy_event
from tests.emulated import client, deploy_echo, make_function
from tests.project import CHALICE, TestProject
from tests.replies import Reply, send

MB = 1024 * 1024


@pytest.fixture(scope="module")
def echo(aws: str) -> str:
    """The URL of an API whose function echoes."""
    return deploy_echo(aws).url


def sent_event(url: str, method: str = "GET", **request: Any) -> dict[str, Any]:
    """Return the event that a request makes."""
    reply = send(method, url, **request)
    event: dict[str, Any] = json.loads(reply.body)["event"]
    return event


def test_an_event_has_the_fields_that_aws_sends(echo: str) -> None:
    event, sample = sent_event(f"{echo}/event/one"), proxy_event("/event/{name}")
    assert event.keys() == sample.keys()
    context, sample_context = event["requestContext"], sample["requestContext"]
    assert context.keys() == sample_context.keys()
    assert context["identity"].keys() == sample_context["identity"].keys()
    own = [name for name, value in context.items() if value != sample_context[name]]
    assert {"apiId", "deploymentId", "domainName", "resourceId", "extendedRequestId"} <= set(own)
    added = {name.lower() for name in sample["headers"] if name.startswith(("X-Amzn", "X-Forw"))}
    assert added <= event["headers"].keys() == event["multiValueHeaders"].keys()


@pytest.mark.parametrize(
    ("path", "event_path", "name"),
    [
        ("/event/one", "/event/one", "one"),
        ("/event/one/", "/event/one/", "one"),
        ("//event/one", "/event/one", "one"),
        ("/event/a%2Fb", "/event/a%2Fb", "a%2Fb"),
        ("/event/J%C3%BCrgen", "/event/J%C3%BCrgen", "J%C3%BCrgen"),
        ("/event/a+b%20c", "/event/a+b%20c", "a+b%20c"),
    ],
)
def test_a_path_stays_encoded(echo: str, path: str, event_path: str, name: str) -> None:
    event = sent_event(echo + path)
    assert (event["resource"], event["path"]) == ("/event/{name}", event_path)
    assert event["pathParameters"] == {"name": name}
    assert event["requestContext"]["path"] == f"/dev{path}"


def test_the_last_value_of_a_repeated_parameter_wins(echo: str) -> None:
    event = sent_event(f"{echo}/event/one?a=1&a=2+3&b=")
    assert event["queryStringParameters"] == {"a": "2 3", "b": ""}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2 3"], "b": [""]}


def test_a_header_overrides_the_method(echo: str) -> None:
    event = sent_event(f"{echo}/event/one", headers={"X-HTTP-Method-Override": "PUT"})
    assert event["httpMethod"] == event["requestContext"]["httpMethod"] == "PUT"


@pytest.mark.parametrize(
    ("content_type", "body", "event_body", "is_base64"),
    [("image/png", b"\x89PNG", "iVBORw==", True), ("text/plain", "é".encode(), "é", False)],
)
def test_a_binary_body_arrives_in_base64(
    echo: str, content_type: str, body: bytes, event_body: str, is_base64: bool
) -> None:
    headers = {"Content-Type": content_type}
    event = sent_event(f"{echo}/event/one", "PUT", headers=headers, body=body)
    assert (event["body"], event["isBase64Encoded"]) == (event_body, is_base64)
    assert "content-length" not in event["headers"]


def test_a_client_chooses_the_request_id_and_not_the_extended_one(echo: str) -> None:
    chosen = "01234567-89ab-cdef-0123-456789abcdef"
    reply = send("GET", f"{echo}/event/one", {"x-amzn-RequestId": chosen})
    context = json.loads(reply.body)["event"]["requestContext"]
    assert context["requestId"] == reply.headers["x-amzn-RequestId"] == chosen
    assert context["extendedRequestId"] == reply.headers["x-amz-apigw-id"]
    forged = sent_event(f"{echo}/event/one", headers={"x-amzn-RequestId": "no UUID"})
    assert forged["requestContext"]["requestId"] != "no UUID"


def test_an_update_can_remove_the_minimum_compression_size(aws: str, echo: str) -> None:
    api = echo.split("/")[-2]
    for value in ("1024", ""):
        operation = {"op": "replace", "path": "/minimumCompressionSize", "value": value}
        updated = client(aws, "apigateway").update_rest_api(
            restApiId=api, patchOperations=[operation]
        )
    assert updated.get("minimumCompressionSize") is None


def response_to(echo: str, result: Any, **headers: str) -> Reply:
    """Return what a client gets when the function returns `result`."""
    return send("POST", f"{echo}/result", headers, json.dumps(result))


@pytest.mark.parametrize(
    ("result", "status", "body"),
    [
        ({}, 200, b""),
        ({"headers": {"X-Test": "value"}}, 200, b""),
        ({"headers": None, "multiValueHeaders": None, "body": None}, 200, b""),
        ({"statusCode": "201", "body": "text"}, 201, b"text"),
        ({"statusCode": 304}, 304, b""),
    ],
)
def test_a_response_gets_a_content_type(echo: str, result: Any, status: int, body: bytes) -> None:
    reply = response_to(echo, result)
    assert (reply.status, reply.body) == (status, body)
    assert reply.headers.get_all("Content-Type") == ["application/json"]


@pytest.mark.parametrize(
    "result",
    [
        None,
        "text",
        [],
        {"statusCode": 200, "unknown": "field"},
        {"statusCode": "no number"},
        {"headers": {"X-Count": 1}},
        {"headers": ["X-Test"]},
        {"multiValueHeaders": {"X-Test": "no list"}},
        {"body": {"no": "text"}},
        {"body": 1},
        {"errorMessage": "'NoneType'", "errorType": "TypeError"},
    ],
    ids=json.dumps,
)
def test_a_malformed_response_is_refused(echo: str, result: Any) -> None:
    reply = response_to(echo, result)
    assert (reply.status, json.loads(reply.body)) == (502, {"message": "Internal server error"})


def test_headers_of_the_connection_are_renamed(echo: str) -> None:
    sent = {"Connection": "close", "Content-Length": "9", "Date": "today", "server": "ours"}
    reply = response_to(echo, {"headers": sent, "body": "text"})
    for name, value in sent.items():
        assert reply.headers[f"x-amzn-Remapped-{name}"] == value
    assert (reply.headers["Connection"], reply.headers["Content-Length"]) == (None, "4")


def test_single_and_repeated_headers_are_merged(echo: str) -> None:
    reply = response_to(
        echo,
        {
            "headers": {"set-cookie": "c", "X-Flag": True},
            "multiValueHeaders": {"Set-Cookie": ["a", "b"], "content-type": ["text/html"]},
        },
    )
    assert reply.headers.get_all("Set-Cookie") == ["a", "b", "c"]
    assert reply.headers.get_all("Content-Type") == ["text/html"]
    assert reply.headers["X-Flag"] == "true"


@pytest.mark.parametrize(
    ("accept", "is_base64", "body"),
    [
        ("image/png", True, b"\x89PNG"),
        ("image/png;q=0.9", True, b"\x89PNG"),
        ("image/png,*/*", True, b"\x89PNG"),
        ("image/webp,image/png", True, b"iVBORw=="),  # only the first type counts
        ("*/*", True, b"iVBORw=="),
        ("", True, b"iVBORw=="),
        ("image/png", False, b"iVBORw=="),
    ],
)
def test_base64_is_decoded_for_a_client_that_accepts_the_type(
    echo: str, accept: str, is_base64: bool, body: bytes
) -> None:
    result = {"body": "iVBORw==", "isBase64Encoded": is_base64}
    assert response_to(echo, result, Accept=accept).body == body


@pytest.mark.parametrize(
    ("method", "path", "authorization", "error"),
    [
        ("GET", "/nothing", None, "MissingAuthenticationTokenException"),
        ("GET", "/RESULT", None, "MissingAuthenticationTokenException"),
        ("DELETE", "/result", None, "MissingAuthenticationTokenException"),
        ("GET", "/nothing", "Bearer x", "IncompleteSignatureException"),
        ("DELETE", "/result", "Basic eDp5", "IncompleteSignatureException"),
    ],
)
def test_an_unknown_path_or_method_is_forbidden(
    echo: str, method: str, path: str, authorization: str | None, error: str
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    reply = send(method, echo + path, headers)
    assert (reply.status, reply.headers["x-amzn-ErrorType"]) == (403, error)
    message = json.loads(reply.body)["message"]
    assert (authorization or "Missing Authentication Token") in message


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


def test_variables_with_one_name_or_in_different_places_are_accepted(aws: str) -> None:
    paths = ["/a/{id}", "/a/{id}/b", "/c/{other}", "/a/{id}/{part}"]
    assert import_api(aws, {path: {} for path in paths})


def test_a_second_variable_is_refused_by_itself(aws: str) -> None:
    gateway, api = client(aws, "apigateway"), import_api(aws, {"/{id}": {}})
    resources = gateway.get_resources(restApiId=api)["items"]
    root = next(resource["id"] for resource in resources if resource["path"] == "/")
    with pytest.raises(ClientError, match="sibling"):
        gateway.create_resource(restApiId=api, parentId=root, pathPart="{user}")
    gateway.create_resource(restApiId=api, parentId=root, pathPart="users")


def test_errors_have_the_headers_of_gateway_responses(aws: str) -> None:
    headers = {"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"}
    response = {"responseParameters": headers}
    responses = {"DEFAULT_4XX": response, "DEFAULT_5XX": response}
    extension = {"x-amazon-apigateway-gateway-responses": responses}
    api = import_api(aws, {"/none": invoking("none")}, **extension)
    for path, status in ("/unknown", 403), ("/none", 500):
        reply = send("GET", f"{aws}/_aws/execute-api/{api}/dev{path}")
        assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (status, "*")


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
    reply = send("GET", f"{aws}/_aws/execute-api/{api}/dev/slow")
    assert (reply.status, json.loads(reply.body)) == (
        504,
        {"message": "Endpoint request timed out"},
    )


APP = """
from chalice import AuthResponse, Chalice, Response

app = Chalice(app_name="NAME")
app.api.binary_types.append("image/png")

@app.authorizer()
def token(request):
    if request.token == "unauthorized":
        raise Exception("Unauthorized")
    if request.token == "fails":
        raise ValueError("fails")
    if request.token == "nonsense":
        return {"no": "policy"}
    return AuthResponse(["/secret"] if request.token == "good" else [], "me", {"key": "value"})

@app.authorizer(header="X-Token")
def header(request):
    return AuthResponse(["/other"] if request.token == "good" else [], "me")

@app.route("/secret", authorizer=token, cors=True)
def secret():
    return app.current_request.context["authorizer"]

@app.route("/other", authorizer=header)
def other():
    return app.current_request.context["authorizer"]["principalId"]

@app.route("/files/{proxy+}")
def files():
    return app.current_request.uri_params

@app.route("/bytes", methods=["POST"], content_types=["image/png"])
def bytes_():
    return Response(app.current_request.raw_body, headers={"Content-Type": "image/png"})
"""


def chalice_deploy(project: TestProject) -> str:
    """Deploy with Chalice itself; return the URL without a slash at its end."""
    done = project.start(CHALICE, "--project-dir", str(project.folder), "deploy")
    assert done.returncode == 0, done.stderr
    apis = client(project.aws, "apigateway").get_rest_apis(limit=500)["items"]
    api = next(api["id"] for api in apis if api["name"] == project.name)
    return f"{project.aws}/_aws/execute-api/{api}/dev"


@pytest.fixture(scope="module")
def app(aws: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of an app that was deployed twice: what was there must remain."""
    project = TestProject(tmp_path_factory.mktemp("app") / "project", aws, APP)
    project.environment |= client_environment(aws)
    chalice_deploy(project)
    url = chalice_deploy(project)
    api = url.split("/")[-2]
    assert len(client(aws, "apigateway").get_authorizers(restApiId=api)["items"]) == 2
    return url


UNAUTHORIZED = {"message": "Unauthorized"}
DENIED = {"Message": "User is not authorized to access this resource"}


@pytest.mark.parametrize(
    ("path", "headers", "status", "body"),
    [
        ("/secret", {}, 401, UNAUTHORIZED),
        ("/secret", {"Authorization": "good"}, 200, {"principalId": "me", "key": "value"}),
        ("/secret", {"Authorization": "bad"}, 403, DENIED),
        ("/secret", {"Authorization": "unauthorized"}, 401, UNAUTHORIZED),
        ("/secret", {"Authorization": "fails"}, 500, {"message": None}),
        ("/secret", {"Authorization": "nonsense"}, 500, {"message": "Internal server error"}),
        ("/other", {}, 401, UNAUTHORIZED),
        ("/other", {"X-Token": "good"}, 200, b"me"),
        ("/other", {"X-Token": "bad"}, 403, DENIED),
        ("/other", {"Authorization": "good"}, 401, UNAUTHORIZED),
        ("/files/a/b%20c", {}, 200, {"proxy": "a/b%20c"}),
        ("/files", {}, 403, {"message": "Missing Authentication Token"}),
    ],
)
def test_a_deployed_app_responds(
    app: str, path: str, headers: dict[str, str], status: int, body: Any
) -> None:
    reply = send("GET", app + path, headers)
    found = reply.body if isinstance(body, bytes) else json.loads(reply.body)
    assert (reply.status, found) == (status, body)


def test_bytes_pass_unchanged(app: str) -> None:
    content, headers = bytes(range(256)), {"Content-Type": "image/png", "Accept": "image/png"}
    assert send("POST", app + "/bytes", headers, content).body == content


def test_a_preflight_is_answered_without_the_function(app: str) -> None:
    reply = send("OPTIONS", app + "/secret", {"Origin": "https://page.example"})
    assert reply.status == 200
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert reply.headers["Access-Control-Allow-Methods"] == "GET,OPTIONS"
