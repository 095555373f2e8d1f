"""Prod's stack: what `template.json` adds to Chalice's template, and why."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chalicekit.iam import allows
from production.shared import APP, PROJECT, Template, properties_by_name, read


@pytest.fixture(scope="module")
def template(package: Path) -> Template:
    """The template of prod's stack."""
    template: Template = json.loads((package / "sam.json").read_text(encoding="utf-8"))
    return template


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        # No TLS before 1.2
        ("SecurityPolicy", "SecurityPolicy_TLS13_1_2_2021_06"),
        # Such a policy needs a mode; STRICT also wants TLS's host name to be that of the request.
        ("EndpointAccessMode", "BASIC"),
        # Without this version, SAM makes a second stage, named "Stage".
        ("OpenApiVersion", "2.0"),
        # Each update deploys the API; otherwise a changed compression size alone has no effect.
        ("AlwaysDeploy", True),
        # The alarms' dimension ApiName
        ("Name", {"Ref": "AWS::StackName"}),
        (
            "MethodSettings",
            [
                {
                    "ResourcePath": "/*",
                    "HttpMethod": "*",
                    "ThrottlingRateLimit": 500,  # docs/scale-and-cost.md
                    "ThrottlingBurstLimit": 500,
                }
            ],
        ),
    ],
)
def test_the_api_has_what_chalice_cannot_set(template: Template, setting: str, value: Any) -> None:
    (api,) = properties_by_name(template, "Serverless::Api").values()
    assert api[setting] == value


def test_the_access_log_has_what_the_operators_ask_for(template: Template) -> None:
    (api,) = properties_by_name(template, "Serverless::Api").values()
    assert api["AccessLogSetting"]["DestinationArn"] == {"Fn::GetAtt": ["AccessLog", "Arn"]}
    fields = json.loads(api["AccessLogSetting"]["Format"])
    assert fields["requestId"] == "$context.integration.requestId"  # as in the function's log
    assert fields["extendedRequestId"] == "$context.extendedRequestId"
    assert fields["sourceIp"] == "$context.identity.sourceIp"
    assert {"method", "path", "status", "error", "latencyMs"} < fields.keys()


def test_logs_are_kept_for_thirty_days_and_listed_in_the_outputs(template: Template) -> None:
    logs = properties_by_name(template, "Logs::LogGroup")
    for name in ("AccessLog", "FunctionLog"):
        assert logs[name]["RetentionInDays"] == 30
        assert template["Outputs"][name] == {"Value": {"Ref": name}}


def test_every_function_writes_json_to_one_log_and_may_do_so(template: Template) -> None:
    for function in properties_by_name(template, "Serverless::Function").values():
        log = {"LogGroup": {"Ref": "FunctionLog"}, "LogFormat": "JSON", "SystemLogLevel": "WARN"}
        assert function["LoggingConfig"] == log
    name = properties_by_name(template, "Logs::LogGroup")["FunctionLog"]["LogGroupName"]["Fn::Sub"]
    group = name.replace("${AWS::StackName}", f"{APP}-prod")
    stream = f"arn:aws:logs:us-east-1:123456789012:log-group:{group}:log-stream:a"
    assert allows(json.loads(read(".chalice/policy-prod.json")), "logs:PutLogEvents", stream)


def test_the_api_and_every_function_have_alarms(template: Template) -> None:
    api = {"ApiName": "AWS::StackName", "Stage": "RestAPI.Stage"}
    expected = {"ServerErrorsAlarm": ("5XXError", api), "SlowResponsesAlarm": ("Latency", api)}
    for function in properties_by_name(template, "Serverless::Function"):
        expected[f"{function}ErrorsAlarm"] = ("Errors", {"FunctionName": function})
        expected[f"{function}ThrottlesAlarm"] = ("Throttles", {"FunctionName": function})
    alarms = properties_by_name(template, "CloudWatch::Alarm")
    for name, watched in expected.items():
        dimensions = {item["Name"]: item["Value"]["Ref"] for item in alarms[name]["Dimensions"]}
        assert (alarms[name]["MetricName"], dimensions) == watched


def test_each_alarm_sends_an_email_and_is_on_the_operators_page(template: Template) -> None:
    (topic,) = properties_by_name(template, "SNS::Topic").values()
    assert topic["Subscription"] == [{"Protocol": "email", "Endpoint": {"Ref": "AlarmEmail"}}]
    alarms = properties_by_name(template, "CloudWatch::Alarm")
    assert all(alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}] for alarm in alarms.values())
    assert set(re.findall(r"`(\w+Alarm)`", read("docs/operating.md"))) <= alarms.keys()


def test_each_role_has_only_the_stage_s_policy(template: Template) -> None:
    policy = json.loads(read(".chalice/policy-prod.json"))
    for role in properties_by_name(template, "IAM::Role").values():
        assert [attached["PolicyDocument"] for attached in role["Policies"]] == [policy]
        assert "ManagedPolicyArns" not in role


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_function_may_write_only_the_logs_of_its_stage(stage: str) -> None:
    policy = json.loads(read(f".chalice/policy-{stage}.json"))
    (statement,) = (item for item in policy["Statement"] if "logs:" in str(item["Action"]))
    group = f"arn:*:logs:*:*:log-group:/aws/lambda/{APP}-{stage}"
    assert statement["Resource"] == [group, f"{group}:*", f"{group}-*"]


def test_cfn_lint_accepts_the_stack_the_bootstrap_and_the_resources(
    package: Path, tmp_path: Path
) -> None:
    stack = tmp_path / "stack.json"  # as `aws cloudformation package` leaves it
    text = (package / "sam.json").read_text(encoding="utf-8")
    stack.write_text(text.replace("./deployment.zip", "s3://bucket/a.zip"), encoding="utf-8")
    templates = [stack, "production/bootstrap.yaml", *PROJECT.glob(".chalice/resources.*")]
    cfn_lint = [str(Path(sys.executable).with_name("cfn-lint"))]
    cfn_lint += ["--ignore-checks", "W2531", "--"]  # AWS has begun to retire Python 3.10
    done = subprocess.run(
        [*cfn_lint, *map(str, templates)], cwd=PROJECT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")
