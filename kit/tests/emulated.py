"""Clients of an emulated AWS, and a function with an API in it."""

import http.client
import io
import json
import uuid
import zipfile
from email.message import Message
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.session import Session

from chalicekit.runtime.environment import VERSION

ECHO = Path(__file__).parent / "echo"
# On a busy machine, a client that does not wait would send a call again that makes something.
PATIENT = Config(read_timeout=120, connect_timeout=120, retries={"total_max_attempts": 1})
SESSION = Session()  # it reads each service's model only once


@cache
def client(url: str, service: str) -> Any:
    """Return a client of the emulated AWS at `url`."""
    return SESSION.create_client(
        service,
        "us-east-1",
        endpoint_url=url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=PATIENT,
    )


def zipped(**files: str) -> bytes:
    """Return a zip of Python modules: their names and their code."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, code in files.items():
            archive.writestr(f"{name}.py", code)
    return content.getvalue()


def make_role(aws: str, *statements: dict[str, Any], name: str = "") -> str:
    """Make a role for functions with a policy of these statements; return its name."""
    name, iam = name or f"role-{uuid.uuid4().hex[:8]}", client(aws, "iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}
    trusted = {"Version": "2012-10-17", "Statement": [trust | {"Action": "sts:AssumeRole"}]}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trusted))
    set_policy(aws, name, *statements)
    return name


def set_policy(aws: str, role: str, *statements: dict[str, Any]) -> None:
    """Replace the policy of a role by these statements; those without an effect allow."""
    nothing = {"Action": "none:*", "Resource": "*"}
    allowed = [{"Effect": "Allow", **statement} for statement in statements or [nothing]]
    policy = {"Version": "2012-10-17", "Statement": allowed}
    client(aws, "iam").put_role_policy(
        RoleName=role, PolicyName="policy", PolicyDocument=json.dumps(policy)
    )


def make_function(aws: str, code: str, role: str = "", **settings: Any) -> str:
    """Make a function of `handler` in this code; return its name.

    Without a `role`, it gets one without permissions. `settings` are those of CreateFunction.
    """
    name = f"function-{uuid.uuid4().hex[:8]}"
    defaults = {
        "FunctionName": name,
        "Runtime": VERSION,
        "Role": f"arn:aws:iam::000000000000:role/{role or make_role(aws)}",
        "Handler": "function.handler",
        "Code": {"ZipFile": zipped(function=code)},
        "Timeout": 60,  # the machine may be busy
    }
    client(aws, "lambda").create_function(**defaults | settings)
    return name


def invoke(aws: str, function: str, event: Any) -> Any:
    """Return the result of a function, or its error."""
    response = client(aws, "lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    return json.loads(response["Payload"].read())


def log_of(aws: str, function: str) -> str:
    """Return the whole log of a function."""
    group = f"/aws/lambda/{function}"
    events = client(aws, "logs").filter_log_events(logGroupName=group)["events"]
    return "\n".join(event["message"] for event in events)


class Response(NamedTuple):
    """What a client gets."""

    status: int
    headers: Message
    body: bytes


def send(
    method: str, url: str, headers: dict[str, str] | None = None, body: str | bytes | None = None
) -> Response:
    """Send a request as it is, and return the response; other clients normalize the path."""
    host = urlsplit(url).netloc
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request(method, url.removeprefix(f"http://{host}"), body, headers or {})
    found = connection.getresponse()
    response = Response(found.status, found.headers, found.read())
    connection.close()
    return response


class Api(NamedTuple):
    """An API in the emulated AWS, and the URL of its one path."""

    id: str
    url: str


def deploy_echo(aws: str) -> Api:
    """Make the function in echo/function.py, with an API."""
    return make_api(aws, make_function(aws, (ECHO / "function.py").read_text(encoding="utf-8")))


def make_api(aws: str, function: str, integration: Any = None, definition: Any = None) -> Api:
    """Make an API whose `/` invokes a function for GET and PUT, without Chalice.

    `integration` and `definition` add to its integration and to its definition in Swagger.
    """
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function}"
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
    invocation = {"type": "aws_proxy", "httpMethod": "POST", "uri": uri} | (integration or {})
    method = {"x-amazon-apigateway-integration": invocation}
    paths = {"/": {"get": method, "put": method}}
    body = {"info": {"title": function}, "paths": paths} | (definition or {})
    gateway = client(aws, "apigateway")
    api = gateway.import_rest_api(body=json.dumps(body))["id"]
    gateway.create_deployment(restApiId=api, stageName="dev")
    return Api(api, f"{aws}/_aws/execute-api/{api}/dev")
