"""What AWS has of a stage is found without a record, and after a deploy that was interrupted."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.awsrequest import AWSResponse

from chalicekit.deploy import delete, deploy, url
from chalicekit.errors import Refusal
from chalicekit.inventory import Inventory, Names, resource
from tests.emulated import client, make_function, make_role, zipped
from tests.project import TestProject

SCHEDULE = """

@app.schedule("rate(1 hour)")
def tick(event):
    pass
"""
QUEUE = """

@app.on_sqs_message(queue="NAME")
def queue_reader(event):
    pass
"""
WEBSOCKET = """

app.experimental_feature_flags.update(["WEBSOCKETS"])

@app.on_ws_message()
def message(event):
    pass
"""
EVERYTHING_ELSE = """

from chalice import AuthResponse

@app.authorizer()
def allow(request):
    return AuthResponse(routes=["*"], principal_id="somebody")

@app.route("/guarded", authorizer=allow)
def guarded():
    return {}

@app.lambda_function()
def plain(event, context):
    pass

@app.on_s3_event(bucket="NAME")
def bucket_reader(event):
    pass

@app.on_sns_message(topic="NAME")
def topic_reader(event):
    pass
"""


def create_queue(project: TestProject, name: str) -> None:
    """Create a queue that the functions may read."""
    client(project.aws, "sqs").create_queue(QueueName=name)
    project.allow({"Effect": "Allow", "Action": "sqs:*", "Resource": f"arn:aws:sqs:*:*:{name}"})


class Interrupted(BaseException):
    """The end of the process, as far as AWS can tell."""


def interrupt(project: TestProject, operation: str, moment: str = "after") -> None:
    """Deploy, and end before or after an operation that AWS carries out."""

    def end(**_: Any) -> None:
        raise Interrupted

    interrupted = project.project()
    interrupted.session.register(f"{moment}-call.{operation}", end)
    with pytest.raises(Interrupted):
        deploy(interrupted)


def forget(project: TestProject) -> None:
    """Remove the record, as a fresh clone has none."""
    (project.folder / "build" / "emulated" / "dev.json").unlink()


def get(project: TestProject, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the deployed app responds at /."""
    capsys.readouterr()
    url(project.project())
    return requests.get(capsys.readouterr().out.split()[0], timeout=60).text


def test_an_interrupted_deploy_can_be_rerun(
    project: TestProject, capsys: pytest.CaptureFixture[str]
) -> None:
    project.append(QUEUE.replace("NAME", project.name))
    create_queue(project, project.name)
    for operation in (
        "iam.CreateRole",
        "iam.PutRolePolicy",
        "lambda.CreateFunction",
        "lambda.CreateEventSourceMapping",
        "api-gateway.ImportRestApi",  # the API is there, and nobody knows its id
        "lambda.AddPermission",
        "api-gateway.CreateDeployment",
    ):
        interrupt(project, operation)
    deploy(project.project())
    assert get(project, capsys) == "a sample"
    assert len(project.in_aws()) == 1 + 2 + 2 + 1  # API, functions, roles, queue


@pytest.mark.parametrize("app", ["", "import nothing_there\n", "no Python\n"])
def test_delete_finds_a_role_whose_function_was_not_created(project: TestProject, app: str) -> None:
    interrupt(project, "lambda.CreateFunction", "before")
    assert len(project.in_aws()) == 1
    project.write("app.py", app)
    delete(project.project())
    assert project.in_aws() == []


def test_a_permission_for_a_bucket_without_a_name_does_no_harm(project: TestProject) -> None:
    deploy(project.project())
    client(project.aws, "lambda").add_permission(
        FunctionName=f"{project.name}-dev",
        StatementId="left-over",  # of a failed `chalice deploy`
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceArn="arn:aws:s3:::",
    )
    delete(project.project())
    assert project.in_aws() == []


JOBS = """
import chalice
jobs = chalice.Blueprint(__name__)

@jobs.lambda_function(name="run")
def other(event, context):
    pass
"""


def test_delete_finds_the_role_of_a_blueprints_function(project: TestProject) -> None:
    project.write("chalicelib/__init__.py", "")
    project.write("chalicelib/jobs.py", JOBS)
    project.append("\nfrom chalicelib.jobs import jobs\n")
    project.append('app.register_blueprint(jobs, name_prefix="night_")\n')
    interrupt(project, "lambda.CreateFunction", "before")
    assert project.in_aws() == [f"arn:aws:iam::000000000000:role/{project.name}-dev-night_run"]
    delete(project.project())
    assert project.in_aws() == []


def test_a_role_that_is_given_is_not_asked_for(project: TestProject) -> None:
    name = make_role(project.aws, name=f"{project.name}-dev-api_handler")  # as Chalice's own
    role = f"arn:aws:iam::000000000000:role/{name}"
    project.configure("dev", manage_iam_role=False, iam_role_arn=role)
    dev, asked = project.project(), []
    dev.session.register("before-call.iam.*", lambda model, **_: asked.append(model.name))
    deploy(dev)
    forget(project)
    delete(dev)
    assert asked == []
    assert project.in_aws() == [role]


def test_the_versions_of_the_managed_layer_are_found(project: TestProject) -> None:
    functions, layer = client(project.aws, "lambda"), f"{project.name}-dev-managed-layer"
    project.write("vendor/shared.py", "")
    project.configure(automatic_layer=True)
    deploy(project.project())
    functions.publish_layer_version(LayerName=layer, Content={"ZipFile": zipped(shared="")})
    forget(project)
    project.configure(automatic_layer=None)
    delete(project.project())
    assert functions.list_layer_versions(LayerName=layer)["LayerVersions"] == []


def test_a_domain_with_other_apis_is_kept(
    project: TestProject, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{project.name}.example.com"
    project.configure(
        api_gateway_custom_domain={"domain_name": name, "certificate_arn": "arn:aws:acm:::1"}
    )
    deploy(project.project())
    gateway = client(project.aws, "apigateway")
    other = gateway.create_rest_api(name="other")["id"]
    gateway.create_base_path_mapping(domainName=name, basePath="other", restApiId=other)
    delete(project.project())
    assert f"{name} also maps to other APIs, so it is kept." in capsys.readouterr().err
    assert gateway.get_domain_name(domainName=name)


def create_by_hand(project: TestProject) -> list[str]:
    """Create a role and a function whose names begin as the stage's do; return their ARNs."""
    name = f"{project.name}-dev-by-hand"
    make_function(project.aws, "", make_role(project.aws, name=name), FunctionName=name)
    function = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    return [f"arn:aws:iam::000000000000:role/{name}", function]


def test_deploy_and_delete_find_every_kind_of_resource_without_a_record(
    project: TestProject, capsys: pytest.CaptureFixture[str]
) -> None:
    by_hand = create_by_hand(project)
    project.append((SCHEDULE + QUEUE + WEBSOCKET + EVERYTHING_ELSE).replace("NAME", project.name))
    create_queue(project, project.name)
    client(project.aws, "s3").create_bucket(Bucket=project.name)
    client(project.aws, "sns").create_topic(Name=project.name)
    domain = {"domain_name": f"{project.name}.example.com", "certificate_arn": "arn:aws:acm:::1"}
    project.configure(api_gateway_custom_domain=domain)
    deploy(project.project())
    assert f"Websocket API URL: {project.aws.replace('http', 'ws')}" in capsys.readouterr().out
    deployed = project.in_aws()
    assert len(deployed) == len(by_hand) + 2 * 8 + 6  # functions, their roles, callers, APIs
    forget(project)
    project.change(SCHEDULE, "")
    deploy(project.project())
    assert project.in_aws() == [name for name in deployed if "-tick" not in name]
    forget(project)
    delete(project.project())
    assert project.in_aws() == by_hand
    bucket = client(project.aws, "s3").get_bucket_notification_configuration(Bucket=project.name)
    assert not bucket.get("LambdaFunctionConfigurations")


def test_an_incomplete_websocket_api_is_completed(project: TestProject) -> None:
    project.append(WEBSOCKET)
    interrupt(project, "apigatewayv2.CreateStage", "before")
    deploy(project.project())
    apis = client(project.aws, "apigatewayv2")
    (api,) = (api["ApiId"] for api in apis.get_apis()["Items"] if project.name in api["Name"])
    assert apis.get_stages(ApiId=api)["Items"]


def test_the_api_may_have_another_name_than_the_settings_and_get_another(
    project: TestProject, capsys: pytest.CaptureFixture[str]
) -> None:
    project.change(f'app_name="{project.name}"', f'app_name="{project.name}-api"')
    interrupt(project, "lambda.AddPermission", "before")
    deploy(project.project())
    forget(project)
    assert get(project, capsys) == "a sample"
    project.change(f'app_name="{project.name}-api"', f'app_name="{project.name}-other"')
    deploy(project.project())
    assert len(project.in_aws()) == 3  # a function, its role and an API
    delete(project.project())
    assert project.in_aws() == []


@pytest.mark.parametrize("written", ['Chalice("NAME-api")', 'Chalice(app_name="NAME-api")'])
def test_delete_finds_an_api_that_has_no_permission_yet(project: TestProject, written: str) -> None:
    project.change(f'Chalice(app_name="{project.name}")', written.replace("NAME", project.name))
    interrupt(project, "api-gateway.ImportRestApi")
    delete(project.project())
    assert project.in_aws() == []


def create_api(project: TestProject, name: str) -> str:
    """Create an API by hand that calls the function, and may do so; return its id."""
    gateway = client(project.aws, "apigateway")
    api = str(gateway.create_rest_api(name=name)["id"])
    (root,) = gateway.get_resources(restApiId=api)["items"]
    method = {"restApiId": api, "resourceId": root["id"], "httpMethod": "GET"}
    gateway.put_method(**method, authorizationType="NONE")
    function = f"arn:aws:lambda:us-east-1:000000000000:function:{project.name}-dev"
    path = f"lambda:path/2015-03-31/functions/{function}/invocations"
    uri = f"arn:aws:apigateway:us-east-1:{path}"
    gateway.put_integration(**method, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    client(project.aws, "lambda").add_permission(
        FunctionName=function,
        StatementId=api,
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:us-east-1:000000000000:{api}/*",
    )
    return api


def test_an_api_that_somebody_created_by_hand_is_kept(
    project: TestProject, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy(project.project())
    api = create_api(project, "by hand")
    forget(project)
    deploy(project.project())
    assert "Several APIs" not in capsys.readouterr().err
    delete(project.project())
    assert client(project.aws, "apigateway").get_rest_api(restApiId=api)["name"] == "by hand"


def test_the_recorded_api_is_used_and_delete_removes_both(
    project: TestProject, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy(project.project())
    used = project.project()
    apis = [item["rest_api_id"] for item in Inventory(used.session, used.config).rest_apis()]
    apis.append(create_api(project, project.name))
    for api in apis:
        record = [resource("rest_api", "rest_api", rest_api_id=api)]
        found = Inventory(used.session, used.config, previous=record)
        assert [item["rest_api_id"] for item in found.rest_apis()] == [api]
        assert found.warnings[0].endswith(f"{api} is used.")
    left = project.project()

    def ignored(**_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        return AWSResponse("", 202, {}, None), {}

    left.session.register("before-call.api-gateway.DeleteRestApi", ignored)
    with pytest.raises(Refusal) as refusal:
        delete(left)
    assert str(refusal.value).startswith("Still in AWS: rest_api, rest_api-")
    delete(project.project())
    assert project.in_aws() == []


def test_a_record_of_an_older_name_is_kept(project: TestProject) -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:older-name-dev"
    content = {"resources": [resource("lambda_function", "api_handler", lambda_arn=arn)]}
    record = project.write("build/emulated/dev.json", json.dumps(content))
    message = "dev.json records older-name-dev, the app's previous name: run"
    with pytest.raises(Refusal, match=message):
        deploy(project.project())
    assert json.loads(record.read_text()) == content


def test_an_interrupted_change_of_a_queue_leaves_the_new_one(project: TestProject) -> None:
    old, new = (f"{project.name}-{name}" for name in ("old", "new"))
    for name in (old, new):
        create_queue(project, name)
    project.append(QUEUE.replace("NAME", old))
    deploy(project.project())
    functions, function = client(project.aws, "lambda"), f"{project.name}-dev-queue_reader"
    arn = f"arn:aws:sqs:us-east-1:000000000000:{new}"
    functions.create_event_source_mapping(FunctionName=function, EventSourceArn=arn)
    project.change(old, new)
    deploy(project.project())
    left = functions.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    assert [mapping["EventSourceArn"] for mapping in left] == [arn]


def test_a_topic_that_no_function_reads_any_more_is_unsubscribed(project: TestProject) -> None:
    for name in ("old", "new"):
        client(project.aws, "sns").create_topic(Name=f"{project.name}-{name}")
    project.append(f"""

@app.on_sns_message(topic="{project.name}-old")
def topic_reader(event):
    pass
""")
    deploy(project.project())
    forget(project)
    project.change("-old", "-new")
    deploy(project.project())
    topics = client(project.aws, "sns").list_subscriptions()["Subscriptions"]
    ours = [topic["TopicArn"] for topic in topics if project.name in topic["Endpoint"]]
    assert ours == [f"arn:aws:sns:us-east-1:000000000000:{project.name}-new"]


def test_the_names_in_a_source_are_those_of_functions_and_apis(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_bytes(
        b"app = Own('shop')  # \xff\n@app.route('/')\ndef index(): ...\n"
        b"@app.schedule(Rate(1, unit=Rate.HOURS))\ndef tick(event): ...\n"
    )
    expected = Names(apis=frozenset({"shop"}), functions=frozenset({"api_handler", "tick"}))
    assert Names.of_source(tmp_path) == expected
