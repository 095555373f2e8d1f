"""CORS headers on the errors of API Gateway itself, such as 403 and 429.

Without them, a page in a browser sees a network error instead of the status.
docs.aws.amazon.com/apigateway/latest/developerguide/how-to-cors.html
"""

from typing import Any

Template = dict[str, Any]
ORIGIN = "Access-Control-Allow-Origin"
CORS_HEADERS = (ORIGIN, "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers")


def with_cors_errors(template: Template) -> Template:
    """Return a SAM template whose API sends the app's CORS headers with its own errors too.

    A template without an API, or whose routes have no `cors`, is returned as it is. An error has
    the same headers for all routes: if the routes name several origins, it allows any origin.
    Headers that the template's gateway responses set already are kept.
    """
    api = template["Resources"].get("RestAPI", {}).get("Properties", {})
    found = [
        allowed
        for methods in api.get("DefinitionBody", {}).get("paths", {}).values()
        if (allowed := cors_headers(methods.get("options", {})))
    ]
    if not found:
        return template
    headers = found[0] if found == found[:1] * len(found) else {ORIGIN: "'*'"}
    responses = {"DEFAULT_4XX": {}, "DEFAULT_5XX": {}, **api.get("GatewayResponses", {})}
    with_headers = {name: add_headers(response, headers) for name, response in responses.items()}
    api = {**api, "GatewayResponses": with_headers}
    rest_api = {**template["Resources"]["RestAPI"], "Properties": api}
    return {**template, "Resources": {**template["Resources"], "RestAPI": rest_api}}


def cors_headers(options: dict[str, Any]) -> dict[str, str]:
    """Return the headers that an OPTIONS method of Chalice answers with and errors need as well."""
    responses = options.get("x-amazon-apigateway-integration", {}).get("responses", {})
    parameters = responses.get("default", {}).get("responseParameters", {})
    named = {header: parameters.get(f"method.response.header.{header}") for header in CORS_HEADERS}
    return {header: value for header, value in named.items() if value}


def add_headers(response: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    """Return a gateway response of SAM with more headers."""
    parameters = response.get("ResponseParameters", {})
    merged = {**headers, **parameters.get("Headers", {})}
    return {**response, "ResponseParameters": {**parameters, "Headers": merged}}
