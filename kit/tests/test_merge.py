"""Merging a template of yours into Chalice's, and CORS headers on API Gateway's own errors."""

from copy import deepcopy
from typing import Any

import pytest
from chalice import Chalice, CORSConfig
from chalice.deploy.swagger import CFNSwaggerGenerator

from chalicekit.merge import TemplateMerger

FUNCTION = {"Type": "AWS::Serverless::Function", "Properties": {}}
ALARM = {"Type": "AWS::CloudWatch::Alarm"}
YOURS: dict[str, Any] = {
    "Resources": {
        "APIHandler": {"Properties": {"Log": {"Ref": "Log"}, "Url": {"Ref": "RestAPI"}}},
        "APIHandlerAlarm": {**ALARM, "Of": {"Ref": "APIHandler"}},
        "RestAPI": {"Properties": {"Access": {"Fn::GetAtt": ["AccessLog", "Arn"]}}},
        "ApiAlarm": {**ALARM, "Of": {"Ref": "RestAPI.Stage"}},
        "Dashboard": {"Type": "AWS::CloudWatch::Dashboard", "Of": {"Ref": "ApiAlarm"}},
        "AccessLog": {"Type": "AWS::Logs::LogGroup"},
        "Log": {"Type": "AWS::Logs::LogGroup", "Name": "/aws/lambda/APP-STAGE"},
    },
    "Outputs": {
        "Log": {"Value": {"Ref": "Log"}},
        "AccessLog": {"Value": {"Ref": "AccessLog"}},
        "Url": {"Value": {"Fn::Sub": "https://${RestAPI}/"}},
    },
}


def rest_api(*cors: Any) -> dict[str, Any]:
    """Return an API as Chalice writes it for an app with a route for each setting of `cors`."""
    app = Chalice("app")
    for number, setting in enumerate(cors):
        app.route(f"/{number}", cors=setting)(lambda: "")
    body = CFNSwaggerGenerator().generate_swagger(app)
    return {"Type": "AWS::Serverless::Api", "Properties": {"DefinitionBody": body}}


def merged(yours: dict[str, Any], **resources: Any) -> Any:
    """Merge your template into one that has these resources."""
    return TemplateMerger("app-dev").merge(yours, {"Resources": deepcopy(resources)})


def test_every_function_gets_what_your_template_says_of_the_api_handler() -> None:
    resources = merged(YOURS, APIHandler=FUNCTION, Tick=FUNCTION, RestAPI=rest_api())["Resources"]
    for name in ("APIHandler", "Tick"):
        assert resources[name]["Properties"]["Log"] == {"Ref": "Log"}
        assert resources[f"{name}Alarm"]["Of"] == {"Ref": name}


def test_app_stage_stands_for_the_name() -> None:
    assert merged(YOURS, Tick=FUNCTION)["Resources"]["Log"]["Name"] == "/aws/lambda/app-dev"


def test_an_app_with_routes_gets_everything() -> None:
    template = merged(YOURS, APIHandler=FUNCTION, RestAPI=rest_api())
    assert template["Resources"].keys() == YOURS["Resources"].keys()
    assert template["Outputs"].keys() == YOURS["Outputs"].keys()


def test_an_app_with_functions_only_gets_nothing_of_an_api() -> None:
    template = merged(YOURS, Tick=FUNCTION)
    assert template["Resources"].keys() == {"Tick", "TickAlarm", "Log", "AccessLog"}
    assert template["Outputs"].keys() == {"Log", "AccessLog"}


ONE_ORIGIN = CORSConfig(allow_origin="https://a.example", allow_credentials=True)
ANOTHER = CORSConfig(allow_origin="https://b.example")
FROM_ONE = {
    "Access-Control-Allow-Origin": "'https://a.example'",
    "Access-Control-Allow-Credentials": "'true'",
}
FROM_ANY = {"Access-Control-Allow-Origin": "'*'"}


@pytest.mark.parametrize(
    ("cors", "headers"),
    [
        ([True], FROM_ANY),
        ([None, ONE_ORIGIN], FROM_ONE),
        ([ONE_ORIGIN, ONE_ORIGIN], FROM_ONE),
        ([ONE_ORIGIN, ANOTHER], FROM_ANY),
    ],
)
def test_errors_have_the_cors_headers_of_the_views(
    cors: list[Any], headers: dict[str, str]
) -> None:
    api = merged({}, RestAPI=rest_api(*cors))["Resources"]["RestAPI"]
    with_headers = {"ResponseParameters": {"Headers": headers}}
    responses = {"DEFAULT_4XX": with_headers, "DEFAULT_5XX": with_headers}
    assert api["Properties"]["GatewayResponses"] == responses


def test_a_gateway_response_of_yours_gets_the_headers_and_keeps_its_own() -> None:
    own = {"Access-Control-Allow-Origin": "'https://own.example'"}
    responses = {
        "UNAUTHORIZED": {"StatusCode": "401"},
        "THROTTLED": {"StatusCode": "429", "ResponseParameters": {"Headers": own}},
    }
    yours = {"Resources": {"RestAPI": {"Properties": {"GatewayResponses": responses}}}}
    api = merged(yours, APIHandler=FUNCTION, RestAPI=rest_api(ONE_ORIGIN))["Resources"]["RestAPI"]
    found = api["Properties"]["GatewayResponses"]
    headers = {"ResponseParameters": {"Headers": FROM_ONE}}
    assert found["UNAUTHORIZED"] == {"StatusCode": "401", **headers}
    headers = {"ResponseParameters": {"Headers": FROM_ONE | own}}
    assert found["THROTTLED"] == {"StatusCode": "429", **headers}


def test_an_api_without_cors_does_not_change() -> None:
    api = rest_api(None)
    assert merged({}, RestAPI=api)["Resources"]["RestAPI"] == api
