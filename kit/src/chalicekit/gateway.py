"""Chalice's local API Gateway, made to send the events and the responses of AWS's.

It serves tests (`use_gateway`) and the local server (`http_server`). It follows AWS's documentation
and what others have recorded on AWS; it was not compared with AWS itself.

What remains different is in the kit's README, "What runs on this machine".
"""

import json
import re
import time
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from awslambdaric.lambda_runtime_marshaller import to_json
from chalice import Chalice
from chalice.app import ChaliceAuthorizer, CognitoUserPoolAuthorizer
from chalice.config import Config
from chalice.constants import DEFAULT_APIGATEWAY_STAGE_NAME
from chalice.local import LocalGateway
from requests.structures import CaseInsensitiveDict

from chalicekit.iam import allows, as_list, denies
from chalicekit.proxy import (
    NOT_FORWARDED,
    Response,
    added_headers,
    error_response,
    event_body,
    is_flat,
    names_and_ids,
    response_to,
)
from chalicekit.runtime.events import empty_event

if TYPE_CHECKING:
    import pytest

Event = dict[str, Any]
Headers = Mapping[str, str | list[str]]  # a header that is sent twice has a list of values

INVOKE = "execute-api:Invoke"  # what an authorizer's policy allows
UNAUTHORIZED = (401, "UnauthorizedException", "Unauthorized")


def use_gateway(monkeypatch: "pytest.MonkeyPatch") -> None:
    """Let `chalice.test.Client` use this gateway until a test ends."""
    monkeypatch.setattr("chalice.test.LocalGateway", Gateway)


class GatewayError(Exception):
    """An error of API Gateway itself; its parameters are those of `error_response`."""

    def __init__(self, status: int, kind: str, message: str | None, key: str = "message") -> None:
        self.response = error_response(status, kind, message, key)


class Gateway(LocalGateway):
    """An app's API. It takes Chalice's local gateway's place in Chalice's test client."""

    def __init__(self, app_object: Chalice, config: Config) -> None:
        """Create the API of an app; `config` has the settings of its stage."""
        super().__init__(app_object, config)
        self.binary_types = app_object.api.binary_types
        self.routes = sorted(map(Route, app_object.routes), key=lambda route: route.rank)
        self.api_stage = config.api_gateway_stage or DEFAULT_APIGATEWAY_STAGE_NAME

    def handle_request(
        self, method: str, path: str, headers: Headers, body: bytes | str | None
    ) -> dict[str, Any]:
        """Return the response to a request of Chalice's test client, in the form that it takes."""
        sent = body.encode() if isinstance(body, str) else body or b""
        response = self.respond(event_for(method, path, headers, "127.0.0.1"), sent)
        lists = response.headers.items()
        return {
            "statusCode": response.status,
            "headers": {name: values[0] for name, values in lists if len(values) == 1},
            "multiValueHeaders": {name: values for name, values in lists if len(values) > 1},
            "body": b64encode(response.body).decode(),
            "isBase64Encoded": True,
        }

    def respond(self, event: Event, body: bytes) -> Response:
        """Return the response to a request: its event, which `event_for` returns, and its body.

        The event is completed in place, by this method and those that it calls.
        """
        context = event["requestContext"]
        context["stage"] = self.api_stage
        try:
            response = self.response_of_app(event, body)
        except GatewayError as error:
            response = error.response
        response.headers["x-amzn-RequestId"] = [context["requestId"]]
        response.headers["x-amz-apigw-id"] = [context["extendedRequestId"]]
        if response.status in (204, 304):
            return response._replace(body=b"")  # there is none (RFC 9110, 6.4.1)
        response.headers["Content-Length"] = [str(len(response.body))]
        return response._replace(body=b"") if event["httpMethod"] == "HEAD" else response

    def response_of_app(self, event: Event, body: bytes) -> Response:
        """Return the app's response; raises GatewayError for a request that it does not get."""
        method = event["httpMethod"]
        route, parameters = self.find(method, event["path"])
        event |= {"resource": route, "pathParameters": parameters or None}
        event["requestContext"]["resourcePath"] = route
        if method not in self._app_object.routes[route]:
            return self.preflight_response(event)
        content_type = header_of(event, "content-type", "application/json")
        event |= event_body(body, content_type, self.binary_types)
        self.authorize(event)
        try:
            result = self.call(self._app_object, event)
        except (Exception, SystemExit):
            self._app_object.log.exception("The function failed")
            result = None  # it becomes a 502
        accept = header_of(event, "accept", "application/json")
        return response_to(result, accept, self.binary_types)

    def preflight_response(self, event: Event) -> Response:
        """Return the response to an OPTIONS request that the route's `cors` declares."""
        return response_to({"headers": self._autogen_options_headers(event)}, "", [])

    def call(self, function: Callable[..., Any], event: Event) -> Any:
        """Return the result of a function of the app, which becomes JSON on Lambda."""
        return json.loads(to_json(function(event, self._generate_lambda_context())))

    def find(self, method: str, path: str) -> tuple[str, dict[str, str]]:
        """Return the route of a request and its path parameters; raises GatewayError for none."""
        for route in self.routes:
            parameters = route.parameters(path.rstrip("/") or "/")
            if parameters is None:
                continue
            views = self._app_object.routes[route.path]
            has_preflight = any(view.cors for view in views.values())
            if method in views or (method == "OPTIONS" and has_preflight):
                return route.path, parameters
        message = "Missing Authentication Token"
        raise GatewayError(403, "MissingAuthenticationTokenException", message)

    def authorize(self, event: Event) -> None:
        """Add what the route's authorizer says to the event; raises GatewayError if it refuses."""
        context = event["requestContext"]
        view = self._app_object.routes[event["resource"]][event["httpMethod"]]
        authorizer: Any = view.authorizer
        if isinstance(authorizer, CognitoUserPoolAuthorizer):
            # Nobody checks the token: it only brings its claims, and may be missing.
            if token := header_of(event, str(authorizer._header)):
                context["authorizer"] = {"claims": claims(token)}
        elif isinstance(authorizer, ChaliceAuthorizer):
            token = header_of(event, str(authorizer.config.header))
            context["authorizer"] = self.ask(authorizer, token, event)

    def ask(self, authorizer: ChaliceAuthorizer, token: str, event: Event) -> dict[str, str]:
        """Return what the app's own authorizer says; raises GatewayError if it refuses or fails."""
        if not token:
            raise GatewayError(*UNAUTHORIZED)
        context = event["requestContext"]
        arn = (
            f"arn:aws:execute-api:us-east-1:{context['accountId']}:{context['apiId']}/"
            f"{self.api_stage}/{event['httpMethod']}{event['path']}"
        )
        question = {"type": "TOKEN", "authorizationToken": token, "methodArn": arn}
        try:
            result = self.call(authorizer, question)
        except (Exception, SystemExit) as error:
            if str(error) == "Unauthorized":
                raise GatewayError(*UNAUTHORIZED) from error
            self._app_object.log.exception("The authorizer failed")
            raise GatewayError(500, "AuthorizerConfigurationException", None) from error
        try:
            return context_in(result, arn)
        except (AttributeError, KeyError, TypeError) as error:  # it has another form
            message = "Internal server error"
            raise GatewayError(500, "AuthorizerConfigurationException", message) from error


class Route:
    """A path of the app, such as `/files/{folder}/{name+}`."""

    def __init__(self, path: str) -> None:
        self.path = path
        parts = path.split("/")
        self.names = [part.strip("{+}") for part in parts if part.startswith("{")]
        self.rank = [rank_and_pattern(part)[0] for part in parts]
        self.pattern = re.compile("/".join(rank_and_pattern(part)[1] for part in parts))

    def parameters(self, path: str) -> dict[str, str] | None:
        """Return the variables of a path, percent-encoded as in it; None if it does not match."""
        found = self.pattern.fullmatch(path)
        return dict(zip(self.names, found.groups(), strict=True)) if found else None


def rank_and_pattern(part: str) -> tuple[int, str]:
    """Return what a part of a path matches, and its rank: of several routes, the lowest wins."""
    if not part.startswith("{"):
        return 0, re.escape(part)
    return (2, "(.+)") if part.endswith("+}") else (1, "([^/]+)")


def event_for(method: str, target: str, headers: Headers, client: str) -> Event:
    """Return the event for a request, which still lacks what a route and its API add.

    `target` is the path with the query, `client` the client's address.
    docs.aws.amazon.com, "Input format of a Lambda function for proxy integration".
    """
    values_by_name = CaseInsensitiveDict({name: as_list(sent) for name, sent in headers.items()})
    sent = CaseInsensitiveDict({name: values[-1] for name, values in values_by_name.items()})
    host = sent.get("host", "localhost")
    clients = ", ".join(filter(None, [sent.get("x-forwarded-for"), client]))
    for name in NOT_FORWARDED:
        values_by_name.pop(name, None)
    for name, value in added_headers(host, clients).items():
        values_by_name[name] = [value]
    full_path, _, query = target.partition("?")
    parameters = parse_qs(query, keep_blank_values=True)
    event = empty_event("", sent.get("x-http-method-override", method)) | {
        "path": re.sub("^/+", "/", full_path),
        "headers": {name: values[-1] for name, values in values_by_name.items()},
        "multiValueHeaders": dict(values_by_name),
        "queryStringParameters": {name: values[-1] for name, values in parameters.items()} or None,
        "multiValueQueryStringParameters": parameters or None,
    }
    now = time.time()
    event["requestContext"] |= names_and_ids(host, sent.get("x-amzn-requestid", ""))
    event["requestContext"] |= {
        "path": full_path,
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "requestTimeEpoch": int(now * 1000),
    }
    event["requestContext"]["identity"] |= {
        "sourceIp": client,
        "userAgent": sent.get("user-agent"),
    }
    return event


def header_of(event: Event, name: str, default: str = "") -> str:
    """Return a header of an event's request."""
    return str(CaseInsensitiveDict(event["headers"]).get(name, default))


def context_in(result: Any, arn: str) -> dict[str, str]:
    """Return the context in an authorizer's result; raises GatewayError if it refuses a method.

    docs.aws.amazon.com, "Output from an API Gateway Lambda authorizer". Raises AttributeError,
    KeyError or TypeError for a result that is none.
    """
    policy = result["policyDocument"]
    if not allows(policy, INVOKE, arn):
        message = "User is not authorized to access this resource"
        if denies(policy, INVOKE, arn):
            message += " with an explicit deny in an identity-based policy"
        raise GatewayError(403, "AccessDeniedException", message, key="Message")
    context = (result.get("context") or {}) | {"principalId": result.get("principalId") or None}
    if not is_flat(context):
        raise TypeError("the context has a value that is an object or a list")
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in context.items()
        if value is not None
    }


def claims(token: str) -> dict[str, Any]:
    """Return the claims of a token of Cognito (RFC 7519); raises GatewayError if it has none."""
    try:
        found = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    except (IndexError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise GatewayError(*UNAUTHORIZED)
    return found
