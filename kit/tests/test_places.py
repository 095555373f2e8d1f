"""One app in process, under `chalicekit local` and in the emulated AWS: the same responses."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from chalice.test import Client

from chalicekit.gateway import use_gateway
from chalicekit.load import load_app
from tests.sample import Sample

pytestmark = pytest.mark.xdist_group("places")  # one server for all

APP = """
import json

from chalice import AuthResponse, Chalice, CORSConfig, Response

app = Chalice(app_name="NAME")
ALLOWED = {
    "principalId": "me",
    "policyDocument": {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]},
}


@app.authorizer(header="X-Token", ttl_seconds=0)
def check(request):
    if request.token == "unauthorized":
        raise Exception("Unauthorized")
    return {
        "allow": AuthResponse(["*"], "me", {"n": 1}),
        "other": AuthResponse(["/other"], "me"),
        "none": None,
        "text": "text",
        "no statement": {"policyDocument": {}},
        "null": {**ALLOWED, "context": {"n": 1, "x": None}},
        "nested": {**ALLOWED, "context": {"n": {"a": 1}}},
    }[request.token]


@app.route("/", methods=["GET", "POST", "HEAD"], cors=True, content_types=["text/plain"])
def index():
    return "hello"


@app.route("/guarded", authorizer=check)
def guarded():
    return {key: app.current_request.context["authorizer"][key] for key in ("principalId", "n")}


@app.route("/files/{path+}")
def files():
    return app.current_request.to_original_event()["pathParameters"]


@app.route("/items/{name}")
def item(name):
    return name


@app.route("/event", methods=["GET", "PUT"], content_types=[])
def event():
    event = app.current_request.to_original_event()
    context = event["requestContext"]
    keys = sorted(event) + sorted(context) + sorted(context["identity"])
    same = ("resource", "path", "httpMethod", "body", "isBase64Encoded", "pathParameters")
    same += ("queryStringParameters", "multiValueQueryStringParameters", "stageVariables")
    names = ("resourcePath", "httpMethod", "stage", "protocol")
    values = [event[key] for key in same] + [context[key] for key in names]
    return Response(json.dumps([keys, values]), {"Content-Type": "text/plain"})


@app.route("/headers")
def headers():
    return Response("x", {"X-Two": ["1", "2"], "content-type": "text/plain", "Date": "never"}, 201)


@app.route("/bytes")
def raw():
    return Response(b"\\x89PNG", {"Content-Type": "image/png"})


@app.route("/broken")
def broken():
    return Response(b"\\xff", {"Content-Type": "text/plain"})


@app.middleware("http")
def number(request, respond):
    response = respond(request)
    if request.path == "/number":
        response.headers["X-Number"] = 1
    return response


@app.route("/number")
def view():
    return "x"


@app.route("/status/{code}")
def status(code):
    return Response("", status_code=int(code))


@app.route("/error")
def error():
    raise ValueError("no")
"""

TOKENS = ["allow", "other", "none", "text", "unauthorized", "raise"]
TOKENS += ["no statement", "null", "nested"]
REQUESTS: list[tuple[str, dict[str, str]]] = [
    ("GET /", {}),
    ("GET //", {}),
    ("HEAD /", {}),
    ("POST /", {"Content-Type": "text/plain"}),
    ("POST /", {"Content-Type": "image/gif"}),
    ("PUT /", {}),
    ("OPTIONS /", {"Origin": "https://a.test"}),
    ("OPTIONS /event", {}),
    ("HEAD /event", {}),
    ("GET /none", {}),
    ("GET /guarded", {}),
    ("GET /guarded", {"Authorization": "allow"}),
    *[("GET /guarded", {"X-Token": token}) for token in TOKENS],
    ("GET /files/a/b%20c", {}),
    ("GET /files", {}),
    ("GET /items/a%2Fb", {}),
    ("GET /items/a/", {}),
    ("GET /event?a=1&a=2+3&b=", {}),
    ("GET /event/", {}),
    ("GET //event", {}),
    ("PUT /event", {"Content-Type": "text/plain"}),
    ("PUT /event", {"Content-Type": "image/png"}),
    ("POST /event", {"X-HTTP-Method-Override": "PUT", "Content-Type": "text/plain"}),
    ("GET /headers", {}),
    ("GET /bytes", {"Accept": "image/png"}),
    ("GET /bytes", {"Accept": "text/html, image/png"}),
    ("GET /bytes", {}),
    ("GET /broken", {}),
    ("GET /number", {}),
    ("GET /status/204", {}),
    ("GET /status/304", {}),
    ("GET /status/205", {}),
    ("GET /error", {}),
]

# What differs each time, and the headers of Chalice's server, of MiniStack and of a connection
OWN = {"date", "server", "content-length", "connection", "x-amzn-requestid", "x-amz-apigw-id"}
OWN |= {"x-amz-id-2", "x-amz-request-id", "x-amzn-trace-id", "apigw-requestid"}
Seen = tuple[int, dict[str, str], Any]
Send = Callable[[str, str, dict[str, str], bytes], Seen]


def seen(status: int, headers: Any, body: bytes) -> Seen:
    """Return what can be compared of a response."""
    try:
        content: Any = json.loads(body or b"{}")  # MiniStack's body of a preflight
    except ValueError:
        content = body
    texts = {
        name.lower(): ", ".join(value) if isinstance(value, list) else value
        for name, value in headers.items()
        if name.lower() not in OWN
    }
    return status, texts, content


def over_http(url: str) -> Send:
    """Return what sends requests to a URL."""

    def send(method: str, path: str, headers: dict[str, str], body: bytes) -> Seen:
        response = requests.request(method, url + path, headers=headers, data=body, timeout=60)
        return seen(response.status_code, response.headers, response.content)

    return send


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, aws: str) -> Sample:
    """The app's project."""
    return Sample(tmp_path_factory.mktemp("places") / "project", aws, APP)


@pytest.fixture(scope="module")
def in_process(sample: Sample) -> Iterator[Send]:
    """Sends requests to the app in process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        patch.setenv("AWS_CHALICE_CLI_MODE", "true")  # the import sets it, too
        app = load_app(sample.folder, sample.folder)
        del sys.modules["app"]
        use_gateway(patch)
        with Client(app, "dev", str(sample.folder)) as client:

            def send(method: str, path: str, headers: dict[str, str], body: bytes) -> Seen:
                response = client.http.request(method, path, headers=headers, body=body)
                return seen(response.status_code, response.headers, response.body)

            yield send


@pytest.fixture(scope="module")
def served(sample: Sample) -> Iterator[Send]:
    """Sends requests to the app under `chalicekit local`."""
    with sample.serve("--no-autoreload") as running:
        yield over_http(running.url)


@pytest.fixture(scope="module")
def deployed(sample: Sample) -> Send:
    """Sends requests to the app in the emulated AWS."""
    sample.deploy()
    return over_http(sample.deploy())  # what was there must remain


@pytest.mark.parametrize(("line", "headers"), REQUESTS)
def test_a_response_is_the_same_everywhere(
    in_process: Send, served: Send, deployed: Send, line: str, headers: dict[str, str]
) -> None:
    method, path = line.split()
    body = b"\x89" if method in ("PUT", "POST") else b""
    request = (method, path, {"Accept": "*/*", **headers}, body)
    assert in_process(*request) == served(*request) == deployed(*request)
