"""What production asks for: the stack of `make package`, and who may deploy."""

import json
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from botocore.exceptions import ClientError
from cfnlint.decode import decode
from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform

from tests.processes import REPOSITORY
from tests.project import Project, client, copy_files

Template = dict[str, Any]
CFN_LINT = str(Path(sys.executable).with_name("cfn-lint"))
ADDED = ".chalice/template.json"
BOOTSTRAP = REPOSITORY / ".chalice" / "bootstrap.yaml"
ALARM_EMAIL = {"AlarmEmail": "you@example.com"}
CAPABILITIES = ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
EACH_SECOND = {"Delay": 1, "MaxAttempts": 60}
share_packages = pytest.mark.xdist_group("packages of prod and staging")
ANOTHER_STATEMENT = {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "*"}
A_SCHEDULE = '''
@app.schedule("rate(1 hour)")
def tick(event):
    """Run each hour."""
'''
LISTS_BUCKETS = '''
import boto3


@app.route("/buckets")
def buckets():
    """List the account's buckets."""
    s3 = boto3.client("s3")
    return s3.list_buckets()
'''


def new_project(folder: Path) -> Project:
    """Return the tests' own app, with what `make package` adds to its template."""
    project = Project(folder)
    copy_files(REPOSITORY / ADDED, project.folder / ADDED)
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project to change or to deploy."""
    return new_project(tmp_path / "project")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The template of prod, for tests that change nothing."""
    return packaged(new_project(tmp_path_factory.mktemp("prod") / "project"))


@pytest.fixture(scope="module")
def stack(template: Template) -> Template:
    """The same after the SAM transform."""
    return transformed(template)


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a schedule, and with the stage staging, whose policy has another statement."""
    project = new_project(tmp_path_factory.mktemp("staging") / "project")
    project.append(A_SCHEDULE)
    project.change('"prod": {', '"staging": {', ".chalice/config.json")
    folder = project.folder / ".chalice"
    policy = json.loads((folder / "policy-prod.json").read_text(encoding="utf-8"))
    policy["Statement"].append(ANOTHER_STATEMENT)
    text = json.dumps(policy).replace("-prod", "-staging")
    (folder / "policy-staging.json").write_text(text, encoding="utf-8")
    project.package("staging")
    return project


def read(name: str) -> str:
    """Return a file of the repository."""
    return (REPOSITORY / name).read_text(encoding="utf-8")


def packaged(project: Project, stage: str = "prod") -> Template:
    """Return the template that `make package` writes, as `aws cloudformation package` leaves it."""
    return read_template(project.package(stage))


def read_template(build: Path) -> Template:
    """Return a template that `make package` has written, with the package in a bucket."""
    text = (build / "sam.json").read_text(encoding="utf-8")
    template: Template = json.loads(text.replace("./deployment.zip", "s3://bucket/deployment.zip"))
    return template


def transformed(template: Template) -> Template:
    """Return the template after the SAM transform, as CloudFormation makes the stack from it."""
    loader = ManagedPolicyLoader(client("iam"))
    stack: Template = transform(deepcopy(template), ALARM_EMAIL, loader)
    return stack


def found(template: Template, kind: str) -> dict[str, Any]:
    """Return the properties of each resource of a kind by its name."""
    resources = template["Resources"].items()
    return {name: item["Properties"] for name, item in resources if item["Type"] == f"AWS::{kind}"}


def only(template: Template, kind: str) -> Any:
    """Return the properties of the only resource of a kind."""
    (properties,) = found(template, kind).values()
    return properties


def test_cfn_lint_accepts_your_stack_and_the_bootstrap_template(tmp_path: Path) -> None:
    template = packaged(Project(tmp_path / "project", app=REPOSITORY))
    for name, content in (("template", template), ("stack", transformed(template))):
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    # W2531: the runtime is that of the Python at work, and AWS has begun to retire 3.10.
    command = [CFN_LINT, "--ignore-checks", "W2531", "--template"]
    command += [str(BOOTSTRAP), *map(str, tmp_path.glob("*.json"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "")


@share_packages
def test_an_unknown_path_or_method_gets_404(stack: Template) -> None:
    body = only(stack, "ApiGateway::RestApi")["Body"]
    assert body["x-amazon-apigateway-gateway-responses"] == {
        "MISSING_AUTHENTICATION_TOKEN": {
            "statusCode": "404",
            "responseTemplates": {"application/json": '{"message":"Not Found"}'},
            "responseParameters": {},
        }
    }


@share_packages
def test_the_api_throttles_every_method(stack: Template) -> None:
    assert only(stack, "ApiGateway::Stage")["MethodSettings"] == [
        {
            "ResourcePath": "/*",
            "HttpMethod": "*",
            "ThrottlingRateLimit": 500,
            "ThrottlingBurstLimit": 500,
        }
    ]


@share_packages
def test_the_access_log_uses_the_request_ids_of_the_function_s_log(stack: Template) -> None:
    log = only(stack, "ApiGateway::Stage")["AccessLogSetting"]
    assert log["DestinationArn"] == {"Fn::GetAtt": ["AccessLog", "Arn"]}
    assert json.loads(log["Format"]) == {
        "extendedRequestId": "$context.extendedRequestId",
        "requestId": "$context.integration.requestId",
        "apiRequestId": "$context.requestId",
        "method": "$context.httpMethod",
        "path": "$context.resourcePath",
        "status": "$context.status",
        "error": "$context.error.responseType",
        "latencyMs": "$context.responseLatency",
        "bytes": "$context.responseLength",
    }


@share_packages
def test_sam_creates_no_extra_stage(stack: Template) -> None:
    assert only(stack, "ApiGateway::Stage")["StageName"] == "prod"
    assert "StageName" not in only(stack, "ApiGateway::Deployment")


@share_packages
def test_each_update_of_the_stack_deploys_the_api(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployments = set()
    for now in (1, 2):  # without it, a changed minimum_compression_size has no effect
        monkeypatch.setattr("samtranslator.model.apigateway.time.time", lambda now=now: now)
        deployments |= set(found(transformed(template), "ApiGateway::Deployment"))
    assert len(deployments) == 2


@share_packages
def test_logs_are_kept_for_thirty_days_and_listed_in_the_outputs(template: Template) -> None:
    tags = found(template, "Serverless::Function")["APIHandler"]["Tags"]
    app_name = tags["aws-chalice"].rpartition("app=")[2]
    assert found(template, "Logs::LogGroup") == {
        "AccessLog": {"RetentionInDays": 30},
        "FunctionLog": {
            "LogGroupName": {"Fn::Sub": f"/aws/lambda/{app_name}-prod-${{AWS::StackName}}"},
            "RetentionInDays": 30,
        },
    }
    for name in ("AccessLog", "FunctionLog"):
        assert template["Outputs"][name] == {"Value": {"Ref": name}}


@share_packages
def test_every_function_has_a_log_and_alarms_in_every_stage(staging: Project) -> None:
    template = read_template(staging.folder / "build")
    functions = found(template, "Serverless::Function")
    assert set(functions) == {"APIHandler", "Tick"}
    log = {"LogGroup": {"Ref": "FunctionLog"}, "LogFormat": "JSON", "SystemLogLevel": "WARN"}
    assert [function["LoggingConfig"] for function in functions.values()] == [log, log]
    watched = [
        (alarm["MetricName"], dimension["Value"]["Ref"])
        for alarm in found(template, "CloudWatch::Alarm").values()
        for dimension in alarm["Dimensions"]
        if dimension["Name"] == "FunctionName"
    ]
    metrics = ("Errors", "Throttles")
    assert sorted(watched) == sorted((metric, name) for metric in metrics for name in functions)
    assert len(found(template, "CloudWatch::Alarm")) == 6
    assert "-prod" not in json.dumps(template)


@share_packages
def test_alarms_watch_errors_throttles_and_slow_responses_of_this_stack(stack: Template) -> None:
    (stage,) = found(stack, "ApiGateway::Stage")
    name = only(stack, "ApiGateway::RestApi")["Name"]
    assert name == {"Ref": "AWS::StackName"}
    api = [{"Name": "ApiName", "Value": name}, {"Name": "Stage", "Value": {"Ref": stage}}]
    function = [{"Name": "FunctionName", "Value": {"Ref": "APIHandler"}}]
    alarms = found(stack, "CloudWatch::Alarm").values()
    assert {alarm["MetricName"]: alarm["Dimensions"] for alarm in alarms} == {
        "5XXError": api,
        "Latency": api,
        "Errors": function,
        "Throttles": function,
    }
    assert all(alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}] for alarm in alarms)


@share_packages
def test_each_role_has_only_the_stage_s_policy(staging: Project) -> None:
    roles = found(transformed(read_template(staging.folder / "build")), "IAM::Role")
    policy = json.loads((staging.folder / ".chalice" / "policy-staging.json").read_text())
    assert set(roles) == {"ApiHandlerRole", "TickRole"}
    for role in roles.values():
        assert [attached["PolicyDocument"] for attached in role["Policies"]] == [policy]
        assert "ManagedPolicyArns" not in role


def test_an_autogen_policy_reaches_the_role(project: Project) -> None:
    project.change('"autogen_policy": false', '"autogen_policy": true', ".chalice/config.json")
    project.append(LISTS_BUCKETS)
    role = only(transformed(packaged(project)), "IAM::Role")
    assert "s3:ListAllMyBuckets" in json.dumps(role["Policies"])


@share_packages
def test_the_policy_allows_the_function_to_write_the_stack_s_log(stack: Template) -> None:
    name = found(stack, "Logs::LogGroup")["FunctionLog"]["LogGroupName"]["Fn::Sub"]
    stream = f"arn:aws:logs:eu-west-1:1:log-group:{name}:log-stream:a"
    (statement,) = only(stack, "IAM::Role")["Policies"][0]["PolicyDocument"]["Statement"]
    assert any(fnmatch(stream, resource) for resource in statement["Resource"])


@share_packages
def test_the_function_runs_on_arm(stack: Template) -> None:
    assert only(stack, "Lambda::Function")["Architectures"] == ["arm64"]


def deploy_stack(
    name: str, template: str, parameters: dict[str, str], update: bool = False
) -> dict[str, str]:
    """Make a stack, or update it; return its outputs."""
    stacks = client("cloudformation")
    act, done = (
        (stacks.update_stack, "stack_update_complete")
        if update
        else (stacks.create_stack, "stack_create_complete")
    )
    act(
        StackName=name,
        TemplateBody=template,
        Capabilities=CAPABILITIES,
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
    )
    stacks.get_waiter(done).wait(StackName=name, WaiterConfig=EACH_SECOND)
    (stack,) = stacks.describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def delete_stack(name: str) -> None:
    """Delete a stack."""
    stacks = client("cloudformation")
    stacks.delete_stack(StackName=name)
    stacks.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=EACH_SECOND)


def test_two_stacks_share_nothing_from_creation_to_deletion(project: Project) -> None:
    package = project.package("prod")
    client("s3").create_bucket(Bucket=project.name)
    code = (package / "deployment.zip").read_bytes()
    client("s3").put_object(Bucket=project.name, Key="deployment.zip", Body=code)
    template = (package / "sam.json").read_text(encoding="utf-8")
    template = template.replace("./deployment.zip", f"s3://{project.name}/deployment.zip")
    changed = template.replace('"Timeout": 5', '"Timeout": 6')
    blue = deploy_stack(f"{project.name}-blue", template, ALARM_EMAIL)
    green = deploy_stack(f"{project.name}-green", template, ALARM_EMAIL)
    assert not set(blue.values()) & set(green.values())
    assert deploy_stack(f"{project.name}-blue", changed, ALARM_EMAIL, update=True) == blue
    function = client("lambda").get_function_configuration(FunctionName=blue["APIHandlerName"])
    assert function["Timeout"] == 6
    assert function["LoggingConfig"]["LogGroup"] == blue["FunctionLog"]
    delete_stack(f"{project.name}-blue")
    url = f"{project.environment['AWS_ENDPOINT_URL']}/_aws/execute-api/{green['RestAPIId']}"
    assert requests.get(f"{url}/prod/", timeout=60).text == "a sample"
    unknown = requests.get(f"{url}/prod/nothing", timeout=60)
    assert (unknown.status_code, unknown.json()) == (404, {"message": "Not Found"})
    delete_stack(f"{project.name}-green")
    assert project.left_in_aws() == {"apis": 0, "functions": 0, "roles": 0}


@share_packages
@pytest.mark.parametrize("parameters", [{}, {"AlarmEmail": ""}], ids=["absent", "empty"])
def test_a_stack_requires_an_email_address_for_its_alarms(
    template: Template, parameters: dict[str, str]
) -> None:
    with pytest.raises(ClientError, match="AlarmEmail"):
        deploy_stack("refused", json.dumps(template), parameters)


def trust_and_policies(outputs: dict[str, str], name: str) -> tuple[Any, list[Any]]:
    """Return the trust policy and the policies of a role that a stack has in its outputs."""
    iam, role = client("iam"), outputs[name].rpartition("/")[2]
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policies = [iam.get_role_policy(RoleName=role, PolicyName=policy) for policy in names]
    trust = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    return trust, [policy["PolicyDocument"] for policy in policies]


bootstrap_stack = pytest.mark.xdist_group("bootstrap stack")  # an account has only one


@pytest.fixture
def bootstrap() -> Iterator[dict[str, str]]:
    """The outputs of the bootstrap stack, in an account that has GitHub's OIDC provider."""
    template, _ = decode(str(BOOTSTRAP))
    del template["Resources"]["OidcProvider"]  # MiniStack has no such type
    parameters = {
        "Repository": "OWNER@1/NAME@2",
        "OidcProviderArn": "arn:aws:iam::000000000000:oidc-provider/github",
        "DeployerPolicy": read(".chalice/deployer-policy-makes-roles.json"),
        "DevPolicy": read(".chalice/policy-dev.json"),
    }
    yield deploy_stack("bootstrap", json.dumps(template), parameters)
    delete_stack("bootstrap")


@bootstrap_stack
def test_the_bootstrap_stack_trusts_one_environment_per_stage(bootstrap: dict[str, str]) -> None:
    for stage, name in {"dev": "DevRoleArn", "prod": "ProdRoleArn"}.items():
        (statement,) = trust_and_policies(bootstrap, name)[0]["Statement"]
        assert statement["Condition"]["StringEquals"] == {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": f"repo:OWNER@1/NAME@2:environment:{stage}",
        }
    deployer = read(".chalice/deployer-policy-makes-roles.json")
    only_dev = json.loads(deployer.replace("hello-chalice-*", "hello-chalice-dev*"))
    assert trust_and_policies(bootstrap, "DevRoleArn")[1] == [only_dev] != [json.loads(deployer)]
    function = json.loads(read(".chalice/policy-dev.json"))
    assert trust_and_policies(bootstrap, "DevFunctionRoleArn")[1] == [function]


@bootstrap_stack
def test_deleting_the_bootstrap_stack_keeps_the_bucket_and_the_log_role(
    bootstrap: dict[str, str],
) -> None:
    delete_stack("bootstrap")
    assert client("s3").get_bucket_encryption(Bucket=bootstrap["Bucket"])
    assert client("apigateway").get_account()["cloudwatchRoleArn"]
    with pytest.raises(ClientError, match="NoSuchEntity"):
        trust_and_policies(bootstrap, "DevRoleArn")


def test_only_the_jobs_that_call_aws_get_credentials_and_prod_runs_no_repository_code() -> None:
    jobs = yaml.safe_load(read(".github/workflows/deploy.yml"))["jobs"]
    asking = {name for name, job in jobs.items() if "id-token" in job["permissions"]}
    calling = {name for name, job in jobs.items() if "configure-aws-credentials" in str(job)}
    assert asking == calling == {"dev", "prod"}
    assert not any("checkout" in step.get("uses", "") for step in jobs["prod"]["steps"])
    assert jobs["prod"]["needs"] == ["package", "dev"]
