"""What AWS or Chalice would refuse, or quietly leave out, is said before anything is uploaded."""

import json
from pathlib import Path
from typing import Any

import pytest
from chalice import Blueprint, Chalice, Cron

from chalicekit.checks import before_build, before_deploy, before_package
from chalicekit.errors import Refusal
from chalicekit.project import Project
from chalicekit.settings import kit_settings


def configure(folder: Path, stage: dict[str, Any], **settings: Any) -> Project:
    """Write the settings of the stage dev, and of all stages; return the project."""
    (folder / ".chalice").mkdir(exist_ok=True)
    config = {"version": "2.0", "app_name": "app", "stages": {"dev": stage}} | settings
    (folder / ".chalice" / "config.json").write_text(json.dumps(config))
    return Project(folder)


@pytest.mark.parametrize(
    ("stage", "problem"),
    [
        ({"lambda_timeout": 0}, "stages.dev.lambda_timeout must be a number from 1 to 900, not 0."),
        ({"lambda_timeout": 901}, "lambda_timeout must be a number from 1 to 900, not 901."),
        ({"lambda_timeout": True}, "lambda_timeout must be a number from 1 to 900, not true."),
        ({"autogen_policy": "no"}, 'autogen_policy must be true or false, not "no".'),
        ({"environment_variables": {"NN": 3}}, "environment_variables.NN must be a string, not 3."),
        ({"tags": {"team": None}}, "tags.team must be a string, not null."),
        ({"tags": []}, "tags must be an object, not []."),
        ({"lambda_functions": {"f": []}}, "lambda_functions.f must be an object, not []."),
        ({"subnet_ids": [3]}, "subnet_ids must be a list of strings, not [3]."),
        ({"layers": "arn:1"}, 'layers must be a list of at most 5 ARNs, not "arn:1".'),
        ({"layers": ["mine"]}, 'layers must be a list of at most 5 ARNs, not ["mine"].'),
        ({"layers": ["arn:1"] * 6}, 'layers must be a list of at most 5 ARNs, not ["arn:1", "'),
        ({"api_gateway_custom_domain": {"domain_name": "a.b"}}, "with domain_name and certificate"),
        ({"api_gateway_stage": "a.b"}, "api_gateway_stage must be letters, digits, - and _, not"),
        ({"log_retention_in_days": 10}, "log_retention_in_days must be one of 1, 3, 5, 7, 14, 30,"),
        ({"lambda_architecture": "arm"}, "lambda_architecture must be one of x86_64, arm64, not"),
        ({"lambda_memory": 128}, "lambda_memory is not known: do you mean lambda_memory_size?"),
        ({"memory_size": 128}, "memory_size is not known: do you mean lambda_memory_size?"),
        ({"chalicekit": {"includes": []}}, "chalicekit.includes is not known: do you mean include"),
        (
            {"lambda_functions": {"f": {"layer": []}}},
            "lambda_functions.f.layer is not known: do yo",
        ),
        ({"environment_variables": {"_HANDLER": ""}}, "of app-dev: Lambda sets _HANDLER itself"),
        ({"environment_variables": {"MY-NAME": ""}}, "Lambda does not take the name 'MY-NAME'"),
        ({"environment_variables": {"1ST": ""}}, "Lambda does not take the name '1ST'"),
        ({"environment_variables": {"N": ""}}, "Lambda does not take the name 'N': start with a"),
        ({"environment_variables": {"TEXT": "é" * 2048}}, "are 4107 bytes, and Lambda takes 4096"),
        (
            {"lambda_functions": {"work": {"environment_variables": {"N": ""}}}},
            "environment_variables of app-dev-work: Lambda does not take the name 'N'",
        ),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    tmp_path: Path, stage: dict[str, Any], problem: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        before_build(configure(tmp_path, stage))
    (line,) = str(refusal.value).splitlines()
    assert line.startswith(".chalice/config.json: ")
    assert problem in line


def test_the_least_and_the_most_that_aws_takes_are_accepted(tmp_path: Path) -> None:
    before_build(configure(tmp_path, {"lambda_memory_size": 128, "lambda_timeout": 900}))


def test_every_wrong_setting_has_its_line(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        before_build(configure(tmp_path, {"layers": ""}, xray=1, lambda_timeout=0))
    assert len(str(refusal.value).splitlines()) == 3


def test_a_stage_that_is_no_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"^\.chalice/config\.json: stages\.dev must be an object\.$"):
        before_build(configure(tmp_path, []))  # type: ignore[arg-type]


def test_a_setting_that_means_nothing_is_only_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = {"app_name": "other", "_comment": "", "lambda_timeout": None, "api_gateway": None}
    before_build(configure(tmp_path, stage, owner="me"))
    assert capsys.readouterr().err == (
        ".chalice/config.json: owner has no effect.\n"
        ".chalice/config.json: stages.dev.app_name has no effect.\n"
        ".chalice/config.json: stages.dev.api_gateway has no effect.\n"
    )


@pytest.mark.parametrize(
    ("settings", "modules"),
    [
        ({}, ()),
        ({"layers": ["arn:1"]}, ("*",)),
        ({"lambda_functions": {"work": {"layers": ["arn:1"]}}}, ("*",)),
        ({"layers": ["arn:1"], "chalicekit": {"layer_modules": ["pandas"]}}, ("pandas",)),
    ],
)
def test_the_modules_of_layers_are_settings(
    tmp_path: Path, settings: dict[str, Any], modules: tuple[str, ...]
) -> None:
    assert kit_settings(configure(tmp_path, settings).config).layer_modules == modules
    everywhere = configure(tmp_path, {}, **settings).config
    assert kit_settings(everywhere).layer_modules == modules


def app_with(code: str) -> Chalice:
    """Return an app with this code at the start of app.py."""
    names: dict[str, Any] = {"app": Chalice("app"), "Cron": Cron}
    exec(compile(code, "app.py", "exec"), names)
    app: Chalice = names["app"]
    return app


def routes(*paths: str) -> str:
    """Return code that routes these paths, a view in two lines each."""
    return "".join(f"@app.route({path!r}, name={path!r})\ndef view(**_): ...\n" for path in paths)


def work(decorator: str) -> str:
    """Return the code of a function `work` with a decorator of the app."""
    return f"@app.{decorator}\ndef work(*event): ..."


ONE_NAME = "API Gateway takes only one name for a part of a path: "
QUEUE = "Lambda takes a batch_size from 1 to 10. More than 10 messages of a queue need a maximum_"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/a"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (
            routes("/users/{id}", "/users/{user}/posts"),
            f"app.py, line 3: {ONE_NAME}{{user}} in /users/{{user}}/posts is {{id}} in /users/{{id",
        ),
        (routes("/{id}", "/{rest+}"), ONE_NAME),
        (routes("/a/{x}/{y}", "/a/{x}/b/{z}", "/a/{x}/{z}"), ONE_NAME),
        (routes("/files/{name}.json"), "API Gateway does not take '{name}.json'"),
        (routes("/files/{path+}/info"), "API Gateway takes a part with + only at the end"),
        (routes("files"), "API Gateway takes only paths that start with a slash: write /files."),
        (routes("/a b"), "API Gateway does not take 'a b' as a part of a path (/a b)."),
        (routes("//a"), "API Gateway does not take '' as a part of a path (//a)."),
        (routes("/a/"), "Route cannot end with a trailing slash: /a/"),  # Chalice's own check
        (work("route('/', methods=['GET', 'ANY'])"), "API Gateway has no method ANY (/)."),
        (work("schedule('rate(1 minutes)')"), "AWS does not take 'rate(1 minutes)' as a schedule"),
        (work("schedule('rate(5 minute)')"), "AWS does not take 'rate(5 minute)' as a schedule"),
        (work("schedule('rate(0 minutes)')"), "AWS does not take 'rate(0 minutes)' as a schedule"),
        (work("schedule('cron(0 12 * * ?)')"), "AWS does not take 'cron(0 12 * * ?)' as a schedu"),
        (work("schedule('cron(0 12 * * * *)')"), "AWS does not take 'cron(0 12 * * * *)' as a sch"),
        (work("schedule(Cron(0, 12, '*', '*', '*', '*'))"), "does not take 'cron(0 12 * * * *)'"),
        (work("on_s3_event('')"), "AWS does not take '' as the name of a bucket."),
        (work("on_sns_message('a b')"), "AWS does not take 'a b' as the name of a topic."),
        (work("on_sqs_message('a b')"), "AWS does not take 'a b' as the name of a queue."),
        (work("on_kinesis_record('')"), "AWS does not take '' as the name of a stream."),
        (work(f"on_dynamodb_record('{TABLE}')"), "' as the ARN of a table's stream."),
        (work("on_sqs_message('a', batch_size=11)"), QUEUE),
        (work("on_sqs_message('a', batch_size=0)"), QUEUE),
        (work("on_sqs_message('a', batch_size='1')"), QUEUE),
        (work("on_kinesis_record('a', batch_size=10001)"), "takes a batch_size from 1 to 10000."),
        (work("lambda_function(name='my work')"), "does not take the function name 'my work'"),
        (work("authorizer(name='my work')"), "app.py: Lambda does not take the function name"),
    ],
)
def test_what_aws_does_not_take_of_an_app_is_refused(
    tmp_path: Path, code: str, problem: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        before_deploy(configure(tmp_path, {}), app_with(code))
    (line,) = str(refusal.value).splitlines()
    assert problem in line


@pytest.mark.parametrize(
    "code",
    [
        routes("/", "/a/{x}", "/a/{x}/b", "/b/{y}", "/c/{x}/{y}", "/.well-known/a_b~c:d"),
        work("schedule('rate(1 minute)')"),
        work("schedule('rate(10 minutes)')"),
        work("schedule('cron(0 12 * * ? *)')"),
        work("schedule('cron(0/5 8-17 ? * MON-FRI *)')"),
        work("on_sqs_message('a.fifo', batch_size=10)"),
        work("on_sqs_message('a', batch_size=100, maximum_batching_window_in_seconds=1)"),
        work("on_sqs_message(queue_arn='arn:aws:sqs:us-east-1:123456789012:a')"),
        work("on_sns_message('arn:aws:sns:us-east-1:123456789012:a')"),
        work("on_s3_event('my.bucket-1')"),
        work("on_kinesis_record('a', batch_size=10000)"),
        work(f"on_dynamodb_record('{TABLE}/stream/1')"),
    ],
)
def test_what_aws_takes_of_an_app_is_accepted(tmp_path: Path, code: str) -> None:
    before_deploy(configure(tmp_path, {}), app_with(code))


def test_an_authorizer_that_chalice_loses_is_refused(tmp_path: Path) -> None:
    app, blueprint = Chalice("app"), Blueprint("a")
    authorizer = blueprint.authorizer(name="auth")(print)
    blueprint.route("/", authorizer=authorizer)(lambda: "a")
    app.register_blueprint(blueprint, name_prefix="a_")
    with pytest.raises(Refusal, match=r"line \d+: the app has no authorizer auth: "):
        before_deploy(configure(tmp_path, {}), app)


def test_settings_that_chalice_refuses_are_refused_in_one_line(tmp_path: Path) -> None:
    project = configure(tmp_path, {"subnet_ids": ["subnet-1"]})
    with pytest.raises(Refusal, match=r"^Invalid VPC params for function 'api_handler'"):
        before_deploy(project, app_with(routes("/")))


def test_a_name_that_lambda_does_not_take_is_refused(tmp_path: Path) -> None:
    project = configure(tmp_path, {}, app_name="my app")
    with pytest.raises(Refusal, match=r"config\.json: Lambda does not take the app_name 'my app'"):
        before_deploy(project, app_with(routes("/")))


def test_a_name_that_is_too_long_is_refused(project: Project) -> None:
    app, name = app_with(routes("/")), 49 * "a"
    before_deploy(configure(project.folder, {}, app_name=name), app)
    project = configure(project.folder, {"autogen_policy": False}, app_name=name)
    with pytest.raises(Refusal, match=f"^{name}-dev-api_handler has 65 characters, and AWS takes"):
        before_deploy(project, app)  # the role that has this policy


def test_settings_of_a_function_that_is_not_there_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = app_with(work("lambda_function()"))
    before_deploy(configure(tmp_path, {"lambda_functions": {"index": {}}}), app)
    said = ".chalice/config.json: the function index in lambda_functions has no effect.\n"
    assert capsys.readouterr().err == said
    with pytest.raises(Refusal, match=r"the function works .* do you mean work\?"):
        before_deploy(configure(tmp_path, {"lambda_functions": {"works": {}}}), app)


def test_a_stack_cannot_have_the_events_of_a_bucket(tmp_path: Path) -> None:
    project, app = configure(tmp_path, {}), app_with(work("on_s3_event('pictures')"))
    before_deploy(project, app)
    before_package(project, app, "terraform")
    with pytest.raises(Refusal, match=r"^app\.py, line 1: .*on_s3_event.*on_cw_event\(.*pictures"):
        before_package(project, app)


LOG = {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose functions have their policy in a file."""
    configure(tmp_path, {"autogen_policy": False})
    return allow(tmp_path, LOG)


def allow(folder: Path, *statements: dict[str, Any]) -> Project:
    """Write the policy of the stage dev; return the project."""
    policy = {"Version": "2012-10-17", "Statement": statements}
    (folder / ".chalice" / "policy-dev.json").write_text(json.dumps(policy))
    return Project(folder)


@pytest.mark.parametrize(
    "statement",
    [
        3,
        {"Action": "s3:*", "Resource": "*"},
        {"Effect": "allow", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:*"},
        {"Effect": "Allow", "Resource": "*"},
        {"Effect": "Allow", "Action": [3], "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:*", "Resource": {"Fn::Sub": "a"}},
    ],
)
def test_a_malformed_policy_is_refused(project: Project, statement: Any) -> None:
    allow(project.folder, LOG, statement)
    with pytest.raises(Refusal) as refusal:
        before_build(project)
    (line,) = str(refusal.value).splitlines()
    assert line.startswith(".chalice/policy-dev.json: a statement must be an object with an Effect")
    assert line.endswith(f"not {json.dumps(statement)}.")


def test_a_policy_without_statements_is_refused(project: Project) -> None:
    (project.folder / ".chalice" / "policy-dev.json").write_text("{}")
    with pytest.raises(Refusal, match=r"^\.chalice/policy-dev\.json: .*, not null\.$"):
        before_build(project)


def test_a_deny_and_what_is_not_named_are_well_formed(project: Project) -> None:
    before_build(
        allow(project.folder, {"Effect": "Deny", "NotAction": ["s3:*"], "NotResource": "arn:a"})
    )


def test_a_missing_policy_is_refused(tmp_path: Path) -> None:
    project = configure(tmp_path, {"autogen_policy": False, "lambda_functions": {"work": {}}})
    with pytest.raises(Refusal, match=r"^\.chalice/policy-dev\.json is missing: copy.*true\.$"):
        before_build(project)


def test_a_missing_policy_of_the_api_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"^\.chalice/api\.json cannot be read: No such file"):
        before_build(configure(tmp_path, {"api_gateway_policy_file": "api.json"}))


def test_a_policy_can_be_anywhere(tmp_path: Path) -> None:
    settings = {"autogen_policy": False, "iam_policy_file": "../policies/one.json"}
    project = configure(tmp_path, settings)
    with pytest.raises(Refusal, match=r"^policies/one\.json is missing"):
        before_build(project)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "one.json").write_text(json.dumps({"Statement": LOG}))
    before_build(project)


def test_code_that_chalice_cannot_read_for_a_policy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_bytes(b"# -*- coding: latin-1 -*-\n# \xe9")
    with pytest.raises(Refusal, match=r"^app\.py is not UTF-8"):
        before_build(configure(tmp_path, {}))
    configure(tmp_path, {"autogen_policy": False})
    before_build(allow(tmp_path, LOG))


READ_QUEUE = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
READ_STREAM = ["GetRecords", "GetShardIterator", "DescribeStream", "ListStreams"]
READ_KINESIS = [f"kinesis:{action}" for action in READ_STREAM]
READ_TABLE = [f"dynamodb:{action}" for action in READ_STREAM]
JOBS = "arn:aws:sqs:us-east-1:123456789012:jobs"
CHANGES = f"{TABLE}/stream/1"


@pytest.mark.parametrize(
    ("source", "actions", "resource"),
    [
        ("on_sqs_message('jobs')", READ_QUEUE, "arn:*:sqs:*:*:jobs"),
        (f"on_sqs_message(queue_arn='{JOBS}')", READ_QUEUE, JOBS),
        ("on_kinesis_record('clicks')", READ_KINESIS, "arn:*:kinesis:*:*:stream/clicks"),
        (f"on_dynamodb_record('{CHANGES}')", READ_TABLE, CHANGES),
    ],
)
def test_an_event_source_that_the_function_may_not_read_is_refused(
    project: Project, source: str, actions: list[str], resource: str
) -> None:
    app = app_with(work(source))
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
    with pytest.raises(Refusal) as refusal:
        before_deploy(project, app)
    assert str(refusal.value) == (
        "app.py, line 1: .chalice/policy-dev.json does not let app-dev-work read its queue or "
        f"stream: add {json.dumps(statement)}"
    )
    before_deploy(allow(project.folder, LOG, statement), app)


def test_autogen_policy_and_a_given_role_are_trusted(tmp_path: Path) -> None:
    app = app_with(work("on_sqs_message('jobs')"))
    before_deploy(configure(tmp_path, {}), app)
    role = {"manage_iam_role": False, "iam_role_arn": "arn:aws:iam::1:role/r"}
    before_deploy(configure(tmp_path, role | {"autogen_policy": False}), app)


def test_a_policy_without_a_log_is_only_named(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    app = app_with(work("lambda_function()"))
    before_deploy(project, app)
    assert capsys.readouterr().err == ""
    other = "arn:aws:logs:*:*:log-group:/aws/lambda/app-prod:*"
    before_deploy(allow(project.folder, LOG | {"Resource": other}), app)
    assert capsys.readouterr().err == (
        ".chalice/policy-dev.json does not let app-dev-work write its log: "
        "allow logs:PutLogEvents on arn:*:logs:*:*:log-group:/aws/lambda/app-dev-work:*\n"
    )


def test_a_table_that_no_function_may_use_is_only_named(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    app, name = app_with(routes("/")), {"TableName": {"Fn::Sub": "app-${Stage}-links"}}
    links = {"Type": "AWS::DynamoDB::Table", "Properties": name}
    template = {"Parameters": {"Stage": {}}, "Resources": {"Links": links}}
    (project.folder / ".chalice" / "resources.json").write_text(json.dumps(template))
    use = {"Effect": "Allow", "Action": "dynamodb:Scan", "Resource": "arn:*:table/app-*"}
    before_deploy(allow(project.folder, LOG, use), app)
    assert capsys.readouterr().err == ""
    use["Resource"] = "arn:*:dynamodb:*:*:table/app-prod-links"
    before_deploy(allow(project.folder, LOG, use), app)
    assert capsys.readouterr().err == (
        "No policy lets a function use the table app-dev-links: "
        "allow for example dynamodb:GetItem on arn:*:dynamodb:*:*:table/app-dev-links\n"
    )
    before_deploy(configure(project.folder, {}), app)  # Chalice generates the policy
    assert capsys.readouterr().err == ""
