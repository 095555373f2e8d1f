"""The compiled part of AWS's runtime client, in Python: AWS has it for Linux only.

It has the functions of the module `runtime_client` that `awslambdaric.lambda_runtime_client` calls.
"""

import os
from http.client import HTTPConnection
from typing import Any

PATH = "/2018-06-01/runtime/invocation/"
Response = tuple[bytes, dict[str, str]]  # the body and the headers


def initialize_client(_: str) -> None:
    """Do nothing: each call opens a connection."""


def call(method: str, path: str, body: bytes | None = None, **headers: str) -> Response:
    """Send a request to the Runtime API; RuntimeError if its response is no success."""
    connection = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.request(method, PATH + path, body, headers)
    response = connection.getresponse()
    content = response.read()
    if response.status >= 300:
        raise RuntimeError(f"Failed to {method} {path}: {response.status}")
    return content, dict(response.headers)


def next() -> Response:  # noqa: A001 - AWS's name
    """Wait for an event; return it and the headers of its response."""
    return call("GET", "next")


def post_invocation_result(request_id: str, body: bytes, content_type: str, *_: Any) -> None:
    """Report the result of an invocation."""
    call("POST", f"{request_id}/response", body, **{"Content-Type": content_type})


def post_error(request_id: str, body: str, *_: Any) -> None:
    """Report that an invocation has failed."""
    call("POST", f"{request_id}/error", body.encode())
