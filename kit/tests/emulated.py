"""Clients of an emulated AWS, and a function with an API in it."""

import io
import json
import sys
import uuid
import zipfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

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
    name = f"echo-{uuid.uuid4().hex[:8]}"
    function = client(aws, "lambda").create_function(
        FunctionName=name,
        Runtime=PYTHON,
        Role="arn:aws:iam::000000000000:role/echo",
        Handler="function.handler",
        Code={"ZipFile": zipped(function=code)},
        **settings,
    )
    path = f"2015-03-31/functions/{function['FunctionArn']}/invocations"
    integration = {
        "type": "aws_proxy",
        "httpMethod": "POST",
        "uri": f"arn:aws:apigateway:us-east-1:lambda:path/{path}",
    }
    method = {"x-amazon-apigateway-integration": integration}
    definition = {
        "info": {"title": name},
        "paths": {"/answer": {"post": method}, "/event/{name}": {"get": method, "put": method}},
        "x-amazon-apigateway-binary-media-types": ["image/png"],
    }
    gateway = client(aws, "apigateway")
    api = gateway.import_rest_api(body=json.dumps(definition))["id"]
    gateway.create_deployment(restApiId=api, stageName="dev")
    return Api(name, api, f"{aws}/_aws/execute-api/{api}/dev")
