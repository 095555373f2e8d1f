"""Merging a template of yours into Chalice's."""

from typing import Any

from chalicekit.merge import FragmentMerger

FUNCTION = {"Type": "AWS::Serverless::Function", "Properties": {}}
API = {"Type": "AWS::Serverless::Api", "Properties": {}}
ALARM = {"Type": "AWS::CloudWatch::Alarm"}
FRAGMENT: dict[str, Any] = {
    "Resources": {
        "APIHandler": {"Properties": {"Log": {"Ref": "Log"}}},
        "APIHandlerAlarm": {**ALARM, "Of": {"Ref": "APIHandler"}},
        "RestAPI": {"Properties": {"Access": {"Fn::GetAtt": ["AccessLog", "Arn"]}}},
        "ApiAlarm": {**ALARM, "Of": {"Ref": "RestAPI.Stage"}},
        "AccessLog": {"Type": "AWS::Logs::LogGroup"},
        "Log": {"Type": "AWS::Logs::LogGroup", "Name": "/aws/lambda/APP-STAGE"},
    },
    "Outputs": {
        "Log": {"Value": {"Ref": "Log"}},
        "AccessLog": {"Value": {"Ref": "AccessLog"}},
        "Url": {"Value": {"Fn::Sub": "https://${RestAPI}/"}},
    },
}


def merged(resources: dict[str, Any]) -> dict[str, Any]:
    """Merge the fragment into a template of these resources."""
    template: dict[str, Any] = FragmentMerger("app-dev").merge(FRAGMENT, {"Resources": resources})
    return template


def test_every_function_gets_what_the_fragment_says_of_the_api_handler() -> None:
    resources = merged({"APIHandler": FUNCTION, "Tick": FUNCTION, "RestAPI": API})["Resources"]
    for name in ("APIHandler", "Tick"):
        assert resources[name]["Properties"] == {"Log": {"Ref": "Log"}}
        assert resources[f"{name}Alarm"]["Of"] == {"Ref": name}


def test_app_stage_stands_for_the_name() -> None:
    assert merged({"Tick": FUNCTION})["Resources"]["Log"]["Name"] == "/aws/lambda/app-dev"


def test_an_app_with_routes_gets_everything() -> None:
    template = merged({"APIHandler": FUNCTION, "RestAPI": API})
    assert template["Resources"].keys() == FRAGMENT["Resources"].keys()
    assert template["Outputs"].keys() == FRAGMENT["Outputs"].keys()


def test_an_app_with_functions_only_gets_nothing_of_an_api() -> None:
    template = merged({"Tick": FUNCTION})
    assert template["Resources"].keys() == {"Tick", "TickAlarm", "Log", "AccessLog"}
    assert template["Outputs"].keys() == {"Log", "AccessLog"}
