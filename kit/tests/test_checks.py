"""What AWS or Chalice would refuse, or quietly leave out, is said before anything is uploaded."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from chalice import Chalice

from chalicekit.checks import before_build, before_deploy, before_package
from chalicekit.errors import Refusal
from chalicekit.project import Project
from chalicekit.settings import kit_settings

LOG = {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose functions have policies in files."""
    configure(tmp_path, {"autogen_policy": False})
    return allow(tmp_path, LOG)


def configure(folder: Path, stage: dict[str, Any], **settings: Any) -> Project:
    """Write the settings of the stage dev, and of all stages; return the project."""
    (folder / ".chalice").mkdir(exist_ok=True)
    config = {"version": "2.0", "app_name": "app", "stages": {"dev": stage}} | settings
    (folder / ".chalice" / "config.json").write_text(json.dumps(config))
    return Project(folder)


def allow(folder: Path, *statements: dict[str, Any]) -> Project:
    """Write the policy of the stage dev; return the project."""
    policy = {"Version": "2012-10-17", "Statement": statements}
    (folder / ".chalice" / "policy-dev.json").write_text(json.dumps(policy))
    return Project(folder)


def app_with(code: str) -> Chalice:
    """Return an app with code at the end of its module."""
    names: dict[str, Any] = {"app": Chalice("app"), "Chalice": Chalice}
    exec(compile(code, "app.py", "exec"), names)
    app: Chalice = names["app"]
    return app


@pytest.mark.parametrize(
    ("stage", "problem"),
    [
        ({"lambda_memory_size": "1"}, "lambda_memory_size must be a number from 128 to 10240, not"),
        ({"lambda_memory_size": 100}, "lambda_memory_size must be a number from 128"),
        ({"lambda_timeout": True}, "lambda_timeout must be a number from 1 to 900, not true"),
        ({"lambda_timeout": 901}, "lambda_timeout must be a number from 1 to 900, not 901"),
        ({"autogen_policy": "false"}, 'autogen_policy must be true or false, not "false"'),
        ({"environment_variables": {"N": 3}}, "environment_variables.N must be a string, not 3"),
        ({"environment_variables": ["NN"]}, "environment_variables must be an object of strings"),
        ({"tags": {"team": 3}}, "tags.team must be a string, not 3"),
        ({"environment_variables": {"NN": None}}, "environment_variables.NN must be a string, not"),
        ({"layers": "arn"}, 'layers must be a list of at most 5 ARNs, not "arn"'),
        ({"layers": ["mine"]}, 'layers must be a list of at most 5 ARNs, not ["mine"]'),
        ({"layers": ["arn:1"] * 6}, "layers must be a list of at most 5 ARNs"),
        ({"api_gateway_custom_domain": {"domain_name": "a.b"}}, "with domain_name and certificat"),
        ({"lambda_functions": {"f": []}}, 'lambda_functions must be an object of objects, not {"f'),
        ({"api_gateway_stage": "a.b"}, "api_gateway_stage must be letters, digits, - and _"),
        ({"log_retention_in_days": 10}, "log_retention_in_days must be one of [1, 3, 5, 7"),
        ({"lambda_architecture": "arm"}, "lambda_architecture must be x86_64 or arm64"),
        ({"lambda_memory": 128}, "lambda_memory is not known: do you mean lambda_memory_size?"),
        ({"memory_size": 128}, "memory_size is not known: do you mean lambda_memory_size?"),
        ({"chalicekit": {"includes": []}}, "chalicekit.includes is not known: do you mean include"),
        (
            {"lambda_functions": {"f": {"lambda_timout": 1}}},
            "functions.f.lambda_timout is not known",
        ),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    tmp_path: Path, stage: dict[str, Any], problem: str
) -> None:
    with pytest.raises(
        Refusal, match=rf"^\.chalice/config\.json: stages\.dev\..*{re.escape(problem)}"
    ):
        before_build(configure(tmp_path, stage))


def test_a_stage_that_is_no_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"^\.chalice/config\.json: stages\.dev must be an object\.$"):
        _ = configure(tmp_path, []).config  # type: ignore[arg-type]


def test_settings_that_chalice_refuses_are_refused_in_one_line(tmp_path: Path) -> None:
    project = configure(tmp_path, {"subnet_ids": ["subnet-1"]})
    with pytest.raises(Refusal, match=r"^Invalid VPC params for function 'api_handler'"):
        before_deploy(project, app_with("app.route('/')(lambda: 1)"))


def test_code_that_chalice_cannot_read_is_refused(tmp_path: Path) -> None:
    project = configure(tmp_path, {})
    (tmp_path / "app.py").write_bytes(b"# -*- coding: latin-1 -*-\n# \xe9")
    with pytest.raises(Refusal, match=r"^app\.py is not UTF-8"):
        before_build(project)


def test_a_missing_policy_of_the_api_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"^\.chalice/api\.json cannot be read: No such file"):
        before_build(configure(tmp_path, {"api_gateway_policy_file": "api.json"}))


def test_every_wrong_setting_has_its_line(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        before_build(configure(tmp_path, {"layers": ""}, xray=1, lambda_timeout=0))
    assert len(str(refusal.value).splitlines()) == 3


def test_a_setting_that_means_nothing_is_only_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = {"environment_variables": {"KEY": "two\nlines"}}
    stage = {"app_name": "other", "_comment": "", "lambda_timeout": None} | variables
    stage["api_gateway"] = {"rest_api_id": "abc"}  # the start of a name is no slip of the pen
    before_build(configure(tmp_path, stage, owner="me"))
    assert capsys.readouterr().err == (
        ".chalice/config.json: owner has no effect.\n"
        ".chalice/config.json: stages.dev.app_name has no effect.\n"
        ".chalice/config.json: stages.dev.api_gateway has no effect.\n"
    )


def test_settings_without_stages_are_those_of_dev(tmp_path: Path) -> None:
    project = configure(tmp_path, {})
    (tmp_path / ".chalice" / "config.json").write_text('{"version": "2.0", "app_name": "app"}')
    before_build(project)
    before_deploy(project, app_with(""))


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"_HANDLER": "app.app"}, "Lambda sets _HANDLER itself"),
        (
            {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"},
            "Lambda sets AWS_DEFAULT_REGION, AWS_REGION itself, choose other names.",
        ),
        ({"MY-NAME": ""}, "Lambda does not take the name 'MY-NAME'"),
        ({"1ST": ""}, "Lambda does not take the name '1ST'"),
        ({"N": ""}, "Lambda does not take the name 'N'"),
        ({"TEXT": "é" * 2048}, "are 4107 bytes, and Lambda takes 4096"),
    ],
)
@pytest.mark.parametrize("function", ["api_handler", "work"])
def test_variables_that_lambda_does_not_take_are_refused(
    tmp_path: Path, variables: dict[str, str], problem: str, function: str
) -> None:
    settings: dict[str, Any] = {"environment_variables": variables}
    name = "app-dev"
    if function == "work":
        settings, name = {"lambda_functions": {"work": settings}}, "app-dev-work"
    with pytest.raises(Refusal, match=f"environment_variables of {name}:? {re.escape(problem)}"):
        before_build(configure(tmp_path, settings))


def test_a_missing_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"^\.chalice/policy-dev\.json is missing: copy"):
        before_build(configure(tmp_path, {"autogen_policy": False}))


def test_a_policy_can_be_anywhere(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "one.json").write_text(json.dumps({"Statement": LOG}))
    settings = {"autogen_policy": False, "iam_policy_file": "../policies/one.json"}
    before_build(configure(tmp_path, settings))
    (tmp_path / "policies" / "one.json").unlink()
    with pytest.raises(Refusal, match=r"^policies/one\.json is missing"):
        before_build(Project(tmp_path))


def test_a_policy_without_a_log_is_only_named(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    app = app_with("@app.route('/')\ndef index(): ...")
    before_deploy(project, app)
    assert capsys.readouterr().err == ""
    other = "arn:aws:logs:*:*:log-group:/aws/lambda/app-prod:*"
    before_deploy(allow(project.folder, LOG | {"Resource": other}), app)
    assert "policy-dev.json does not let app-dev write its log" in capsys.readouterr().err


def test_a_table_that_no_function_may_use_is_only_named(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    app, name = app_with(routes("/")), {"TableName": {"Fn::Sub": "app-${Stage}-links"}}
    links = {"Type": "AWS::DynamoDB::Table", "Properties": name}
    template = {"Parameters": {"Stage": {}}, "Resources": {"Links": links}}
    (project.folder / ".chalice" / "resources.json").write_text(json.dumps(template))
    statement = {"Effect": "Allow", "Action": "dynamodb:GetItem"}
    before_deploy(allow(project.folder, LOG, statement | {"Resource": "arn:*:table/app-*"}), app)
    assert capsys.readouterr().err == ""
    other = "arn:*:dynamodb:*:*:table/app-prod-links"
    before_deploy(allow(project.folder, LOG, statement | {"Resource": other}), app)
    assert "No policy lets a function use the table app-dev-links" in capsys.readouterr().err


QUEUE_ACTIONS = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
STREAM_ACTIONS = ["GetRecords", "GetShardIterator", "DescribeStream", "ListStreams"]
SOURCES = {
    "@app.on_sqs_message(queue='jobs')": (
        QUEUE_ACTIONS,
        "arn:*:sqs:*:*:jobs",
    ),
    "@app.on_sqs_message(queue_arn='arn:aws:sqs:us-east-1:123456789012:jobs')": (
        QUEUE_ACTIONS,
        "arn:aws:sqs:us-east-1:123456789012:jobs",
    ),
    "@app.on_kinesis_record(stream='clicks')": (
        [f"kinesis:{name}" for name in STREAM_ACTIONS],
        "arn:*:kinesis:*:*:stream/clicks",
    ),
    "@app.on_dynamodb_record('arn:aws:dynamodb:eu-west-1:123456789012:table/t/stream/1')": (
        [f"dynamodb:{name}" for name in STREAM_ACTIONS],
        "arn:aws:dynamodb:eu-west-1:123456789012:table/t/stream/1",
    ),
}


@pytest.mark.parametrize("source", SOURCES)
def test_an_event_source_that_the_function_may_not_read_is_refused(
    project: Project, source: str
) -> None:
    app = app_with(f"{source}\ndef work(event): ...")
    actions, resource = SOURCES[source]
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
    with pytest.raises(Refusal) as refusal:
        before_deploy(project, app)
    start, _, advice = str(refusal.value).partition(": add ")
    assert start.startswith("app.py, line 1: .chalice/policy-dev.json does not let app-dev-work")
    assert json.loads(advice) == statement
    before_deploy(allow(project.folder, LOG, statement), app)


def test_autogen_policy_and_a_given_role_are_trusted(tmp_path: Path) -> None:
    app = app_with("@app.on_sqs_message(queue='jobs')\ndef work(event): ...")
    before_deploy(configure(tmp_path, {}), app)
    role = {"manage_iam_role": False, "iam_role_arn": "arn:aws:iam::1:role/r"}
    before_deploy(configure(tmp_path, role | {"autogen_policy": False}), app)


def routes(*paths: str) -> str:
    """Return code that routes these paths, a view in two lines each."""
    return "".join(f"@app.route({path!r}, name={path!r})\ndef view(**_): ...\n" for path in paths)


def work(decorator: str) -> str:
    """Return the code of a function with a decorator of the app."""
    return f"@app.{decorator}\ndef work(*event): ..."


ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/a"
TWO_NAMES = "API Gateway takes only one name for a part of a path: "
BATCH = "Lambda takes a batch_size from 1 to"
EVENTBRIDGE = "app.py, line 1: EventBridge does not take "


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (
            routes("/users/{id}", "/users/{user}/posts"),
            f"app.py, line 3: {TWO_NAMES}{{user}} in /users/{{user}}/posts is {{id}} in /users/",
        ),
        (routes("/{id}", "/{rest+}"), TWO_NAMES),
        (routes("/a/{x}/{y}", "/a/{x}/b/{z}", "/a/{x}/{z}"), TWO_NAMES),
        (routes("/files/{name}.json"), "API Gateway does not take '{name}.json'"),
        (routes("/files/{path+}/info"), "API Gateway takes a part with + only at the end"),
        (routes("files"), "API Gateway takes only paths that start with a slash"),
        (routes("/a b"), "API Gateway does not take 'a b'"),
        (routes("/a/"), "Route cannot end with a trailing slash: /a/"),  # Chalice's own check
        (work("route('/', methods=['GET', 'ANY'])"), "API Gateway has no method ANY (/)."),
        (work("schedule('rate(1 minutes)')"), EVENTBRIDGE),
        (work("schedule('rate(5 minute)')"), EVENTBRIDGE),
        (work("schedule('rate(0 minutes)')"), EVENTBRIDGE),
        (work("schedule('cron(0 12 * * * *)')"), EVENTBRIDGE),
        (work("schedule('cron(0 12 * * ?)')"), EVENTBRIDGE),
        (work("schedule('0 12 * * ?')"), EVENTBRIDGE),
        (work("on_s3_event(bucket='')"), "S3 does not take '' as the name of a bucket."),
        (work("on_sns_message(topic='a b')"), "SNS does not take 'a b' as the name of a topic."),
        (work("on_sqs_message(queue='a b')"), "SQS does not take 'a b' as the name of a queue."),
        (work("on_kinesis_record(stream='')"), "Kinesis does not take '' as the name of a stream."),
        (work("on_sqs_message(queue='a', batch_size=11)"), f"{BATCH} 10, and up to 10000 "),
        (work("on_sqs_message(queue='a.fifo', batch_size=11)"), f"{BATCH} 10."),
        (work("on_sqs_message(queue='a', batch_size=0)"), f"{BATCH} 10, and "),
        (work("on_kinesis_record(stream='a', batch_size=10001)"), f"{BATCH} 10000."),
        (work(f"on_dynamodb_record('{ARN}')"), f"'{ARN}' is not the ARN of a table's stream."),
        (work("authorizer(ttl_seconds=3601)"), "API Gateway takes a ttl_seconds from 0 to 3600."),
        (
            work("lambda_function(name='my work')"),
            "app.py: Lambda does not take the function name 'my work'",
        ),
    ],
)
def test_what_aws_does_not_take_of_an_app_is_refused(tmp_path: Path, code: str, line: str) -> None:
    with pytest.raises(Refusal, match=f"^(app.py, line [0-9]: )?{re.escape(line)}") as refusal:
        before_deploy(configure(tmp_path, {}), app_with(code))
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize(
    "code",
    [
        routes("/", "/a/{x}", "/a/{x}/b", "/b/{y}", "/c/{x}/{y}", "/.well-known/a_b~c:d"),
        work("schedule('rate(1 minute)')"),
        work("schedule('rate(5 minutes)')"),
        work("schedule('cron(0 12 * * ? *)')"),
        work("schedule('cron(0/5 8-17 ? * MON-FRI *)')"),
        work("on_sqs_message(queue='a', batch_size=100, maximum_batching_window_in_seconds=1)"),
        work("on_sqs_message(queue_arn='arn:aws:sqs:us-east-1:123456789012:a')"),
        work("on_sns_message(topic='arn:aws:sns:us-east-1:123456789012:a')"),
        work("on_s3_event(bucket='my.bucket-1')"),
        work("on_kinesis_record(stream='a', batch_size=10000)"),
        work(f"on_dynamodb_record('{ARN}/stream/1')"),
        work("authorizer(ttl_seconds=0)"),
    ],
)
def test_what_aws_takes_of_an_app_is_accepted(tmp_path: Path, code: str) -> None:
    before_deploy(configure(tmp_path, {}), app_with(code))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("my app", "Lambda does not take the app_name 'my app'"),
        ("a" * 61, f"{'a' * 61}-dev-api_handler has 77 characters, and AWS takes 64"),
    ],
)
def test_names_are_those_that_aws_takes(project: Project, name: str, problem: str) -> None:
    project = configure(project.folder, {"autogen_policy": False}, app_name=name)
    with pytest.raises(Refusal, match=problem):
        before_deploy(project, app_with("@app.route('/')\ndef index(): ..."))


def test_settings_of_a_function_that_is_not_there_are_named(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    app = app_with("@app.lambda_function()\ndef work(event, context): ...")
    named = {"autogen_policy": False, "lambda_functions": {"index": {}}}
    before_deploy(configure(project.folder, named), app)
    assert "the function index in lambda_functions has no effect" in capsys.readouterr().err
    slip = {"autogen_policy": False, "lambda_functions": {"works": {}}}
    with pytest.raises(Refusal, match=r"the function works .* do you mean work\?"):
        before_deploy(configure(project.folder, slip), app)


def test_a_stack_cannot_have_the_events_of_a_bucket(project: Project) -> None:
    app = app_with("@app.on_s3_event('pictures')\ndef resize(event): ...")
    before_deploy(project, app)
    before_package(project, app, "terraform")
    with pytest.raises(Refusal, match=r"app\.py, line 1: .*on_s3_event.*on_cw_event\(.*pictures"):
        before_package(project, app)


@pytest.mark.parametrize(
    ("settings", "modules"),
    [
        ({}, ()),
        ({"layers": ["arn:1"]}, ("*",)),
        ({"lambda_functions": {"work": {"layers": ["arn:1"]}}}, ("*",)),
        ({"chalicekit": {"layer_modules": ["pandas"]}}, ("pandas",)),
        ({"layers": ["arn:1"], "chalicekit": {"layer_modules": ["pandas"]}}, ("pandas",)),
    ],
)
def test_the_modules_of_layers_are_settings(
    tmp_path: Path, settings: dict[str, Any], modules: tuple[str, ...]
) -> None:
    assert kit_settings(configure(tmp_path, settings).config).layer_modules == modules
    everywhere = configure(tmp_path, {}, **settings).config
    assert kit_settings(everywhere).layer_modules == modules
