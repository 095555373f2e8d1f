"""AWS's errors in one line, and the URL of the emulated AWS."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    InvalidConfigError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProxyConnectionError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.parsers import ResponseParserError
from botocore.session import Session
from chalice.awsclient import AWSClientError

# The line for an error: the first row that fits.
EXPLANATIONS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((NoRegionError,), "No region is set: choose one, for example AWS_DEFAULT_REGION=us-east-1."),
    (
        (NoCredentialsError, PartialCredentialsError),
        "No AWS credentials are set: run `aws configure`, or try `make deploy AWS=emulated`.",
    ),
    ((SSOError, TokenRetrievalError), "The AWS login is not valid: run `aws sso login`. {error}"),
    ((SSLError, ProxyConnectionError), "AWS cannot be reached: {error}"),
    ((HTTPClientError, NoConnectionError), "{place} does not respond: {hint}"),
    ((ResponseParserError,), "{place} does not respond like AWS: is it another server?"),
    ((ClientError,), "AWS refused: {error}"),
    ((AWSClientError,), "The deployment failed: {error}"),
    ((BotoCoreError,), "The AWS settings cannot be used: {error}"),
)
# File errors that the machine causes, not the app
MACHINE_ERRNOS = {errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS}


def explain(error: Exception) -> str | None:
    """Return one line that says what is wrong and what to do, or None for an unknown error."""
    while hasattr(error, "original_error"):  # Chalice wraps AWS's error
        error = error.original_error
    emulator = os.environ.get("AWS_ENDPOINT_URL")
    hint = "is `make emulator` running?" if emulator else "are you online?"
    for kinds, line in EXPLANATIONS:
        if isinstance(error, kinds):
            line = line.format(error=error, place=emulator or "AWS", hint=hint)
            return " ".join(line.split())
    return str(error) if isinstance(error, OSError) and error.errno in MACHINE_ERRNOS else None


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Exit with one line if the block raises an error that `explain` knows."""
    try:
        yield
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        sys.exit(line)


def emulator_of(session: Session) -> str:
    """Return the URL of the emulated AWS that a session uses, or "" for an AWS account.

    botocore reads it from AWS_ENDPOINT_URL, a service's own variable or `~/.aws/config`.
    """
    ignored = Config(ignore_configured_endpoint_urls=True)
    default = session.create_client("apigateway", config=ignored).meta.endpoint_url
    try:
        endpoint: str = session.create_client("apigateway").meta.endpoint_url
    except ValueError as error:  # for example "Invalid endpoint: 127.0.0.1:4566"
        raise InvalidConfigError(error_msg=error) from error
    domain = default.split(".", 2)[2]  # for example amazonaws.com
    return "" if str(urlsplit(endpoint).hostname).endswith(domain) else endpoint.rstrip("/")
