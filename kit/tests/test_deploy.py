"""`deploy`, `url` and `delete`: what they make, what they say, and what they refuse."""

import fcntl
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from chalicekit.deploy import address, delete, deploy, url
from chalicekit.logs import logs
from chalicekit.project import Project
from tests.emulated import client
from tests.sample import TABLE, Sample, refusal

Command = Callable[[Project], None]
Printed = Callable[[Command, Project], str]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """Runs a command and returns what it prints."""

    def run(command: Command, project: Project) -> str:
        capsys.readouterr()
        command(project)
        return capsys.readouterr().out

    return run


def get(url: str) -> str:
    """Return the body of the response to a GET."""
    return requests.get(url.strip(), timeout=60).text


def test_deploy_prints_the_urls_of_the_emulated_aws(sample: Sample, printed: Printed) -> None:
    report = printed(deploy, sample.project())
    line = printed(url, sample.project())
    assert line.startswith(f"{sample.aws}/_aws/execute-api/")
    assert report.endswith(f"  - Rest API URL: {line}")
    assert get(line) == "a sample"


def test_an_option_comes_before_the_setting(sample: Sample, printed: Printed) -> None:
    sample.run("deploy", "--api-gateway-stage", "v1", "--autogen-policy")
    assert printed(url, sample.project()).endswith("/v1/\n")
    assert f"arn:aws:iam::000000000000:role/{sample.name}-dev" in sample.in_aws()  # for all


def test_two_stages_are_independent_until_they_are_deleted(
    sample: Sample, printed: Printed
) -> None:
    dev, prod = sample.project("dev"), sample.project("prod")
    for stage in (dev, prod):
        deploy(stage)
    urls = [printed(url, stage) for stage in (dev, prod)]
    sample.change("a sample", "a change")
    deploy(sample.project("dev"))
    assert [get(line) for line in urls] == ["a change", "a sample"]
    delete(dev)
    assert get(urls[1]) == "a sample"
    for _ in range(2):  # nothing left to do is no error
        text = printed(delete, sample.project("prod"))
        assert text.endswith("Deleted. Only the logs are left in AWS.\n")
    assert sample.in_aws() == []


def test_the_stages_variables_reach_the_functions_and_nothing_else(
    sample: Sample, printed: Printed
) -> None:
    variables = {"AWS_PROFILE": "nobody", "HOME": "/nowhere", "WORD": "hidden"}
    sample.configure("dev", environment_variables=variables)
    sample.append('\nWORD = os.environ["WORD"]\n')
    sample.change('"a sample"', 'os.environ["WORD"]')
    dev, before = sample.project(), dict(os.environ)
    seen = []  # the variables of this process at each call of AWS
    dev.session.register("before-call.*.*", lambda **_: seen.append(dict(os.environ)))
    deploy(dev)
    assert seen
    assert all(environment == before for environment in seen)
    assert get(printed(url, dev)) == "hidden"


def test_deploy_brings_the_resources_up_and_delete_keeps_them(
    sample: Sample, printed: Printed
) -> None:
    sample.declare(Links=TABLE)
    stack = f"{sample.name}-dev-resources"
    assert printed(deploy, sample.project()).startswith(f"Creating stack: {stack}\n")
    assert printed(delete, sample.project()).endswith(
        "Deleted. The logs are left in AWS.\n"
        f"The stack {stack} is kept with its data, until the emulator ends.\n"
    )
    tables = client(sample.aws, "dynamodb")
    assert tables.describe_table(TableName=f"{sample.name}-dev-links")


def test_an_endpoint_of_the_aws_configuration_is_an_emulated_aws(
    sample: Sample, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    keys = "aws_access_key_id = test\naws_secret_access_key = test\nregion = us-east-1\n"
    config.write_text(f"[default]\nendpoint_url = {sample.aws}\n{keys}")
    command = sample.command("deploy", emulated=False)
    done = sample.execute(*command, AWS_CONFIG_FILE=str(config))
    assert f"Rest API URL: {sample.aws}/_aws/execute-api/" in done.stdout, done.stderr
    assert not (sample.folder / ".chalice" / "deployed").exists()


def test_with_emulated_nothing_of_the_machine_s_configuration_matters(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "is not deployed" in refusal(url, sample.project())


def test_the_code_of_mfa_is_asked_for_once(sample: Sample, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(f"""\
[profile person]
aws_access_key_id = test
aws_secret_access_key = test

[profile deployer]
endpoint_url = {sample.aws}
region = us-east-1
source_profile = person
role_arn = arn:aws:iam::000000000000:role/deployer
mfa_serial = arn:aws:iam::000000000000:mfa/person
""")
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}
    all_ = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam, role = client(sample.aws, "iam"), {"RoleName": "deployer"}
    iam.create_role(**role, AssumeRolePolicyDocument=json.dumps({"Statement": trust}))
    iam.put_role_policy(**role, PolicyName="all", PolicyDocument=json.dumps({"Statement": all_}))
    done = subprocess.run(
        [*sample.command("deploy", emulated=False), "--profile", "deployer"],
        env=sample.environment | {"AWS_CONFIG_FILE": str(config)},
        input="123456\n",  # a second question would get no answer
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,  # without a terminal, it asks on standard error
    )
    assert (done.returncode, done.stderr.count("Enter MFA code")) == (0, 1), done.stderr


@pytest.mark.parametrize(
    ("aws", "emulator", "shown"),
    [
        (
            "https://a1.execute-api.us-east-1.amazonaws.com/api/",
            "",
            "https://a1.execute-api.us-east-1.amazonaws.com/api/",
        ),
        (
            "https://a1.execute-api.us-east-1.amazonaws.com/api/",
            "http://127.0.0.1:4566",
            "http://127.0.0.1:4566/_aws/execute-api/a1/api/",
        ),
        (
            "wss://a1.execute-api.cn-north-1.amazonaws.com.cn/api/",
            "http://127.0.0.1:4566",
            "ws://127.0.0.1:4566/_aws/execute-api/a1/api/",
        ),
    ],
)
def test_the_emulated_aws_has_urls_of_its_own(aws: str, emulator: str, shown: str) -> None:
    assert address(aws, emulator) == shown


def test_an_app_without_routes_has_no_url(sample: Sample) -> None:
    head = f'from chalice import Chalice\n\napp = Chalice(app_name="{sample.name}")\n\n\n'
    sample.write("app.py", f"{head}@app.lambda_function()\ndef plain(event, context):\n    pass\n")
    deploy(sample.project())
    message = f"{sample.name}-dev has no URL: the deployed app has no route."
    assert refusal(url, sample.project()) == message


def test_a_server_that_is_not_aws_is_named(sample: Sample) -> None:
    other = f"{sample.aws}/_ministack/health"  # it responds with JSON
    message = f"{other} does not respond like AWS: is it another server?"
    assert refusal(deploy, Project(sample.folder, emulator=other)) == message


@pytest.mark.parametrize("command", [deploy, delete])
def test_one_command_at_a_time_works_on_a_stage(sample: Sample, command: Command) -> None:
    with sample.write("build/dev.lock", "").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        message = "Another command is running for dev: try again when it has finished."
        assert refusal(command, sample.project()) == message
        assert "is not deployed: run " in refusal(url, sample.project())


def test_what_aws_refuses_is_said_in_one_line(sample: Sample) -> None:
    def refuse(**_: Any) -> None:
        error = {"Error": {"Code": "AccessDenied", "Message": "You may not."}}
        raise ClientError(error, "PutRolePolicy")

    refused = sample.project()
    refused.session.register("before-call.iam.PutRolePolicy", refuse)
    assert refusal(deploy, refused) == (
        "AWS refused: An error occurred (AccessDenied) when calling the PutRolePolicy operation: "
        "You may not."
    )


def test_delete_says_what_is_still_in_aws(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    deploy(sample.project())
    ignored = sample.project()
    # What a handler of this event returns is AWS's response, and nothing is sent.
    accepted = AWSResponse("", 204, {}, None), dict[str, Any]()
    ignored.session.register("before-call.lambda.DeleteFunction", lambda **_: accepted)
    message = refusal(delete, ignored)
    again = f"run `{ignored.command('delete')}` again."
    assert message == f"Still in AWS: api_handler. To continue, {again}"


def test_ctrl_c_ends_a_command_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sample = Sample(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
        process = subprocess.Popen(
            sample.command("deploy"), stderr=subprocess.PIPE, text=True, cwd="/"
        )
        with silent.accept()[0]:
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=60)
    line = "Stopped. To continue, run the command again.\n"
    assert (process.returncode, error) == (1, line)


def test_a_stack_is_not_deployed_over_and_shows_its_url_and_log(
    sample: Sample, printed: Printed
) -> None:
    prod, name = sample.project("prod"), f"{sample.name}-prod-APIHandler-1A2B3C"
    deploy(prod)
    function = {
        "FunctionName": name,
        "Handler": "index.handler",
        "Role": "arn:aws:iam::000000000000:role/role",
        "Runtime": "python3.13",
        "Code": {"ZipFile": "def handler(event, context): print('from a stack')"},
        "Tags": [{"Key": "aws-chalice", "Value": f"version=1:stage=prod:app={sample.name}"}],
    }
    aws_url = "https://a1.execute-api.us-east-1.amazonaws.com/prod/"
    template = {
        "Resources": {"F": {"Type": "AWS::Lambda::Function", "Properties": function}},
        "Outputs": {"EndpointURL": {"Value": aws_url}},
    }
    stack, stacks = {"StackName": sample.name}, client(sample.aws, "cloudformation")
    stacks.create_stack(**stack, TemplateBody=json.dumps(template))
    stacks.get_waiter("stack_create_complete").wait(**stack, WaiterConfig={"Delay": 1})
    client(sample.aws, "lambda").invoke(FunctionName=name)
    assert "Deleted." in printed(delete, prod)  # what Chalice deployed beside it
    for command in (deploy, delete):
        message = f"Stage prod is the CloudFormation stack {sample.name}: use `aws cloudformation`"
        assert refusal(command, prod).startswith(message)
    assert printed(url, prod) == f"{sample.aws}/_aws/execute-api/a1/prod/\n"
    assert printed(logs, prod) == "from a stack\n"
