"""What production asks for: the stack, the bootstrap, and the pipeline."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from cfnlint.decode import decode

from chalicekit.iam import allows
from chalicekit.pytest_plugin import EmulatedAws

Template = dict[str, Any]
PROJECT = Path(__file__).parent.parent
APP = json.loads((PROJECT / ".chalice" / "config.json").read_text(encoding="utf-8"))["app_name"]


def read(name: str) -> str:
    """Return a file of the project."""
    return (PROJECT / name).read_text(encoding="utf-8")


# The stack


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of prod, as `make package STAGE=prod` writes it."""
    folder, build = tmp_path_factory.mktemp("prod"), str(tmp_path_factory.mktemp("build"))
    kit = [sys.executable, "-m", "chalicekit", "--project-dir", str(PROJECT), "--build-dir", build]
    merged = ["--merge-template", str(PROJECT / "production" / "template.json")]
    subprocess.run([*kit, "package", "--stage", "prod", *merged, str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def template(package: Path) -> Template:
    """The template of prod's stack."""
    template: Template = json.loads((package / "sam.json").read_text(encoding="utf-8"))
    return template


def found(template: Template, kind: str) -> dict[str, Any]:
    """Return the properties of each resource of a kind by its name."""
    resources = template["Resources"].items()
    return {name: item["Properties"] for name, item in resources if item["Type"] == f"AWS::{kind}"}


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


THROTTLED = {"ThrottlingRateLimit": 500, "ThrottlingBurstLimit": 500}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("Name", {"Ref": "AWS::StackName"}),  # as the alarms call it
        # It takes no TLS before 1.2.
        ("SecurityPolicy", "SecurityPolicy_TLS13_1_2_2021_06"),
        ("EndpointAccessMode", "BASIC"),
        # It has no other stage: without this version, SAM makes one named "Stage".
        ("StageName", "prod"),
        ("OpenApiVersion", "2.0"),
        # Each update of the stack deploys it: a changed compression size has no effect without.
        ("AlwaysDeploy", True),
        # It throttles every method.
        ("MethodSettings", [{"ResourcePath": "/*", "HttpMethod": "*", **THROTTLED}]),
    ],
)
def test_the_api_has_what_chalice_cannot_set(template: Template, setting: str, value: Any) -> None:
    (api,) = found(template, "Serverless::Api").values()
    assert api[setting] == value


def test_the_access_log_has_what_the_operators_ask_for(template: Template) -> None:
    (api,) = found(template, "Serverless::Api").values()
    assert api["AccessLogSetting"]["DestinationArn"] == {"Fn::GetAtt": ["AccessLog", "Arn"]}
    fields = json.loads(api["AccessLogSetting"]["Format"])
    assert fields["requestId"] == "$context.integration.requestId"  # as in the function's log
    assert fields["extendedRequestId"] == "$context.extendedRequestId"
    assert fields["sourceIp"] == "$context.identity.sourceIp"
    assert {"method", "path", "status", "error", "latencyMs"} < fields.keys()


def test_logs_are_kept_for_thirty_days_and_listed_in_the_outputs(template: Template) -> None:
    logs = found(template, "Logs::LogGroup")
    for name in ("AccessLog", "FunctionLog"):
        assert logs[name]["RetentionInDays"] == 30
        assert template["Outputs"][name] == {"Value": {"Ref": name}}


def test_every_function_writes_json_to_one_log_and_may_do_so(template: Template) -> None:
    for function in found(template, "Serverless::Function").values():
        log = {"LogGroup": {"Ref": "FunctionLog"}, "LogFormat": "JSON", "SystemLogLevel": "WARN"}
        assert function["LoggingConfig"] == log
    name = found(template, "Logs::LogGroup")["FunctionLog"]["LogGroupName"]["Fn::Sub"]
    group = name.replace("${AWS::StackName}", f"{APP}-prod")
    stream = f"arn:aws:logs:us-east-1:123456789012:log-group:{group}:log-stream:a"
    assert allows(json.loads(read(".chalice/policy-prod.json")), "logs:PutLogEvents", stream)


def test_the_api_and_every_function_have_alarms(template: Template) -> None:
    api = {"ApiName": "AWS::StackName", "Stage": "RestAPI.Stage"}
    expected = {"ServerErrorsAlarm": ("5XXError", api), "SlowResponsesAlarm": ("Latency", api)}
    for function in found(template, "Serverless::Function"):
        expected[f"{function}ErrorsAlarm"] = ("Errors", {"FunctionName": function})
        expected[f"{function}ThrottlesAlarm"] = ("Throttles", {"FunctionName": function})
    alarms = found(template, "CloudWatch::Alarm")
    for name, watched in expected.items():
        dimensions = {item["Name"]: item["Value"]["Ref"] for item in alarms[name]["Dimensions"]}
        assert (alarms[name]["MetricName"], dimensions) == watched


def test_each_alarm_sends_an_email_and_is_on_the_operators_page(template: Template) -> None:
    (topic,) = found(template, "SNS::Topic").values()
    assert topic["Subscription"] == [{"Protocol": "email", "Endpoint": {"Ref": "AlarmEmail"}}]
    alarms = found(template, "CloudWatch::Alarm")
    assert all(alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}] for alarm in alarms.values())
    assert set(re.findall(r"`(\w+Alarm)`", read("docs/operating.md"))) <= alarms.keys()


def test_each_role_has_only_the_stage_s_policy(template: Template) -> None:
    policy = json.loads(read(".chalice/policy-prod.json"))
    for role in found(template, "IAM::Role").values():
        assert [attached["PolicyDocument"] for attached in role["Policies"]] == [policy]
        assert "ManagedPolicyArns" not in role


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_function_may_write_only_the_logs_of_its_stage(stage: str) -> None:
    policy = json.loads(read(f".chalice/policy-{stage}.json"))
    (statement,) = (item for item in policy["Statement"] if "logs:" in str(item["Action"]))
    group = f"arn:*:logs:*:*:log-group:/aws/lambda/{APP}-{stage}"
    assert statement["Resource"] == [group, f"{group}:*", f"{group}-*"]


# The bootstrap stack

POLICIES = {  # the parameters that are files
    "DevPolicy": ".chalice/policy-dev.json",
    "ProdPolicy": ".chalice/policy-prod.json",
    "DeployerPolicy": "production/deployer-policy.json",
}


@pytest.fixture
def roles(
    emulated_aws: EmulatedAws, request: pytest.FixtureRequest
) -> Iterator[dict[str, tuple[Any, Any]]]:
    """The trust and the policy of each of the bootstrap stack's roles, by its output's name.

    A test may give the parameter ProdRoles.
    """
    values = {name: re.sub(r"[ \n]", "", read(file)) for name, file in POLICIES.items()}
    values |= {"Repository": "OWNER@1/NAME@2", "OidcProviderArn": "any"}
    values |= {"ProdRoles": getattr(request, "param", "made")}
    stacks, iam = emulated_aws.client("cloudformation"), emulated_aws.client("iam")
    stacks.create_stack(
        StackName="bootstrap",
        TemplateBody=read("production/bootstrap.yaml"),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": values[key]} for key in values],
    )
    each_second = {"Delay": 1, "MaxAttempts": 60}
    created = stacks.get_waiter("stack_create_complete")
    created.wait(StackName="bootstrap", WaiterConfig=each_second)

    def trust_and_policy(arn: str) -> tuple[Any, Any]:
        role = arn.rpartition("/")[2]
        (trusted,) = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"]
        (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
        return trusted, iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]

    outputs = outputs_of(emulated_aws, "bootstrap")
    yield {name: trust_and_policy(arn) for name, arn in outputs.items() if name.endswith("RoleArn")}
    stacks.delete_stack(StackName="bootstrap")


def outputs_of(emulated_aws: EmulatedAws, stack: str) -> dict[str, str]:
    """Return the outputs of a stack."""
    stacks = emulated_aws.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stacks[0]["Outputs"]}


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_one_environment_of_github_deploys_a_stage_and_its_functions_have_its_policy(
    roles: dict[str, Any], stage: str
) -> None:
    trust, _ = roles[f"{stage.title()}RoleArn"]
    assert trust["Condition"]["StringEquals"] == {
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
        "token.actions.githubusercontent.com:sub": f"repo:OWNER@1/NAME@2:environment:{stage}",
    }
    _, policy = roles[f"{stage.title()}FunctionRoleArn"]
    assert policy == json.loads(read(f".chalice/policy-{stage}.json"))


def test_dev_s_deployer_has_the_policy_for_dev_only(roles: dict[str, Any]) -> None:
    _, policy = roles["DevRoleArn"]
    everywhere = read("production/deployer-policy.json")
    assert policy == json.loads(everywhere.replace(f"{APP}-*", f"{APP}-dev*"))
    assert not allows(policy, "iam:CreateRole", f"arn:aws:iam::1:role/{APP}-prod-api_handler")


@pytest.mark.parametrize(
    ("roles", "makes_roles"), [("made", True), ("given", False)], indirect=["roles"]
)
def test_prod_s_deployer_makes_roles_only_if_the_administrator_lets_it(
    roles: dict[str, Any], makes_roles: bool
) -> None:
    _, policy = roles["ProdExecutionRoleArn"]
    role = f"arn:aws:iam::1:role/{APP}-prod-function-us-east-1"
    assert allows(policy, "iam:PassRole", role)
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"):
        assert allows(policy, action, role) == makes_roles


def test_the_bootstrap_leaves_what_others_need_and_fits_into_a_second_region() -> None:
    template, _ = decode(str(PROJECT / "production" / "bootstrap.yaml"))
    policies = {name: item.get("DeletionPolicy") for name, item in template["Resources"].items()}
    kept = {name for name, policy in policies.items() if policy == "RetainExceptOnCreate"}
    assert kept == {"OidcProvider", "Bucket", "ApiGatewayLogsRole", "ApiGatewayAccount"}
    for role in found(template, "IAM::Role").values():
        assert "RoleName" not in role or role["RoleName"]["Fn::Sub"].endswith("-${AWS::Region}")


# The pipeline and the commands of docs/production.md

WORKFLOW = yaml.safe_load(read(".github/workflows/deploy.yml"))
needs_aws_cli = pytest.mark.skipif(
    subprocess.run("aws --version", shell=True, capture_output=True).returncode != 0,
    reason="the AWS CLI does not run",
)


def test_only_the_jobs_that_call_aws_get_credentials_and_prod_runs_no_repository_code() -> None:
    jobs = WORKFLOW["jobs"]
    asking = {name for name, job in jobs.items() if "id-token" in job["permissions"]}
    calling = {name for name, job in jobs.items() if "configure-aws-credentials" in str(job)}
    assert asking == calling == {"dev", "prod"}
    assert not any("checkout" in step.get("uses", "") for step in jobs["prod"]["steps"])
    assert jobs["prod"]["needs"] == ["package", "dev"]


def test_every_python_that_the_kit_accepts_is_tested() -> None:
    strategy = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]["test"]["strategy"]
    assert strategy["matrix"]["python"] == ["3.10", "3.11", "3.12", "3.13", "3.14"]
    assert 'requires-python = ">=3.10,<3.15"' in read("kit/pyproject.toml")


def run(script: str, folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a script of bash as GitHub does, in the emulated AWS; all that it prints is in stdout."""
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


TEXT = {"Type": "String"}
QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::Sub": "${App}-${Stage}-q"}}}
RESOURCES = {"Parameters": {"App": TEXT, "Stage": TEXT}, "Resources": {"Queue": QUEUE}}


@pytest.fixture
def deploy_prod(emulated_aws: EmulatedAws, package: Path, tmp_path: Path) -> Iterator[Any]:
    """Runs the pipeline's job for prod, up to the question to the API, with a changed package.

    It takes a function that changes the resources of the package's template; returns whether the
    job succeeds, and what it prints.
    """
    shutil.copytree(package, tmp_path, dirs_exist_ok=True)
    own_resources = list(PROJECT.glob(".chalice/resources.*"))
    for file in own_resources:
        shutil.copy(file, tmp_path)
    if not own_resources:
        (tmp_path / "resources.json").write_text(json.dumps(RESOURCES), encoding="utf-8")
    emulated_aws.client("s3").create_bucket(Bucket="prod-packages")
    variables = {
        "STACK": f"{APP}-prod",
        "BUCKET": "prod-packages",
        "EXECUTION_ROLE_ARN": "arn:aws:iam::000000000000:role/execution",
        "ALARM_EMAIL": "you@example.com",
    }
    *steps, why, _ = [step["run"] for step in WORKFLOW["jobs"]["prod"]["steps"] if "run" in step]

    def job(change: Callable[[Template], None]) -> tuple[bool, str]:
        template = json.loads((package / "sam.json").read_text(encoding="utf-8"))
        change(template["Resources"])
        (tmp_path / "sam.json").write_text(json.dumps(template), encoding="utf-8")
        for step in steps:
            done = run(step, tmp_path, **variables)
            if done.returncode:
                return False, done.stdout + run(why, tmp_path, **variables).stdout
        return True, done.stdout

    yield job
    # The resources stay: deleting their stack keeps the data, and a new stack would not take it.
    emulated_aws.client("cloudformation").delete_stack(StackName=f"{APP}-prod")


def as_it_is(resources: Template) -> None:
    """Change nothing."""


def break_it(resources: Template) -> None:
    """Add a resource that cannot be made."""
    nobody = {"TargetFunctionArn": "nobody", "AuthType": "NONE"}
    resources["Broken"] = {"Type": "AWS::Lambda::Url", "Properties": nobody}


def enlarge(resources: Template) -> None:
    """Give the function more memory than it has."""
    resources["APIHandler"]["Properties"]["MemorySize"] = 1024


@needs_aws_cli
def test_the_pipeline_says_why_a_first_deploy_failed_and_the_next_run_recovers(
    emulated_aws: EmulatedAws, deploy_prod: Any
) -> None:
    def stack() -> Any:
        stacks = emulated_aws.client("cloudformation")
        return stacks.describe_stacks(StackName=f"{APP}-prod")["Stacks"][0]

    succeeds, printed = deploy_prod(break_it)
    assert not succeeds
    assert re.search(r"Broken.*not found: nobody", printed)
    assert stack()["StackStatus"] == "ROLLBACK_COMPLETE"
    succeeds, printed = deploy_prod(as_it_is)
    assert succeeds, printed
    assert stack()["StackStatus"] == "CREATE_COMPLETE"
    assert {"Key": "stage", "Value": "prod"} in stack()["Tags"]


@needs_aws_cli
def test_running_the_job_of_an_earlier_package_again_rolls_back(
    emulated_aws: EmulatedAws, deploy_prod: Any
) -> None:
    sizes = []
    for change in (as_it_is, enlarge, as_it_is):
        succeeds, printed = deploy_prod(change)
        assert succeeds, printed
        name = outputs_of(emulated_aws, f"{APP}-prod")["APIHandlerName"]
        functions = emulated_aws.client("lambda")
        sizes.append(functions.get_function_configuration(FunctionName=name)["MemorySize"])
    assert sizes[0] == sizes[2] != sizes[1]


@needs_aws_cli
def test_the_commands_of_the_production_page_work_in_the_emulated_aws(
    emulated_aws: EmulatedAws, tmp_path: Path
) -> None:
    for name in ("app.py", "chalicelib", ".chalice", "production", "requirements.txt", "Makefile"):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, tmp_path / name)
    resources = tmp_path / ".chalice" / "resources.json"
    resources.write_text(json.dumps(RESOURCES), encoding="utf-8")
    page = read("docs/production.md").split("## The pipeline")[0]
    page = page.replace("AlarmEmail=you@example.com MonthlyBudget=50", "OidcProviderArn=any")
    logs = "make logs STAGE=prod"
    page = page.replace(logs, f"{logs} AWS=emulated AWS_PORT={emulated_aws.url.rpartition(':')[2]}")
    account, data, deploy, look, delete, _ = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    for commands in (account, data, deploy, deploy, look):
        done = run(commands, tmp_path, MAKEFLAGS=f"VENV={sys.prefix}")
        assert done.returncode == 0, done.stdout
    api = outputs_of(emulated_aws, f"{APP}-prod")["RestAPIId"]
    url = f"{emulated_aws.url}/_aws/execute-api/{api}/prod"
    assert requests.get(url + WORKFLOW["env"]["CHECKED_PATH"], timeout=60).status_code == 200
    unknown = requests.get(f"{url}/nothing-is-here", timeout=60)
    assert (unknown.status_code, unknown.json()) == (404, {"message": "Not Found"})
    tags = emulated_aws.client("apigateway").get_rest_api(restApiId=api)["tags"]
    assert tags["stage"] == "prod"  # what the deployers' policies deny
    assert run(delete, tmp_path).returncode == 0
    stacks = emulated_aws.client("cloudformation")
    for name in ("prod-resources", "bootstrap"):
        assert stacks.describe_stacks(StackName=f"{APP}-{name}")
        stacks.delete_stack(StackName=f"{APP}-{name}")
