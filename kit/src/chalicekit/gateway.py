"""Chalice's local API Gateway, made to send and answer what AWS's does.

An app gets the event that API Gateway would send, and a client gets API Gateway's response: in
tests (`use_gateway`) and from the local server (`create_server`). This follows AWS's documentation
and what others have recorded on AWS; it was not compared with AWS itself.

What remains different is in the kit's README, "What runs on this machine".
"""

import json
import re
import sys
import time
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from awslambdaric.lambda_runtime_marshaller import to_json
from chalice import Chalice
from chalice.app import ChaliceAuthorizer, CognitoUserPoolAuthorizer
from chalice.config import Config
from chalice.constants import DEFAULT_APIGATEWAY_STAGE_NAME
from chalice.local import LocalChalice, LocalGateway

from chalicekit.iam import allows, applies, as_list
from chalicekit.proxy import (
    NOT_FORWARDED,
    Response,
    added_headers,
    error_response,
    event_body,
    request_context,
    response_to,
)
from chalicekit.runtime.events import proxy_event

if TYPE_CHECKING:
    import pytest

Event = dict[str, Any]


def use_gateway(monkeypatch: "pytest.MonkeyPatch") -> None:
    """Let `chalice.test.Client` use this gateway until a test ends."""
    monkeypatch.setattr("chalice.test.LocalGateway", Gateway)


class Refused(Exception):  # noqa: N818 - it is a response
    """API Gateway responds itself."""

    def __init__(self, status: int, kind: str, message: str | None, key: str = "message") -> None:
        """Create the response; the parameters are those of `error_response`."""
        self.response = error_response(status, kind, message, key)


class Request:
    """A client's request."""

    def __init__(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str | list[str]],
        body: bytes | str | None,
        client: str,
    ) -> None:
        """Create a request; `target` is the path with the query, `client` the client's address."""
        self.headers = {name: as_list(value) for name, value in headers.items()}
        self.header = {name.lower(): values[-1] for name, values in self.headers.items()}
        self.method = self.header.get("x-http-method-override", method)
        self.full_path, _, self.query = target.partition("?")
        self.path = re.sub("^/+", "/", self.full_path)
        self.body = body.encode() if isinstance(body, str) else body or b""
        self.client = client
        self.host = self.header.get("host", "localhost")
        self.context = request_context(self.host, self.header.get("x-amzn-requestid", ""))

    def event(self, route: str, stage: str) -> Event:
        """Return the event without its body and its path parameters.

        docs.aws.amazon.com, "Input format of a Lambda function for proxy integration".
        """
        clients = [self.header.get("x-forwarded-for"), self.client]
        added = added_headers(self.host, ", ".join(filter(None, clients)))
        left_out = NOT_FORWARDED | {name.lower() for name in added}
        kept = {
            name: values for name, values in self.headers.items() if name.lower() not in left_out
        }
        headers = kept | {name: [value] for name, value in added.items()}
        query = parse_qs(self.query, keep_blank_values=True)
        event = proxy_event(
            route,
            self.method,
            path=self.path,
            headers={name: values[-1] for name, values in headers.items()},
            multiValueHeaders=headers,
            queryStringParameters={name: values[-1] for name, values in query.items()} or None,
            multiValueQueryStringParameters=query or None,
        )
        now = time.time()
        event["requestContext"] |= {
            **self.context,
            "identity": event["requestContext"]["identity"]
            | {"sourceIp": self.client, "userAgent": self.header.get("user-agent")},
            "path": self.full_path,
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "requestTimeEpoch": int(now * 1000),
            "stage": stage,
        }
        return event


class Route:
    """A path of the app, whose variables match as in API Gateway."""

    def __init__(self, path: str) -> None:
        """Create a route for a path such as `/files/{folder}/{name+}`."""
        self.path = path
        texts_and_variables = re.split(r"(\{[^/]*\})", path)
        variables = texts_and_variables[1::2]
        self.names = [variable[1:-1].removesuffix("+") for variable in variables]
        texts_and_variables[::2] = map(re.escape, texts_and_variables[::2])
        texts_and_variables[1::2] = [
            "(.+)" if variable.endswith("+}") else "([^/]+)" for variable in variables
        ]
        self.pattern = re.compile("".join(texts_and_variables))
        # A text comes before a variable, and a variable before one for the rest of the path.
        self.rank = [part.startswith("{") + part.endswith("+}") for part in path.split("/")]

    def parameters(self, path: str) -> dict[str, str] | None:
        """Return the variables of a path, percent-encoded as in it; None if it does not match."""
        found = self.pattern.fullmatch(path)
        return dict(zip(self.names, found.groups(), strict=True)) if found else None


class Gateway(LocalGateway):
    """An app's API. It takes Chalice's local gateway's place in Chalice's test client."""

    def __init__(self, app_object: Chalice, config: Config) -> None:
        """Create the API of an app; `config` has the settings of its stage."""
        super().__init__(app_object, config)
        self.binary_types = app_object.api.binary_types
        self.routes = sorted(map(Route, app_object.routes), key=lambda route: route.rank)
        self.stage = config.api_gateway_stage or DEFAULT_APIGATEWAY_STAGE_NAME

    def handle_request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str | list[str]],
        body: bytes | str | None,
        client: str = "127.0.0.1",
    ) -> dict[str, Any]:
        """Return API Gateway's response to a request, in the form of a function's result.

        A header of `headers` that is sent twice has a list of values. `client` is the client's
        address.
        """
        request = Request(method, path, headers, body, client)
        try:
            response = self.respond(request)
        except Refused as refused:
            response = refused.response
        headers_sent = response.headers | {
            "x-amzn-RequestId": [request.context["requestId"]],
            "x-amz-apigw-id": [request.context["extendedRequestId"]],
        }
        content = response.body
        if response.status in (204, 304):
            content = b""  # there is none (RFC 9110, 6.4.1)
        elif request.method == "HEAD":
            headers_sent["Content-Length"] = [str(len(content))]
            content = b""
        return {
            "statusCode": response.status,
            "headers": {n: values[0] for n, values in headers_sent.items() if len(values) == 1},
            "multiValueHeaders": {n: values for n, values in headers_sent.items() if values[1:]},
            "body": b64encode(content).decode(),
            "isBase64Encoded": True,
        }

    def respond(self, request: Request) -> Response:
        """Return the response to a request; raises Refused for one that the app does not get."""
        route, parameters = self.find(request)
        event = request.event(route, self.stage)
        if request.method not in self._app_object.routes[route]:  # an OPTIONS
            return response_to({"headers": self._autogen_options_headers(event)}, "", [])
        event["pathParameters"] = parameters or None
        content_type = request.header.get("content-type", "application/json")
        event |= event_body(request.body, content_type, self.binary_types)
        self.authorize(request, event)
        try:
            # On Lambda the result becomes JSON.
            result = json.loads(to_json(self._app_object(event, self._generate_lambda_context())))
        except (Exception, SystemExit):
            self._app_object.log.exception("The function failed")
            result = None  # no response: a 502
        return response_to(
            result, request.header.get("accept", "application/json"), self.binary_types
        )

    def find(self, request: Request) -> tuple[str, dict[str, str]]:
        """Return the route of a request and its path parameters; raises Refused if there is none.

        OPTIONS is declared by CORS too.
        """
        path = request.path.rstrip("/") or "/"
        for route in self.routes:
            parameters = route.parameters(path)
            if parameters is not None:
                methods = self._app_object.routes[route.path]
                cors = request.method == "OPTIONS" and any(view.cors for view in methods.values())
                if request.method in methods or cors:
                    return route.path, parameters
        # API Gateway reads the header as a signature of AWS.
        authorization = request.header.get("authorization", "AWS4-HMAC-SHA256")
        if authorization.startswith("AWS4-HMAC-SHA256"):
            kind, message = "MissingAuthenticationTokenException", "Missing Authentication Token"
        else:
            kind = "IncompleteSignatureException"
            message = f"Invalid key=value pair in Authorization header: {authorization!r}."
        raise Refused(403, kind, message)

    def authorize(self, request: Request, event: Event) -> None:
        """Ask the route's authorizer, and add what it says to the event; raises Refused.

        docs.aws.amazon.com, "Output from an API Gateway Lambda authorizer".
        """
        context = event["requestContext"]
        route = self._app_object.routes[context["resourcePath"]][request.method]
        authorizer: Any = route.authorizer
        if isinstance(authorizer, CognitoUserPoolAuthorizer):
            token = request.header.get(str(authorizer._header).lower())
            if token:
                context["authorizer"] = {"claims": claims(token)}
        if not isinstance(authorizer, ChaliceAuthorizer):
            return
        token = request.header.get(authorizer.config.header.lower())
        if not token:
            raise Refused(401, "UnauthorizedException", "Unauthorized")
        arn = (
            f"arn:aws:execute-api:us-east-1:{context['accountId']}:{context['apiId']}/"
            f"{self.stage}/{request.method}{request.path}"
        )
        question = {"type": "TOKEN", "authorizationToken": token, "methodArn": arn}
        try:
            lambda_context: Any = self._generate_lambda_context()
            answer = json.loads(to_json(authorizer(question, lambda_context)))
        except (Exception, SystemExit) as error:
            if str(error) == "Unauthorized":
                raise Refused(401, "UnauthorizedException", "Unauthorized") from error
            self._app_object.log.exception("The authorizer failed")
            raise Refused(500, "AuthorizerConfigurationException", None) from error
        try:
            allowed = allows(answer["policyDocument"], "execute-api:Invoke", arn)
            given = answer.get("context") or {}
            added = {name: as_text(value) for name, value in given.items() if value is not None}
        except (AttributeError, KeyError, TypeError) as error:
            message = "Internal server error"
            raise Refused(500, "AuthorizerConfigurationException", message) from error
        if not allowed:
            message = "User is not authorized to access this resource"
            if has_deny(answer["policyDocument"], arn):
                message += " with an explicit deny in an identity-based policy"
            raise Refused(403, "AccessDeniedException", message, key="Message")
        if answer.get("principalId"):
            added["principalId"] = str(answer["principalId"])
        context["authorizer"] = added


def has_deny(policy: dict[str, Any], arn: str) -> bool:
    """Tell whether an authorizer's policy denies a method, and does not only fail to allow it."""
    return any(
        statement.get("Effect") == "Deny"
        and applies(statement, "Action", "execute-api:Invoke")
        and applies(statement, "Resource", arn)
        for statement in as_list(policy.get("Statement", []))
    )


def as_text(value: Any) -> str:
    """Return a value of an authorizer's context as the app gets it; raises TypeError for others."""
    if not isinstance(value, str | int | float):
        raise TypeError(f"{value!r} is not a text, a number or a boolean")
    return str(value).lower() if isinstance(value, bool) else str(value)


def claims(token: str) -> dict[str, Any]:
    """Return the claims of a token that Cognito issued (RFC 7519); raises Refused if it is none."""
    try:
        payload = token.removeprefix("Bearer ").split(".")[1]
        found = json.loads(urlsafe_b64decode(payload + "=="))
    except (IndexError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise Refused(401, "UnauthorizedException", "Unauthorized")
    return found


class Handler(BaseHTTPRequestHandler):
    """Passes the requests of a connection on to a gateway."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the body waits for the client to acknowledge the headers

    def __init__(self, *connection: Any, gateway: Gateway) -> None:
        """Serve a connection."""
        self.gateway = gateway
        super().__init__(*connection)

    def respond(self) -> None:
        """Respond to a request."""
        headers: dict[str, list[str]] = {}
        for name, value in self.headers.items():
            headers.setdefault(name, []).append(value)
        try:
            body = self.read_body()
        except ValueError:
            self.send_error(400)  # and close the connection
            return
        client = self.client_address[0]
        response = self.gateway.handle_request(self.command, self.path, headers, body, client)
        content = b64decode(response["body"])
        self.send_response(response["statusCode"])
        for name, value in (response["headers"] | response["multiValueHeaders"]).items():
            for text in as_list(value):
                self.send_header(name, text)
        if "Content-Length" not in response["headers"] and response["statusCode"] not in (204, 304):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Respond to any method: `http.server` looks for `do_GET` and so on."""
        if name.startswith("do_"):
            return self.respond
        raise AttributeError(name)

    def read_body(self) -> bytes:
        """Read a request's body (RFC 9112, 6 and 7.1); raises ValueError if it is malformed."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            length = self.headers.get("Content-Length", "0")
            if not re.fullmatch("[0-9]+", length):
                raise ValueError(f"{length} is no length")
            return self.rfile.read(int(length))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            """Skip a trailer."""
        return body

    def send_header(self, keyword: str, value: str) -> None:
        """Send a header; a value that is not in Latin-1 is sent in UTF-8."""
        try:
            value.encode("latin-1")
        except UnicodeEncodeError:
            value = value.encode(errors="replace").decode("latin-1")
        super().send_header(keyword, value)


class Server(ThreadingHTTPServer):
    """A server with a thread for each connection."""

    request_queue_size = 128

    def server_bind(self) -> None:
        """Bind without a look-up of this machine's name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about a client that closes its connection."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def create_server(app: Chalice, config: Config, host: str, port: int) -> ThreadingHTTPServer:
    """Return a server for an app, which listens; raises OSError if it cannot."""
    # Each client has a thread, so each thread has an `app.current_request`.
    app.__class__ = type(type(app).__name__, (LocalChalice, type(app)), {})
    return Server((host, port), partial(Handler, gateway=Gateway(app, config)))
