"""Clients of an emulated AWS, and a function with an API in it."""

import http.client
import io
import json
import sys
import uuid
import zipfile
from email.message import Message
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.session import Session

ECHO = Path(__file__).parent / "echo"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
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
        "Runtime": PYTHON,
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
    """A function and an API in front of it."""

    function: str
    id: str
    url: str


def deploy_echo(
    aws: str, code: str = (ECHO / "function.py").read_text(encoding="utf-8"), **settings: Any
) -> Api:
    """Deploy the function in echo/function.py, or another one, with an API and without Chalice.

    `settings` are those of CreateFunction.
    """
    name = make_function(aws, code, **settings)
    function = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    integration = {
        "type": "aws_proxy",
        "httpMethod": "POST",
        "uri": "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
        f"{function}/invocations",
    }
    method = {"x-amazon-apigateway-integration": integration}
    definition = {
        "info": {"title": name},
        "paths": {"/result": {"post": method}, "/event/{name}": {"get": method, "put": method}},
        "x-amazon-apigateway-binary-media-types": ["image/png"],
    }
    gateway = client(aws, "apigateway")
    api = gateway.import_rest_api(body=json.dumps(definition))["id"]
    gateway.create_deployment(restApiId=api, stageName="dev")
    return Api(name, api, f"{aws}/_aws/execute-api/{api}/dev")
