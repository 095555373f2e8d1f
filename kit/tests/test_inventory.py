"""What AWS has of a stage is found without a record, and after a deploy that was interrupted."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from chalicekit.deploy import delete, deploy
from chalicekit.inventory import Inventory, Resource, names_in_source
from tests.emulated import client, make_function, make_role, zipped
from tests.project import TestProject, refusal

ACCOUNT = "us-east-1:000000000000"
Printed = pytest.CaptureFixture[str]

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

@app.on_sns_message(topic="arn:aws:sns:us-east-1:000000000000:NAME")
def topic_reader(event):
    pass
"""


def create_queue(project: TestProject, name: str) -> None:
    """Create a queue that the functions may read."""
    client(project.aws, "sqs").create_queue(QueueName=name)
    project.allow({"Effect": "Allow", "Action": "sqs:*", "Resource": f"arn:aws:sqs:*:*:{name}"})


def create_by_hand(project: TestProject) -> list[str]:
    """Create a role and a function whose names begin as the stage's do; return their ARNs."""
    name = f"{project.name}-dev-by-hand"
    make_function(project.aws, "", make_role(project.aws, name=name), FunctionName=name)
    return [f"arn:aws:iam::000000000000:role/{name}", f"arn:aws:lambda:{ACCOUNT}:function:{name}"]


def forget(project: TestProject) -> None:
    """Remove the record, as a fresh clone has none."""
    (project.folder / "build" / "emulated" / "dev.json").unlink()


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


def test_every_kind_of_resource_is_found_without_a_record(
    project: TestProject, capsys: Printed
) -> None:
    by_hand = create_by_hand(project)
    project.append((SCHEDULE + QUEUE + WEBSOCKET + EVERYTHING_ELSE).replace("NAME", project.name))
    create_queue(project, project.name)
    client(project.aws, "sns").create_topic(Name=project.name)
    client(project.aws, "s3").create_bucket(Bucket=project.name)
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


def test_an_interrupted_deploy_can_be_rerun(project: TestProject) -> None:
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
    assert len(project.in_aws()) == 1 + 2 + 2 + 1  # API, functions, roles, queue


@pytest.mark.parametrize(
    ("moment", "operation", "made"),
    [
        ("before", "lambda.CreateFunction", 1),  # a role
        ("after", "api-gateway.ImportRestApi", 3),  # a function, its role, and an API
    ],
)
def test_an_interrupted_deploy_can_be_deleted_without_the_app(
    project: TestProject, moment: str, operation: str, made: int
) -> None:
    interrupt(project, operation, moment)
    assert len(project.in_aws()) == made
    project.write("app.py", "no Python\n")
    project.configure(api_gateway_endpoint_type="WRONG")
    delete(project.project())
    assert project.in_aws() == []


def test_the_names_of_functions_are_read_from_the_source(tmp_path: Path) -> None:
    (tmp_path / "chalicelib").mkdir()
    (tmp_path / "app.py").write_bytes(
        b"app = Chalice('shop')  # \xff\n"
        b"@app.route('/')\ndef index(): ...\n"
        b"@app.schedule(Rate(1, unit=Rate.HOURS))\ndef tick(event): ...\n"
        b"app.register_blueprint(jobs, name_prefix='night_')\n"
    )
    (tmp_path / "chalicelib" / "jobs.py").write_text(
        '@jobs.lambda_function(\n    name="run"\n)\ndef other(event, context): ...\n'
    )
    names = {"api_handler", "tick", "run", "other"}
    assert names_in_source(tmp_path) == names | {f"night_{name}" for name in names}


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


def test_all_versions_of_the_managed_layer_are_found(project: TestProject) -> None:
    functions, layer = client(project.aws, "lambda"), f"{project.name}-dev-managed-layer"
    project.write("vendor/shared.py", "")
    project.configure(automatic_layer=True)
    deploy(project.project())
    functions.publish_layer_version(LayerName=layer, Content={"ZipFile": zipped(shared="")})
    forget(project)
    delete(project.project())
    assert functions.list_layer_versions(LayerName=layer)["LayerVersions"] == []


def test_a_domain_with_other_apis_is_kept(project: TestProject, capsys: Printed) -> None:
    name = f"{project.name}.example.com"
    project.configure(
        api_gateway_custom_domain={"domain_name": name, "certificate_arn": "arn:aws:acm:::1"}
    )
    deploy(project.project())
    gateway = client(project.aws, "apigateway")
    other = gateway.create_rest_api(name="other")["id"]
    gateway.create_base_path_mapping(domainName=name, basePath="other", restApiId=other)
    delete(project.project())
    said = capsys.readouterr().err.splitlines()
    assert said.count(f"{name} also maps to other APIs, so it is kept.") == 1
    assert gateway.get_domain_name(domainName=name)


def test_an_incomplete_websocket_api_is_completed(project: TestProject) -> None:
    project.append(WEBSOCKET)
    interrupt(project, "apigatewayv2.CreateStage", "before")
    deploy(project.project())
    apis = client(project.aws, "apigatewayv2")
    (api,) = [api["ApiId"] for api in apis.get_apis()["Items"] if project.name in api["Name"]]
    assert apis.get_stages(ApiId=api)["Items"]


def test_an_interrupted_change_of_a_queue_leaves_the_new_one(project: TestProject) -> None:
    old, new = f"{project.name}-old", f"{project.name}-new"
    for name in (old, new):
        create_queue(project, name)
    project.append(QUEUE.replace("NAME", old))
    deploy(project.project())
    functions, function = client(project.aws, "lambda"), f"{project.name}-dev-queue_reader"
    arn = f"arn:aws:sqs:{ACCOUNT}:{new}"
    time.sleep(1)  # AWS tells which is newer by the second
    made = functions.create_event_source_mapping(FunctionName=function, EventSourceArn=arn)
    project.change(old, new)
    deploy(project.project())
    left = functions.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    assert [mapping["UUID"] for mapping in left] == [made["UUID"]]


def apis_of(project: TestProject) -> list[Resource]:
    """Return the APIs that a deploy would go on with."""
    return list(Inventory(project.project()).rest_apis())


def create_api(project: TestProject, **version: str) -> str:
    """Create an API that calls the function, as Chalice does if it has a version; return its id."""
    function = f"arn:aws:lambda:{ACCOUNT}:function:{project.name}-dev"
    path = f"lambda:path/2015-03-31/functions/{function}/invocations"
    uri = f"arn:aws:apigateway:us-east-1:{path}"
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": uri}
    definition = {
        "info": {"title": f"{project.name}-other", **version},
        "paths": {"/": {"get": {"x-amazon-apigateway-integration": integration}}},
    }
    gateway = client(project.aws, "apigateway")
    api = str(gateway.import_rest_api(body=json.dumps(definition))["id"])
    client(project.aws, "lambda").add_permission(
        FunctionName=function,
        StatementId=api,
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{ACCOUNT}:{api}/*",
    )
    return api


def test_the_api_may_have_another_name_than_the_settings_and_get_another(
    project: TestProject,
) -> None:
    found = []
    for old, new in [(project.name, "shop"), ("shop", "store")]:
        project.change(f'app_name="{old}"', f'app_name="{new}"')
        deploy(project.project())
        forget(project)
        found.append(apis_of(project))
    (shop,), (store,) = found
    assert shop == store
    assert len(project.in_aws()) == 2  # a function and its role: the API has another name


def test_what_was_created_by_hand_for_the_api_is_kept(project: TestProject) -> None:
    create_queue(project, project.name)
    deploy(project.project())
    api, queue = create_api(project), f"arn:aws:sqs:{ACCOUNT}:{project.name}"
    functions, function = client(project.aws, "lambda"), f"{project.name}-dev"
    functions.create_event_source_mapping(FunctionName=function, EventSourceArn=queue)
    forget(project)
    deploy(project.project())
    assert queue in project.in_aws()
    (used,) = apis_of(project)
    assert used["rest_api_id"] != api
    delete(project.project())
    assert f"{project.name}-other" in project.in_aws()


def test_of_several_apis_the_recorded_one_is_used_and_delete_removes_all(
    project: TestProject, capsys: Printed
) -> None:
    deploy(project.project())
    (first,) = apis_of(project)
    second = {**first, "rest_api_id": create_api(project, version="1.0"), "rest_api_url": "a URL"}
    for api in (first, second):
        project.write("build/emulated/dev.json", json.dumps({"resources": [api]}))
        assert apis_of(project) == [api]
        assert capsys.readouterr().err.endswith(f"{api['rest_api_id']} is used.\n")
    delete(project.project())
    assert project.in_aws() == []


def test_a_record_of_an_older_name_is_kept(project: TestProject) -> None:
    arn = f"arn:aws:lambda:{ACCOUNT}:function:older-name-dev"
    record = {"resources": [{"name": "api_handler", "lambda_arn": arn}]}
    path = project.write("build/emulated/dev.json", json.dumps(record))
    message = f"{path} records older-name-dev, the app's previous name: run"
    assert refusal(deploy, project.project()).startswith(message)
    assert json.loads(path.read_text()) == record


@pytest.mark.parametrize("cut", ["", "{}", '{"resources": null}', '{"resources": [1]}'])
def test_a_record_that_is_cut_or_no_record_is_none(project: TestProject, cut: str) -> None:
    project.write("build/emulated/dev.json", cut)
    assert Inventory(project.project()).recorded_apis == []
