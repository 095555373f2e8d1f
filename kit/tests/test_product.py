"""A small product goes through the whole circle: its own tests, a deployment, a stack."""

import shutil
import sys
from pathlib import Path

import pytest
import requests

from chalicekit import resources
from tests.emulated import client
from tests.processes import wait_until
from tests.sample import TABLE, Sample

APP = """
import os

import boto3
from chalice import AuthResponse, Chalice, NotFoundError, Response

PREFIX = os.environ["PREFIX"]
FILES = {"bucket": {"name": [{"prefix": f"{PREFIX}-files-"}]}}
app = Chalice("product")
sqs, table = boto3.client("sqs"), boto3.resource("dynamodb").Table(f"{PREFIX}-links")


@app.authorizer()
def guard(request):
    return AuthResponse(routes=["*"] if request.token == "right" else [], principal_id="owner")


@app.route("/{code}", methods=["PUT"], authorizer=guard)
def save_later(code):
    queue = sqs.get_queue_url(QueueName=f"{PREFIX}-codes")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody=code)
    return Response("", status_code=202)


@app.on_sqs_message(queue=f"{PREFIX}-codes")
def save(event):
    for record in event:
        table.put_item(Item={"code": record.body})


@app.on_cw_event({"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": FILES})
def save_name_of_file(event):
    table.put_item(Item={"code": event.detail["object"]["key"]})


@app.route("/{code}")
def show(code):
    if "Item" not in table.get_item(Key={"code": code}):
        raise NotFoundError(code)
    return "saved"
"""
TESTS = """
import pytest
import requests
from chalice.test import Client


def test_in_process(emulated_aws):
    from app import app

    with Client(app) as client:
        client.lambda_.invoke("save", client.events.generate_sqs_event(["a"]))
        assert client.http.get("/a").body == b"saved"


@pytest.mark.parametrize("place", ["local_url", "deployed_url"])
def test_served_and_deployed(request, place):
    url = request.getfixturevalue(place)
    assert requests.put(f"{url}/b", headers={"Authorization": "wrong"}).status_code == 403
    assert requests.put(f"{url}/b", headers={"Authorization": "right"}).status_code == 202
"""
PYTEST = "[pytest]\nchalice_stage = dev\npythonpath = .\nusefixtures = api_gateway\n"
RESOURCES = {
    "Links": TABLE,
    "Codes": {
        "Type": "AWS::SQS::Queue",
        "Properties": {"QueueName": {"Fn::Sub": "${App}-${Stage}-codes"}},
    },
    "Files": {
        "Type": "AWS::S3::Bucket",
        "Properties": {
            "BucketName": {"Fn::Sub": "${App}-${Stage}-files-${AWS::AccountId}"},
            "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
        },
    },
}


@pytest.fixture
def product(tmp_path: Path, aws: str) -> Sample:
    """A project with an authorizer, a worker, files that arrive, and their resources."""
    sample = Sample(tmp_path / "product", aws, APP)
    for stage in ("dev", "prod"):
        prefix = f"{sample.name}-{stage}"
        sample.configure(stage, environment_variables={"PREFIX": prefix})
        own = f"arn:*:*:*:*:*{prefix}-*"
        sample.allow({"Effect": "Allow", "Action": ["dynamodb:*", "sqs:*"], "Resource": own}, stage)
    sample.declare(**RESOURCES)
    return sample


def save(url: str, code: str) -> None:
    """Save a code, and wait until the worker has done it."""
    saved = requests.put(f"{url}/{code}", headers={"Authorization": "right"}, timeout=60)
    assert saved.status_code == 202
    wait_until(lambda: is_saved(url, code), seconds=120)


def is_saved(url: str, code: str) -> bool:
    """Tell whether the product has a code."""
    return requests.get(f"{url}/{code}", timeout=60).text == "saved"


def test_its_own_tests_pass_in_process_served_and_deployed(product: Sample) -> None:
    product.write("test_product.py", TESTS)
    product.write("pytest.ini", PYTEST)
    done = product.execute(sys.executable, "-m", "pytest", "-q", str(product.folder))
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_a_deployment_is_found_again_and_its_data_outlive_it(product: Sample) -> None:
    url = product.deploy()
    save(url, "a")
    shutil.rmtree(product.folder / "build")  # as in a fresh clone
    assert product.deploy() == url
    shutil.rmtree(product.folder / "build")
    assert f"The stack {product.name}-dev-resources is kept with its data" in product.run("delete")
    assert product.in_aws() == []
    assert is_saved(product.deploy(), "a")


def test_a_stack_has_everything_and_its_data_outlive_it(product: Sample) -> None:
    resources.ensure(product.project("prod"))
    out, name = product.package(stage="prod"), f"{product.name}-prod"
    s3, bucket = client(product.aws, "s3"), f"{name}-packages"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="package", Body=(out / "deployment.zip").read_bytes())
    template = (out / "sam.json").read_text(encoding="utf-8")
    stack, stacks = {"StackName": name}, client(product.aws, "cloudformation")
    stacks.create_stack(
        **stack,
        TemplateBody=template.replace("./deployment.zip", f"s3://{bucket}/package"),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    each_second = {"Delay": 1, "MaxAttempts": 60}
    stacks.get_waiter("stack_create_complete").wait(**stack, WaiterConfig=each_second)
    url = product.run("url", stage="prod").strip().rstrip("/")
    save(url, "a")
    s3.put_object(Bucket=f"{name}-files-000000000000", Key="b", Body=b"")
    wait_until(lambda: is_saved(url, "b"), seconds=120)
    stacks.delete_stack(**stack)
    stacks.get_waiter("stack_delete_complete").wait(**stack, WaiterConfig=each_second)
    assert client(product.aws, "dynamodb").scan(TableName=f"{name}-links")["Count"] == 2
