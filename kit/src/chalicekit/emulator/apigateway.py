"""Make MiniStack's API Gateway behave as AWS's for `chalice deploy` and for clients."""

import asyncio
import json
import re
from collections.abc import Iterable
from typing import Any

from ministack import app
from ministack.services import apigateway as websockets
from ministack.services import apigateway_v1 as apigateway

from chalicekit.proxy import NOT_FORWARDED, added_headers, request_context, response_to
from chalicekit.runtime.api import REQUEST_LIMIT
from chalicekit.runtime.events import proxy_event

Response = tuple[int, dict[str, Any], bytes]

GATEWAY_LIMIT = 10 * 1024 * 1024
SIBLING = (
    "Unable to create resource at path '{path}': A sibling ({part}) of this resource already has a "
    "variable path part -- only one is allowed"
)

# MiniStack's own functions, which the functions below call
handle_request = apigateway.handle_request
import_rest_api = apigateway._import_rest_api
import_operation = apigateway._import_operation
execute_in_scope = apigateway._execute_in_scope
texts_of = apigateway._stringify_context
authorize = apigateway._authorize_request_v1
match_route = websockets._match_ws_route
handle_execute_api_request = app._handle_execute_api_request


def patch_apigateway() -> None:
    """Replace MiniStack's functions with those below."""
    apigateway.handle_request = control_plane
    apigateway._import_rest_api = import_api
    apigateway._import_operation = import_method
    websockets._match_ws_route = route_of_websocket
    apigateway._execute_in_scope = execute
    apigateway._stringify_context = context_of
    apigateway._authorize_request_v1 = authorize_or_fail
    apigateway._invoke_lambda_proxy_v1 = invoke_function
    app._handle_execute_api_request = data_plane


async def control_plane(
    method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
) -> Response:
    """Respond to a call of API Gateway's own API, as `chalice deploy` sends them.

    MiniStack lacks ImportRestApi, PutRestApi and UpdateDomainName (which changes nothing here), and
    its UpdateRestApi cannot remove the minimum compression size:
    docs.aws.amazon.com/apigateway/latest/api.
    """
    if "mode" in query and (refusal := sibling_of_a_variable(json.loads(body)["paths"])):
        message = f"Errors found during import:\n\t{refusal}"
        refused: Response = apigateway._v1_error("BadRequestException", message, 400)
        return refused
    match method, path.strip("/").split("/"):
        case "POST", ["restapis"] if "mode" in query:
            api_id = import_api(json.loads(body))
        case "PUT", ["restapis", api_id] if api_id in apigateway._rest_apis:
            resources = apigateway._resources[api_id]
            root = next(resource for resource in resources.values() if resource["path"] == "/")
            apigateway._resources[api_id] = {root["id"]: root | {"resourceMethods": {}}}
            import_definition(api_id, json.loads(body))
        case "PATCH", ["restapis", api_id] if api_id in apigateway._rest_apis:
            await handle_request(method, path, headers, body, query)
            api = apigateway._rest_apis[api_id]
            api["minimumCompressionSize"] = api["minimumCompressionSize"] or None
        case "PATCH", ["domainnames", _]:
            return await control_plane("GET", path, headers, b"", query)
        case _:
            response: Response = await handle_request(method, path, headers, body, query)
            return response
    _, headers, body = apigateway._get_rest_api(api_id)
    return 201 if method == "POST" else 200, headers, body


def context_of(context: Any) -> Any:
    """Return the context of an authorizer as texts; raises ValueError for an object or a list.

    docs.aws.amazon.com, "Output from an API Gateway Lambda authorizer".
    """
    if any(isinstance(value, dict | list) for value in (context or {}).values()):
        raise ValueError("a value of the context is an object or a list")
    return texts_of(context)


async def authorize_or_fail(*arguments: Any, **options: Any) -> Any:
    """Ask an authorizer; return the refusal or None, and its context."""
    try:
        return await authorize(*arguments, **options)
    except (AttributeError, ValueError):  # from `context_of`
        error = apigateway._gw_error("AUTHORIZER_CONFIGURATION_ERROR", "Internal server error")
        return error, None


def sibling_of_a_variable(paths: Iterable[str]) -> str:
    """Return why AWS refuses the paths of an API, or "": a segment has one variable at most."""
    variables: dict[str, str] = {}
    for path in paths:
        parts = path.strip("/").split("/")
        for position, part in enumerate(parts):
            parent = "/".join(["", *parts[:position]])
            if part.startswith("{") and (known := variables.setdefault(parent, part)) != part:
                return SIBLING.format(path=f"{parent}/{part}", part=known)
    return ""


def import_api(definition: dict[str, Any], settings: dict[str, Any] | None = None) -> str:
    """Create an API from its definition in Swagger; return its id.

    CloudFormation calls this, too, and shows the message of a ValueError.
    """
    if refusal := sibling_of_a_variable(definition["paths"]):
        raise ValueError(refusal)
    api_id: str = import_rest_api({"info": definition.get("info")}, settings)
    import_definition(api_id, definition)
    return api_id


def import_definition(api_id: str, definition: dict[str, Any]) -> None:
    """Add the content of a definition in Swagger to an API without methods."""
    authorizers = apigateway._import_security_schemes(api_id, definition)
    for path, methods in definition["paths"].items():
        apigateway._import_path_item(api_id, path, methods, authorizers, definition.get("security"))
    if types := definition.get("x-amazon-apigateway-binary-media-types"):
        apigateway._rest_apis[api_id]["binaryMediaTypes"] = types
    for kind, response in definition.get("x-amazon-apigateway-gateway-responses", {}).items():
        apigateway._put_gateway_response(api_id, kind, response)


def import_method(
    api_id: str, resource_id: str, method: str, operation: dict[str, Any], *security: Any
) -> None:
    """Import a method with all of its integration, for example the headers of a preflight."""
    import_operation(api_id, resource_id, method, operation, *security)
    integration = operation.get("x-amazon-apigateway-integration") or {}
    configured = integration.get("responses", {}).values()
    responses = {response["statusCode"]: response for response in configured}
    imported = apigateway._resources[api_id][resource_id]["resourceMethods"][method]
    if responses:
        imported["methodIntegration"]["integrationResponses"] = responses
    if timeout := integration.get("timeoutInMillis"):
        imported["methodIntegration"]["timeoutInMillis"] = timeout


def route_of_websocket(api_id: str, key: str) -> Any:
    """Return the route of a WebSocket for a key: `$default` is for messages only."""
    route = match_route(api_id, key)
    is_other = route and route["routeKey"] != key and key in ("$connect", "$disconnect")
    return None if is_other else route


async def data_plane(
    host: str,
    path: str,
    method: str,
    headers: dict[str, str],
    *rest: Any,
    raw_path: str | None = None,
    **options: Any,
) -> Response | None:
    """Respond to a request for a deployed API; return None for any other.

    The path stays percent-encoded, so that `%2F` in a parameter is not a slash.
    """
    method = headers.get("x-http-method-override", method)
    path = raw_path or path
    response: Response | None = await handle_execute_api_request(
        host, path, method, headers, *rest, **options
    )
    return response


async def execute(request: dict[str, Any], *arguments: Any) -> Any:
    """Respond as MiniStack does, except to an `Authorization` header on an unknown path or method.

    API Gateway reads it as a signature of AWS.
    """
    response = await execute_in_scope(request, *arguments)
    authorization = request["headers"].get("authorization", "AWS4-HMAC-SHA256")
    if (
        isinstance(response, apigateway._GatewayError)
        and response.response_type == "MISSING_AUTHENTICATION_TOKEN"
        and not authorization.startswith("AWS4-HMAC-SHA256")
    ):
        response.response_type, response.error_type = "DEFAULT_4XX", "IncompleteSignatureException"
        response.message = f"Invalid key=value pair in Authorization header: {authorization!r}."
    return response


async def invoke_function(
    integration: dict[str, Any],
    *request: Any,
    owner_account_id: str,
    owner_region: str,
    binary_media_types: list[str],
    **caller: Any,
) -> Any:
    """Respond with the result of a function: API Gateway's Lambda proxy integration.

    Its limits: docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-
    limits-table.html
    """
    _, _, stage, _, _, _, headers, body, *_ = request
    if len(body) > GATEWAY_LIMIT:
        message = f"HTTP content length exceeded {GATEWAY_LIMIT} bytes."
        return apigateway._GatewayError("REQUEST_TOO_LARGE", message)
    event = apigateway._build_lambda_event_v1(
        *request, binary_media_types=binary_media_types, **caller
    )
    event = complete_event(event, stage, headers)
    if len(json.dumps(event)) > REQUEST_LIMIT:
        return apigateway._GatewayError("REQUEST_TOO_LARGE", "Request Too Long")
    call = apigateway._call_lambda_raw(
        apigateway._extract_lambda_ref_from_integration_uri(integration["uri"]),
        event,
        account_id=owner_account_id,
        region=owner_region,
    )
    try:  # a function that takes longer goes on
        seconds = (integration.get("timeoutInMillis") or 29000) / 1000
        result, error = await asyncio.wait_for(asyncio.shield(call), seconds)
    except asyncio.TimeoutError:
        return apigateway._GatewayError("INTEGRATION_TIMEOUT", "Endpoint request timed out")
    if error:  # there is no such function
        return apigateway._GatewayError("API_CONFIGURATION_ERROR", "Internal server error")
    accepted = headers.get("accept", "application/json")
    status, named, body = response_to(result["body"], accepted, binary_media_types)
    response_headers: dict[str, Any] = {name.lower(): values for name, values in named.items()}
    context = event["requestContext"]
    response_headers["x-amzn-requestid"] = context["requestId"]
    response_headers["x-amz-apigw-id"] = context["extendedRequestId"]
    return status, response_headers, body


def complete_event(
    event: dict[str, Any], stage: dict[str, Any], headers: dict[str, str]
) -> dict[str, Any]:
    """Return MiniStack's event with the fields of AWS's event, which `proxy_event` has."""
    sample = proxy_event(event["resource"], event["httpMethod"])
    context = sample["requestContext"] | event["requestContext"]
    host = headers.get("host", "")
    context |= request_context(host, headers.get("x-amzn-requestid", "")) | {
        "deploymentId": stage["deploymentId"],
        "identity": dict.fromkeys(sample["requestContext"]["identity"]) | context["identity"],
    }
    query = event["multiValueQueryStringParameters"]
    forwarded = {name: value for name, value in headers.items() if name not in NOT_FORWARDED}
    forwarded |= {name.lower(): value for name, value in added_headers(host, "127.0.0.1").items()}
    return {name: event[name] for name in sample} | {
        "path": re.sub("^/+", "/", event["path"]),
        "headers": forwarded,
        "multiValueHeaders": {name: [value] for name, value in forwarded.items()},
        "queryStringParameters": query and {name: values[-1] for name, values in query.items()},
        "requestContext": context,
    }
