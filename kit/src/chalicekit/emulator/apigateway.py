"""Make MiniStack's API Gateway behave as AWS's, for `chalice deploy` and for clients."""

import asyncio
import json
import re
from typing import Any

from ministack import app
from ministack.services import apigateway as websockets
from ministack.services import apigateway_v1 as apigateway

from chalicekit.emulator import Original, replaces
from chalicekit.proxy import NOT_FORWARDED, added_headers, is_flat, names_and_ids, response_to
from chalicekit.runtime.api import REQUEST_LIMIT
from chalicekit.runtime.events import empty_event

GATEWAY_LIMIT = 10 * 1024 * 1024


@replaces(apigateway, "handle_request")
async def manage_apis(
    original: Original,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    query: dict[str, Any],
) -> Any:
    """Respond to a call of API Gateway's own API: docs.aws.amazon.com/apigateway/latest/api.

    MiniStack lacks three that `chalice deploy` makes: ImportRestApi, PutRestApi, UpdateDomainName
    (which changes nothing here). Its UpdateRestApi cannot remove the minimum compression size.
    """
    match method, path.strip("/").split("/"):
        case "POST", ["restapis"] if "mode" in query:  # ImportRestApi is CreateRestApi with a mode
            api_id = apigateway._import_rest_api(json.loads(body))
            return apigateway._get_rest_api(api_id)
        case "PUT", ["restapis", api_id]:
            empty_api(api_id)
            add_definition(api_id, json.loads(body))
            return apigateway._get_rest_api(api_id)
        case "PATCH", ["restapis", api_id]:
            await original(method, path, headers, body, query)
            api = apigateway._rest_apis[api_id]
            api["minimumCompressionSize"] = api["minimumCompressionSize"] or None
            return apigateway._get_rest_api(api_id)
        case "PATCH", ["domainnames", _]:
            return await original("GET", path, headers, b"", query)
    return await original(method, path, headers, body, query)


@replaces(apigateway, "_import_rest_api")
def import_api(
    original: Original, definition: dict[str, Any], settings: dict[str, Any] | None = None
) -> Any:
    """Create an API from its definition in Swagger, also for CloudFormation; return its id."""
    api_id = original({"info": definition.get("info")}, settings)
    add_definition(api_id, definition)
    return api_id


def empty_api(api_id: str) -> None:
    """Remove all methods of an API and all its paths but the root."""
    resources = apigateway._resources[api_id]
    root = next(resource for resource in resources.values() if resource["path"] == "/")
    apigateway._resources[api_id] = {root["id"]: root | {"resourceMethods": {}}}


def add_definition(api_id: str, definition: dict[str, Any]) -> None:
    """Add the content of a definition in Swagger to an API without methods."""
    authorizers = apigateway._import_security_schemes(api_id, definition)
    for path, methods in definition["paths"].items():
        apigateway._import_path_item(api_id, path, methods, authorizers, definition.get("security"))
    if types := definition.get("x-amazon-apigateway-binary-media-types"):
        apigateway._rest_apis[api_id]["binaryMediaTypes"] = types
    for kind, response in definition.get("x-amazon-apigateway-gateway-responses", {}).items():
        apigateway._put_gateway_response(api_id, kind, response)


@replaces(apigateway, "_import_operation")
def import_method(
    original: Original,
    api_id: str,
    resource_id: str,
    method: str,
    operation: dict[str, Any],
    authorizers: dict[str, Any],
    security: list[dict[str, Any]] | None,
) -> None:
    """Import a method with all of its integration, for example the headers of a preflight."""
    original(api_id, resource_id, method, operation, authorizers, security)
    if defined := operation.get("x-amazon-apigateway-integration"):
        resource = apigateway._resources[api_id][resource_id]
        integration = resource["resourceMethods"][method]["methodIntegration"]
        integration["timeoutInMillis"] = defined.get("timeoutInMillis", 29000)
        for response in defined.get("responses", {}).values():
            integration["integrationResponses"][response["statusCode"]] = response


@replaces(websockets, "_match_ws_route")
def route_of_websocket(original: Original, api_id: str, key: str) -> Any:
    """Return the route of a WebSocket for a key: `$default` is for messages only."""
    route = original(api_id, key)
    if route and route["routeKey"] == "$default" and key in ("$connect", "$disconnect"):
        return None
    return route


@replaces(app, "_handle_execute_api_request")
async def respond(
    original: Original,
    host: str,
    path: str,
    method: str,
    headers: dict[str, str],
    body: bytes,
    query: dict[str, Any],
    raw_path: str | None = None,
    raw_query_string: str | None = None,
) -> Any:
    """Respond to a request for a deployed API; return None for any other.

    The path stays percent-encoded, so that `%2F` in a parameter is not a slash.
    """
    method = headers.get("x-http-method-override", method)
    return await original(
        host, raw_path or path, method, headers, body, query, raw_query_string=raw_query_string
    )


@replaces(apigateway, "_invoke_authorizer_lambda")
async def ask_authorizer(
    original: Original, authorizer: dict[str, Any], event: Any, account_id: str, region: str
) -> Any:
    """Return the result of an authorizer, or None, a 500, if its context has an object or a list.

    docs.aws.amazon.com, "Output from an API Gateway Lambda authorizer".
    """
    result = await original(authorizer, event, account_id, region)
    match result:
        case {"body": {"context": {**context}}} if not is_flat(context):
            return None
    return result


@replaces(apigateway, "_invoke_lambda_proxy_v1")
async def invoke_function(
    original: Original,
    integration: dict[str, Any],
    api_id: str,
    stage_name: str,
    stage: dict[str, Any],
    resource: dict[str, Any],
    path: str,
    method: str,
    headers: dict[str, str],
    body: bytes,
    query: dict[str, Any],
    path_parameters: dict[str, str],
    *,
    owner_account_id: str,
    owner_region: str,
    binary_media_types: list[str],
    authorizer_context: dict[str, str] | None,
    caller_identity: dict[str, str] | None,
) -> Any:
    """Respond with the result of a function: API Gateway's Lambda proxy integration.

    Its limits: docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-
    limits-table.html
    """
    if len(body) > GATEWAY_LIMIT:
        message = f"HTTP content length exceeded {GATEWAY_LIMIT} bytes."
        return apigateway._GatewayError("REQUEST_TOO_LARGE", message)
    event = apigateway._build_lambda_event_v1(
        api_id,
        stage_name,
        stage,
        resource,
        path,
        method,
        {"content-type": "application/json"} | headers,  # AWS's default, also for binary types
        body,
        query,
        path_parameters,
        binary_media_types=binary_media_types,
        authorizer_context=authorizer_context,
        caller_identity=caller_identity,
    )
    event = complete_event(event, headers)
    if len(json.dumps(event)) > REQUEST_LIMIT:
        return apigateway._GatewayError("REQUEST_TOO_LARGE", "Request Too Long")
    invocation = apigateway._call_lambda_raw(
        apigateway._extract_lambda_ref_from_integration_uri(integration["uri"]),
        event,
        account_id=owner_account_id,
        region=owner_region,
    )
    try:
        seconds = integration["timeoutInMillis"] / 1000
        # The shield: a function that takes longer goes on, but its client does not wait for it
        result, error = await asyncio.wait_for(asyncio.shield(invocation), seconds)
    except asyncio.TimeoutError:
        return apigateway._GatewayError("INTEGRATION_TIMEOUT", "Endpoint request timed out")
    if error:  # there is no such function
        return apigateway._GatewayError("API_CONFIGURATION_ERROR", "Internal server error")
    accepted = headers.get("accept", "application/json")
    response = response_to(result["body"], accepted, binary_media_types)
    ids = {
        "x-amzn-requestid": event["requestContext"]["requestId"],
        "x-amz-apigw-id": event["requestContext"]["extendedRequestId"],
    }
    return response.status, {**response.headers, **ids}, response.body


def complete_event(event: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    """Return MiniStack's event with the fields of AWS's event.

    What both have comes from MiniStack, except for what depends on the client's `headers`.
    """
    empty = empty_event(event["resource"], event["httpMethod"])
    host = headers.get("host", "")
    names = names_and_ids(host, headers.get("x-amzn-requestid", ""))
    context = empty["requestContext"] | event["requestContext"] | names
    context["identity"] = empty["requestContext"]["identity"] | event["requestContext"]["identity"]
    query = event["multiValueQueryStringParameters"]
    forwarded = {name: value for name, value in headers.items() if name not in NOT_FORWARDED}
    forwarded |= {name.lower(): value for name, value in added_headers(host, "127.0.0.1").items()}
    return {name: event[name] for name in empty} | {
        "path": re.sub("^/+", "/", event["path"]),
        "headers": forwarded,
        "multiValueHeaders": {name: [value] for name, value in forwarded.items()},
        "queryStringParameters": query and {name: values[-1] for name, values in query.items()},
        "requestContext": context,
    }
