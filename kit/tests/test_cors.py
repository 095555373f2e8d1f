"""CORS headers on API Gateway's own errors, in the template of a package."""

import json
from typing import Any

import pytest
from chalice import Chalice, CORSConfig
from chalice.deploy.swagger import CFNSwaggerGenerator

from chalicekit.cors import with_cors_errors

ONE_ORIGIN = CORSConfig(allow_origin="https://a.example", allow_credentials=True)
ANOTHER = CORSConfig(allow_origin="https://b.example")
FROM_ONE = {
    "Access-Control-Allow-Origin": "'https://a.example'",
    "Access-Control-Allow-Credentials": "'true'",
}
FROM_ANY = {"Access-Control-Allow-Origin": "'*'"}


def template(*settings: Any, **responses: Any) -> dict[str, Any]:
    """Return a template as Chalice writes it for an app with a route for each `cors` setting."""
    app = Chalice("app")
    for number, cors in enumerate(settings):
        app.route(f"/{number}", cors=cors)(lambda: "")
    body = CFNSwaggerGenerator().generate_swagger(app)
    properties = {"DefinitionBody": body, "GatewayResponses": responses}
    return {"Resources": {"RestAPI": {"Type": "AWS::Serverless::Api", "Properties": properties}}}


def gateway_responses(template: dict[str, Any]) -> Any:
    """Return the gateway responses of a template's API."""
    return template["Resources"]["RestAPI"]["Properties"]["GatewayResponses"]


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        ([True], FROM_ANY),
        ([None, ONE_ORIGIN], FROM_ONE),
        ([ONE_ORIGIN, ONE_ORIGIN], FROM_ONE),
        ([ONE_ORIGIN, ANOTHER], FROM_ANY),
    ],
)
def test_errors_have_the_cors_headers_of_the_views(
    settings: list[Any], headers: dict[str, str]
) -> None:
    with_headers = {"ResponseParameters": {"Headers": headers}}
    assert gateway_responses(with_cors_errors(template(*settings))) == {
        "DEFAULT_4XX": with_headers,
        "DEFAULT_5XX": with_headers,
    }


def test_a_response_that_the_template_sets_gets_the_headers_and_keeps_its_own() -> None:
    own = {"Access-Control-Allow-Origin": "'https://own.example'"}
    throttled = {"StatusCode": "429", "ResponseParameters": {"Headers": own}}
    responses = gateway_responses(
        with_cors_errors(
            template(ONE_ORIGIN, UNAUTHORIZED={"StatusCode": "401"}, THROTTLED=throttled)
        )
    )
    assert responses["UNAUTHORIZED"] == {
        "StatusCode": "401",
        "ResponseParameters": {"Headers": FROM_ONE},
    }
    assert responses["THROTTLED"]["ResponseParameters"]["Headers"] == {**FROM_ONE, **own}


@pytest.mark.parametrize("resources", [template(None), {"Resources": {}}])
def test_a_template_without_cors_does_not_change(resources: dict[str, Any]) -> None:
    before = json.loads(json.dumps(resources))
    assert with_cors_errors(resources) == before
