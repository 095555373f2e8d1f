"""What AWS has of a stage is found without a record, and after a deploy that was interrupted."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from chalicekit.deploy import delete, deploy
from chalicekit.inventory import Inventory, Resource, names_in_source
from tests.emulated import client, make_function, make_role, zipped
from tests.sample import Sample, refusal

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


def create_queue(sample: Sample, name: str) -> None:
    """Create a queue that the functions may read."""
    client(sample.aws, "sqs").create_queue(QueueName=name)
    sample.allow({"Effect": "Allow", "Action": "sqs:*", "Resource": f"arn:aws:sqs:*:*:{name}"})


def create_by_hand(sample: Sample) -> list[str]:
    """Create a role and a function whose names begin as the stage's do; return their ARNs."""
    name = f"{sample.name}-dev-by-hand"
    make_function(sample.aws, "", make_role(sample.aws, name=name), FunctionName=name)
    return [f"arn:aws:iam::000000000000:role/{name}", f"arn:aws:lambda:{ACCOUNT}:function:{name}"]


def forget(sample: Sample) -> None:
    """Remove the record, as a fresh clone has none."""
    (sample.folder / "build" / "emulated" / "dev.json").unlink()


class Interrupted(BaseException):
    """The end of the process, as far as AWS can tell."""


def interrupt(sample: Sample, operation: str, moment: str = "after") -> None:
    """Deploy, and end before or after an operation that AWS carries out."""

    def end(**_: Any) -> None:
        raise Interrupted

    interrupted = sample.project()
    interrupted.session.register(f"{moment}-call.{operation}", end)
    with pytest.raises(Interrupted):
        deploy(interrupted)


def test_every_kind_of_resource_is_found_without_a_record(sample: Sample, capsys: Printed) -> None:
    by_hand = create_by_hand(sample)
    sample.append((SCHEDULE + QUEUE + WEBSOCKET + EVERYTHING_ELSE).replace("NAME", sample.name))
    create_queue(sample, sample.name)
    client(sample.aws, "sns").create_topic(Name=sample.name)
    client(sample.aws, "s3").create_bucket(Bucket=sample.name)
    domain = {"domain_name": f"{sample.name}.example.com", "certificate_arn": "arn:aws:acm:::1"}
    sample.configure(api_gateway_custom_domain=domain)
    deploy(sample.project())
    assert f"Websocket API URL: {sample.aws.replace('http', 'ws')}" in capsys.readouterr().out
    deployed = sample.in_aws()
    assert len(deployed) == len(by_hand) + 2 * 8 + 6  # functions, their roles, callers, APIs
    forget(sample)
    sample.change(SCHEDULE, "")
    deploy(sample.project())
    assert sample.in_aws() == [name for name in deployed if "-tick" not in name]
    forget(sample)
    delete(sample.project())
    assert sample.in_aws() == by_hand
    bucket = client(sample.aws, "s3").get_bucket_notification_configuration(Bucket=sample.name)
    assert not bucket.get("LambdaFunctionConfigurations")


def test_an_interrupted_deploy_can_be_rerun(sample: Sample) -> None:
    sample.append(QUEUE.replace("NAME", sample.name))
    create_queue(sample, sample.name)
    for operation in (
        "iam.CreateRole",
        "iam.PutRolePolicy",
        "lambda.CreateFunction",
        "lambda.CreateEventSourceMapping",
        "api-gateway.ImportRestApi",  # the API is there, and nobody knows its id
        "lambda.AddPermission",
        "api-gateway.CreateDeployment",
    ):
        interrupt(sample, operation)
    deploy(sample.project())
    assert len(sample.in_aws()) == 1 + 2 + 2 + 1  # API, functions, roles, queue


@pytest.mark.parametrize(
    ("moment", "operation", "made"),
    [
        ("before", "lambda.CreateFunction", 1),  # a role
        ("after", "api-gateway.ImportRestApi", 3),  # a function, its role, and an API
    ],
)
def test_an_interrupted_deploy_can_be_deleted_without_the_app(
    sample: Sample, moment: str, operation: str, made: int
) -> None:
    interrupt(sample, operation, moment)
    assert len(sample.in_aws()) == made
    sample.write("app.py", "no Python\n")
    sample.configure(api_gateway_endpoint_type="WRONG")
    delete(sample.project())
    assert sample.in_aws() == []


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


def test_a_role_that_is_given_is_not_asked_for(sample: Sample) -> None:
    name = make_role(sample.aws, name=f"{sample.name}-dev-api_handler")  # as Chalice's own
    role = f"arn:aws:iam::000000000000:role/{name}"
    sample.configure("dev", manage_iam_role=False, iam_role_arn=role)
    dev, asked = sample.project(), []
    dev.session.register("before-call.iam.*", lambda model, **_: asked.append(model.name))
    deploy(dev)
    forget(sample)
    delete(dev)
    assert asked == []
    assert sample.in_aws() == [role]


def test_all_versions_of_the_managed_layer_are_found(sample: Sample) -> None:
    functions, layer = client(sample.aws, "lambda"), f"{sample.name}-dev-managed-layer"
    sample.write("vendor/shared.py", "")
    sample.configure(automatic_layer=True)
    deploy(sample.project())
    functions.publish_layer_version(LayerName=layer, Content={"ZipFile": zipped(shared="")})
    forget(sample)
    delete(sample.project())
    assert functions.list_layer_versions(LayerName=layer)["LayerVersions"] == []


def test_a_domain_with_other_apis_is_kept(sample: Sample, capsys: Printed) -> None:
    name = f"{sample.name}.example.com"
    sample.configure(
        api_gateway_custom_domain={"domain_name": name, "certificate_arn": "arn:aws:acm:::1"}
    )
    deploy(sample.project())
    gateway = client(sample.aws, "apigateway")
    other = gateway.create_rest_api(name="other")["id"]
    gateway.create_base_path_mapping(domainName=name, basePath="other", restApiId=other)
    delete(sample.project())
    said = capsys.readouterr().err.splitlines()
    assert said.count(f"{name} also maps to other APIs, so it is kept.") == 1
    assert gateway.get_domain_name(domainName=name)


def test_an_incomplete_websocket_api_is_completed(sample: Sample) -> None:
    sample.append(WEBSOCKET)
    interrupt(sample, "apigatewayv2.CreateStage", "before")
    deploy(sample.project())
    apis = client(sample.aws, "apigatewayv2")
    (api,) = [api["ApiId"] for api in apis.get_apis()["Items"] if sample.name in api["Name"]]
    assert apis.get_stages(ApiId=api)["Items"]


def test_an_interrupted_change_of_a_queue_leaves_the_new_one(sample: Sample) -> None:
    old, new = f"{sample.name}-old", f"{sample.name}-new"
    for name in (old, new):
        create_queue(sample, name)
    sample.append(QUEUE.replace("NAME", old))
    deploy(sample.project())
    functions, function = client(sample.aws, "lambda"), f"{sample.name}-dev-queue_reader"
    arn = f"arn:aws:sqs:{ACCOUNT}:{new}"
    time.sleep(1)  # AWS tells which is newer by the second
    made = functions.create_event_source_mapping(FunctionName=function, EventSourceArn=arn)
    sample.change(old, new)
    deploy(sample.project())
    left = functions.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    assert [mapping["UUID"] for mapping in left] == [made["UUID"]]


def apis_of(sample: Sample) -> list[Resource]:
    """Return the APIs that a deploy would go on with."""
    return list(Inventory(sample.project()).rest_apis())


def create_api(sample: Sample, **version: str) -> str:
    """Create an API that calls the function, as Chalice does if it has a version; return its id."""
    function = f"arn:aws:lambda:{ACCOUNT}:function:{sample.name}-dev"
    path = f"lambda:path/2015-03-31/functions/{function}/invocations"
    uri = f"arn:aws:apigateway:us-east-1:{path}"
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": uri}
    definition = {
        "info": {"title": f"{sample.name}-other", **version},
        "paths": {"/": {"get": {"x-amazon-apigateway-integration": integration}}},
    }
    gateway = client(sample.aws, "apigateway")
    api = str(gateway.import_rest_api(body=json.dumps(definition))["id"])
    client(sample.aws, "lambda").add_permission(
        FunctionName=function,
        StatementId=api,
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{ACCOUNT}:{api}/*",
    )
    return api


def test_the_api_may_have_another_name_than_the_settings_and_get_another(
    sample: Sample,
) -> None:
    found = []
    for old, new in [(sample.name, "shop"), ("shop", "store")]:
        sample.change(f'app_name="{old}"', f'app_name="{new}"')
        deploy(sample.project())
        forget(sample)
        found.append(apis_of(sample))
    (shop,), (store,) = found
    assert shop == store
    assert len(sample.in_aws()) == 2  # a function and its role: the API has another name


def test_what_was_created_by_hand_for_the_api_is_kept(sample: Sample) -> None:
    create_queue(sample, sample.name)
    deploy(sample.project())
    api, queue = create_api(sample), f"arn:aws:sqs:{ACCOUNT}:{sample.name}"
    functions, function = client(sample.aws, "lambda"), f"{sample.name}-dev"
    functions.create_event_source_mapping(FunctionName=function, EventSourceArn=queue)
    forget(sample)
    deploy(sample.project())
    assert queue in sample.in_aws()
    (used,) = apis_of(sample)
    assert used["rest_api_id"] != api
    delete(sample.project())
    assert f"{sample.name}-other" in sample.in_aws()


def test_of_several_apis_the_recorded_one_is_used_and_delete_removes_all(
    sample: Sample, capsys: Printed
) -> None:
    deploy(sample.project())
    (first,) = apis_of(sample)
    second = {**first, "rest_api_id": create_api(sample, version="1.0"), "rest_api_url": "a URL"}
    for api in (first, second):
        sample.write("build/emulated/dev.json", json.dumps({"resources": [api]}))
        assert apis_of(sample) == [api]
        assert capsys.readouterr().err.endswith(f"{api['rest_api_id']} is used.\n")
    delete(sample.project())
    assert sample.in_aws() == []


def test_a_record_of_an_older_name_is_kept(sample: Sample) -> None:
    arn = f"arn:aws:lambda:{ACCOUNT}:function:older-name-dev"
    record = {"resources": [{"name": "api_handler", "lambda_arn": arn}]}
    path = sample.write("build/emulated/dev.json", json.dumps(record))
    message = f"{path} records older-name-dev, the app's previous name: run"
    assert refusal(deploy, sample.project()).startswith(message)
    assert json.loads(path.read_text()) == record


@pytest.mark.parametrize("cut", ["", "{}", '{"resources": null}', '{"resources": [1]}'])
def test_a_record_that_is_cut_or_no_record_is_none(sample: Sample, cut: str) -> None:
    sample.write("build/emulated/dev.json", cut)
    assert Inventory(sample.project()).recorded_apis == []
