"""Sessions with AWS or with an emulated AWS, and AWS's errors in one line."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
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

from chalicekit.errors import Refusal

if TYPE_CHECKING:
    from chalicekit.project import Project


class EmulatedSession(Session):  # type: ignore[misc] # botocore has no types
    """A session with an emulated AWS.

    It has made-up credentials and reads nothing of this machine's AWS configuration and proxies,
    so it cannot reach an AWS account.
    """

    def __init__(self, url: str) -> None:
        """Create a session for the emulated AWS at `url`."""
        # botocore reads each of these from a key of its configuration, from a variable, or takes
        # the default, and converts it: four values, of which only the default is set here.
        no_file = (None, None, os.devnull, None)
        no_profile = (None, None, None, None)
        super().__init__(
            session_vars={
                "profile": no_profile,
                "config_file": no_file,
                "credentials_file": no_file,
            }
        )
        self.url = url
        self.set_credentials("test", "test")
        self.set_config_variable("region", "us-east-1")

    def create_client(self, *arguments: Any, **options: Any) -> Any:
        """Return a client of the emulated AWS; the parameters are botocore's."""
        own = Config(proxies={})
        given = options.get("config")
        options["config"] = own.merge(given) if given else own
        options["endpoint_url"] = options.get("endpoint_url") or self.url
        return super().create_client(*arguments, **options)


@contextmanager
def connection(project: "Project") -> Iterator["Project"]:
    """Yield the project with the emulated AWS that the configuration may name.

    In the block, AWS's errors are Refusals. Raises Refusal if AWS does not respond: with its own
    settings, botocore would try for a minute.
    """
    _ = project.config  # refuses an unknown stage before it asks AWS
    connected = as_configured(project)
    with errors_in_one_line(connected):
        # An emulated AWS may still be starting: it accepts a connection, and responds later.
        seconds, once = 60 if connected.emulator else 10, {"total_max_attempts": 1}
        quick = Config(connect_timeout=5, read_timeout=seconds, retries=once)
        connected.session.create_client("sts", config=quick).get_caller_identity()
        yield connected


def as_configured(project: "Project") -> "Project":
    """Return the project with the emulated AWS that the AWS configuration may name."""
    if project.emulator:
        return project
    with errors_in_one_line(project):
        endpoint = emulator_of(project.session)
    if not endpoint:
        return project
    # The endpoint's own credentials and region may be configured with it, so keep the session.
    return replace(project, emulator=endpoint, configured=project.session)


def emulator_of(session: Session) -> str:
    """Return the URL of the emulated AWS that a session uses, or "" for an AWS account.

    botocore reads it from AWS_ENDPOINT_URL, a service's own variable or `~/.aws/config`.
    """
    ignored = Config(ignore_configured_endpoint_urls=True)
    # for example https://apigateway.us-east-1.amazonaws.com
    of_aws = session.create_client("apigateway", config=ignored).meta.endpoint_url
    try:
        endpoint: str = session.create_client("apigateway").meta.endpoint_url
    except ValueError as error:  # for example "Invalid endpoint: 127.0.0.1:4566"
        raise InvalidConfigError(error_msg=error) from error
    domain = of_aws.split(".", 2)[2]
    return "" if str(urlsplit(endpoint).hostname).endswith(domain) else endpoint.rstrip("/")


# The line for an error: the first row that fits.
EXPLANATIONS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((NoRegionError,), "No region is set: choose one, for example AWS_DEFAULT_REGION=us-east-1."),
    (
        (NoCredentialsError, PartialCredentialsError),
        "No AWS credentials are set: run `aws configure`, or try the emulated AWS: `{emulated}`.",
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


def explain(error: Exception, project: "Project") -> str | None:
    """Return one line that says what is wrong and what to do, or None for an unknown error."""
    while hasattr(error, "original_error"):  # Chalice wraps AWS's error
        error = error.original_error
    if project.configured:
        hint = "is it running?"
    elif project.emulator:
        hint = f"is `{project.command('emulator')}` running?"
    else:
        hint = "are you online?"
    emulated = project.emulated().command("deploy")
    for kinds, line in EXPLANATIONS:
        if isinstance(error, kinds):
            place = project.emulator or "AWS"
            line = line.format(error=error, place=place, hint=hint, emulated=emulated)
            return " ".join(line.split())
    return str(error) if isinstance(error, OSError) and error.errno in MACHINE_ERRNOS else None


@contextmanager
def errors_in_one_line(project: "Project") -> Iterator[None]:
    """Turn an error that `explain` knows into a Refusal."""
    try:
        yield
    except Refusal:
        raise
    except Exception as error:
        line = explain(error, project)
        if line is None:
            raise
        raise Refusal(line) from error
