"""`make deploy`, `url`, `logs` and `delete`: URLs, logs, permissions and refusals."""

import base64
import fcntl
import hashlib
import json
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest
import requests

from chalicekit.runtime.events import proxy_event
from tests.processes import REPOSITORY
from tests.project import Project, client
from chalicekit.deploy import main, read_record

share_deployment = pytest.mark.xdist_group("deployed")


def get(url: str) -> requests.Response:
    """Return the response to a GET."""
    return requests.get(url, timeout=60)


class Deployed(NamedTuple):
    """A project that is deployed, and its URL."""

    project: Project
    url: str


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """The tests' app, for tests that do not deploy or delete it."""
    project = Project(tmp_path_factory.mktemp("deployed") / "project")
    return Deployed(project, project.deploy())


@share_deployment
def test_chalice_invokes_the_deployed_function(deployed: Deployed) -> None:
    event = json.dumps(proxy_event("/"))
    invoke = ["--project-dir", "build/dev", "invoke", "--name", "api_handler"]
    printed = deployed.project.chalice(*invoke, stdin=event)
    assert json.loads(printed)["body"] == "a sample"


@share_deployment
def test_an_error_is_a_plain_500(deployed: Deployed) -> None:
    response = get(deployed.url + "/error")
    assert response.status_code == 500
    assert "secret" not in response.text
    assert "Traceback" not in response.text


@share_deployment
def test_logs_are_those_of_the_last_ten_minutes_with_tracebacks(deployed: Deployed) -> None:
    get(deployed.url + "/error")
    group = {"logGroupName": f"/aws/lambda/{deployed.project.name}-dev"}
    stream = client("logs").describe_log_streams(**group)["logStreams"][0]["logStreamName"]
    events = [
        {"timestamp": int((time.time() - 60 * minutes) * 1000), "message": f"{minutes} minutes ago"}
        for minutes in (11, 9)
    ]
    client("logs").put_log_events(**group, logStreamName=stream, logEvents=events)
    logs = deployed.project.make("logs")
    assert "ValueError: a secret" in logs
    assert "9 minutes ago" in logs
    assert "11 minutes ago" not in logs


@share_deployment
def test_deploy_uploads_the_deployment_package(deployed: Deployed) -> None:
    function = client("lambda").get_function(FunctionName=f"{deployed.project.name}-dev")
    # The code of prod is the same, and other tests use build/dev as the deploy left it.
    package = (deployed.project.package("prod") / "deployment.zip").read_bytes()
    uploaded = base64.b64decode(function["Configuration"]["CodeSha256"])
    assert uploaded == hashlib.sha256(package).digest()


@share_deployment
def test_a_cut_record_is_restored(deployed: Deployed) -> None:
    record = deployed.project.folder / "build" / "emulated" / "dev.json"
    content = record.read_text(encoding="utf-8")
    for cut in ("", "{}", content[: len(content) // 2]):
        record.write_text(cut, encoding="utf-8")
        assert read_record(record) == []
    assert deployed.project.make("url") == f"{deployed.url}/\n"
    assert read_record(record)


@share_deployment
def test_the_emulated_aws_scales_with_the_load(deployed: Deployed, record_property: Any) -> None:
    def instances(requests: int, connections: int) -> int:
        with ThreadPoolExecutor(connections) as threads:
            urls = [deployed.url + "/process"] * requests
            responses = list(threads.map(get, urls))
        assert {response.status_code for response in responses} == {200}
        return len({response.text for response in responses})

    alone, together = instances(20, 1), instances(160, 16)
    record_property(
        "shown", f"The emulated AWS: 1 connection met {alone} instance, 16 met {together}."
    )
    assert alone == 1 < together


def test_two_stages_are_independent_until_they_are_deleted(project: Project) -> None:
    dev, prod = project.deploy("dev"), project.deploy("prod")
    folder = project.folder / ".chalice"
    config = json.loads((folder / "config.json").read_text())
    for stage, settings in config["stages"].items():
        name = f"{project.name}-{stage}"
        function = client("lambda").get_function(FunctionName=name)
        assert function["Configuration"]["MemorySize"] == settings["lambda_memory_size"]
        assert function["Configuration"]["Timeout"] == settings["lambda_timeout"]
        variables = function["Configuration"]["Environment"]["Variables"]
        assert variables == settings["environment_variables"]
        assert function["Tags"]["stage"] == stage
        role = {"RoleName": f"{name}-api_handler"}
        (policy,) = client("iam").list_role_policies(**role)["PolicyNames"]
        document = client("iam").get_role_policy(**role, PolicyName=policy)["PolicyDocument"]
        assert document == json.loads((folder / f"policy-{stage}.json").read_text())
    project.change("a sample", "a change")
    assert project.deploy("dev") == dev
    assert [get(url).text for url in (dev, prod)] == ["a change", "a sample"]
    project.make("delete", "dev")
    assert get(prod).text == "a sample"
    assert get(dev).status_code != 200
    for _ in range(2):  # nothing left to do is no error
        deleted = project.make("delete", "prod")
        assert deleted.endswith("Deleted. Only the logs are left in AWS.\n")
        assert "{" not in deleted  # no line of a log
    assert project.left_in_aws() == {"apis": 0, "functions": 0, "roles": 0}


def test_plain_chalice_deploys_too(project: Project) -> None:
    project.chalice("deploy", "--stage", "dev")
    assert get(project.make("url").strip()).text == "a sample"


Refusal = Callable[..., str]


@pytest.fixture
def refusal(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Refusal]:
    """Returns the line with which a command exits; it takes a command, a stage and variables."""
    for module in ("deploy", "lock", "package", "recovery", "settings"):
        monkeypatch.setattr(f"tools.{module}.PROJECT", project.folder)

    def refusal_of(command: str, stage: str = "dev", **environment: str) -> str:
        for name, value in (project.environment | environment).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as exit_:
            main(command, stage)
        line = exit_.value.code
        assert isinstance(line, str)
        assert (capsys.readouterr().out, line.count("\n")) == ("", 0)
        return line

    logging.disable()  # an app that another test has imported logs to standard output
    yield refusal_of
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"AWS_DEFAULT_REGION": ""}, "No region is set: choose one"),
        ({"AWS_PROFILE": "nobody"}, "The AWS settings cannot be used: The config profile"),
        ({"AWS_ENDPOINT_URL": "127.0.0.1"}, "The AWS settings cannot be used: Invalid endpoint"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "http://127.0.0.1:9 does not respond"),
        ({"AWS_ACCESS_KEY_ID": ""}, "No AWS credentials are set: run `aws configure`"),
    ],
)
def test_unusable_aws_settings_are_refused_in_one_line(
    project: Project, environment: dict[str, str], message: str
) -> None:
    for name in [name for name, value in environment.items() if not value]:
        del project.environment[name]
    command = [sys.executable, "-m", "tools.deploy", "deploy", "dev"]
    done = subprocess.run(
        command,
        cwd=project.folder,
        env=project.environment | {k: v for k, v in environment.items() if v},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
    assert done.stderr.startswith(message)


@pytest.mark.parametrize("command", ["deploy", "url", "logs", "delete"])
def test_every_command_refuses_a_stage_that_is_not_configured(
    refusal: Refusal, command: str
) -> None:
    message = "STAGE=prd is not in .chalice/config.json: choose dev or prod."
    assert refusal(command, "prd") == message


@pytest.mark.parametrize("body", ["<!doctype html><p>hello</p>", '{"hello": "world"}', "\0\xff"])
def test_a_server_that_is_not_aws_is_named(refusal: Refusal, body: str) -> None:
    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            message = refusal("deploy", AWS_ENDPOINT_URL=url)
        finally:  # its thread would go on, with a closed socket
            server.shutdown()
    assert message == f"{url} does not respond like AWS: is it another server?"


def test_an_endpoint_of_the_aws_configuration_is_an_emulated_aws(
    project: Project, tmp_path: Path
) -> None:
    endpoint = project.environment.pop("AWS_ENDPOINT_URL")
    (tmp_path / "config").write_text(f"[default]\nendpoint_url = {endpoint}\n")
    command = [sys.executable, "-m", "tools.deploy", "deploy", "dev"]
    printed = project.run(*command, AWS_CONFIG_FILE=str(tmp_path / "config"), AWS_ENDPOINT_URL="")
    assert get(printed.split()[-1]).text == "a sample"
    assert not (project.folder / ".chalice" / "deployed").exists()


def test_a_stage_without_a_policy_is_refused(project: Project, refusal: Refusal) -> None:
    (project.folder / ".chalice" / "policy-dev.json").unlink()
    message = refusal("deploy")
    assert message.startswith(".chalice/policy-dev.json is missing: copy another stage's policy")


def test_a_policy_copied_from_another_stage_is_refused(project: Project, refusal: Refusal) -> None:
    folder = project.folder / ".chalice"
    shutil.copy(folder / "policy-prod.json", folder / "policy-dev.json")
    message = f".chalice/policy-dev.json does not let {project.name}-dev write its log: allow"
    assert refusal("deploy").startswith(message)


def test_one_command_at_a_time_works_on_a_stage(project: Project) -> None:
    (project.folder / "build").mkdir()
    with (project.folder / "build" / "dev.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        message = "Another command is running for dev: try again when it has finished.\n"
        assert project.refusal("deploy") == message == project.refusal("package")
        assert "is not deployed: run `make deploy STAGE=dev`" in project.refusal("url")


def test_a_stack_shows_its_logs_and_is_not_deployed_over(
    project: Project, refusal: Refusal
) -> None:
    function = {
        "FunctionName": f"{project.name}-prod-APIHandler-1A2B3C",
        "Handler": "index.handler",
        "Role": "arn:aws:iam::000000000000:role/role",
        "Runtime": "python3.13",
        "Code": {"ZipFile": "def handler(event, context): pass"},
        "Tags": [{"Key": "aws-chalice", "Value": f"version=1:stage=prod:app={project.name}"}],
    }
    template = {"Resources": {"F": {"Type": "AWS::Lambda::Function", "Properties": function}}}
    stacks = client("cloudformation")
    stacks.create_stack(StackName=project.name, TemplateBody=json.dumps(template))
    stacks.get_waiter("stack_create_complete").wait(
        StackName=project.name, WaiterConfig={"Delay": 1}
    )
    for command in ("deploy", "url", "delete"):
        message = f"STAGE=prod is the CloudFormation stack {project.name}: use `aws cloudformation`"
        assert refusal(command, "prod").startswith(message)
    assert f"/aws/lambda/{function['FunctionName']}:" in project.make("logs", "prod")


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_function_may_write_only_the_logs_of_its_stage(stage: str) -> None:
    policy = json.loads((REPOSITORY / ".chalice" / f"policy-{stage}.json").read_text())
    (statement,) = (item for item in policy["Statement"] if "logs:" in str(item["Action"]))
    assert {action.partition(":")[0] for action in statement["Action"]} == {"logs"}
    group = f"arn:*:logs:*:*:log-group:/aws/lambda/hello-chalice-{stage}"
    assert statement["Resource"] == [group, f"{group}:*", f"{group}-*"]


# Put where Python runs it at each start, it writes down what AWS is asked to do.
RECORD = """
import os
from botocore.client import BaseClient

call = BaseClient._make_api_call

def recording(self, operation, parameters):
    service = self.meta.service_model.signing_name
    method = self.meta.service_model.operation_model(operation).http["method"]
    name = method if service == "apigateway" else operation.rstrip("0123456789")
    with open(os.environ["RECORDED"], "a") as file:
        file.write(f"{service}:{name}\\n")
    return call(self, operation, parameters)

BaseClient._make_api_call = recording
"""
# What needs no statement, and what is no call: IAM asks for it when a function gets its role
NOT_GRANTED, NOT_CALLED = {"sts:GetCallerIdentity"}, {"iam:PassRole"}


def deployer_policy(name: str) -> list[dict[str, Any]]:
    """Return the statements of one of the two policies for who deploys."""
    text = (REPOSITORY / ".chalice" / f"deployer-policy-{name}.json").read_text()
    statements: list[dict[str, Any]] = json.loads(text)["Statement"]
    return statements


def give_role(project: Project) -> None:
    """Create a role for the functions of dev, named as Chalice names its own, and configure it."""
    name = f"{project.name}-dev-api_handler"
    role = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    given = {"manage_iam_role": False, "iam_role_arn": role["Role"]["Arn"]}
    settings = json.dumps(given)[1:-1]
    project.change('"dev": {', f'"dev": {{{settings}, ', ".chalice/config.json")


@pytest.mark.parametrize("policy", ["makes-roles", "given-role"])
def test_a_deployer_may_do_only_what_the_commands_do(
    project: Project, tmp_path: Path, policy: str
) -> None:
    if policy == "given-role":
        give_role(project)
    (tmp_path / "sitecustomize.py").write_text(RECORD)
    recorded = {"PYTHONPATH": str(tmp_path), "RECORDED": str(tmp_path / "recorded")}
    for command in ("deploy", "logs", "deploy", "delete"):
        project.run(sys.executable, "-m", "tools.deploy", command, "dev", **recorded)
        if command == "logs":  # so that the second deploy takes a tag away and adds one
            project.change('"stage": "dev"', '"team": "blue"', ".chalice/config.json")
    assert project.left_in_aws()["roles"] == (1 if policy == "given-role" else 0)
    called = set((tmp_path / "recorded").read_text().split())
    actions = [statement["Action"] for statement in deployer_policy(policy)]
    granted = {
        name for action in actions for name in ([action] if isinstance(action, str) else action)
    }
    assert granted == called - NOT_GRANTED | NOT_CALLED


def test_a_deployer_with_a_given_role_cannot_touch_prod() -> None:
    arns = [
        "arn:aws:lambda:us-east-1:123456789012:function:hello-chalice-prod",
        "arn:aws:iam::123456789012:role/hello-chalice-prod-function",
        "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/hello-chalice-prod",
    ]
    for statement in deployer_policy("given-role"):
        resources = statement["Resource"]
        allowed = [resources] if isinstance(resources, str) else resources
        reached = [arn for arn in arns for resource in allowed if fnmatch(arn, resource)]
        assert reached == [] or statement["Action"] == "lambda:ListFunctions"
