"""A small product with data goes through the whole circle, as whoever uses the kit takes it."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from chalicekit import resources
from tests.emulated import client
from tests.processes import wait_until
from tests.project import TestProject
from tests.wheels import make_wheel

pytestmark = pytest.mark.xdist_group("product")

PRODUCT = Path(__file__).parent / "product"
IS_ADDRESS = "def is_address(text):\n    return text.startswith('https://')\n"
TOKEN = {"Authorization": "a token"}
ADDRESS = "https://example.com/"


class Product(TestProject):
    """A copy of the product, under another name."""

    def __init__(self, folder: Path, aws: str) -> None:
        super().__init__(folder, aws)
        shutil.rmtree(folder)
        for path in PRODUCT.rglob("*.*"):
            if path.is_file() and "__pycache__" not in path.parts:
                text = path.read_text(encoding="utf-8").replace("shortener", self.name)
                self.write(str(path.relative_to(PRODUCT)), text)
        make_wheel(folder / "wheels", "addresses", {"addresses.py": IS_ADDRESS})

    def give_token(self, stage: str = "dev") -> None:
        """Put the secret into the emulated AWS, as an administrator does."""
        name = f"/{self.name}-{stage}/token"
        parameter = {"Name": name, "Value": "a token", "Type": "SecureString"}
        client(self.aws, "ssm").put_parameter(**parameter)

    def forget(self) -> None:
        """Become what a fresh clone is."""
        shutil.rmtree(self.folder / "build")


@pytest.fixture
def product(tmp_path: Path, aws: str) -> Product:
    """A product of a test."""
    return Product(tmp_path / "product", aws)


def save(url: str, code: str) -> int:
    """Save a link; return the status."""
    body = {"address": ADDRESS}
    return requests.put(f"{url}/links/{code}", json=body, headers=TOKEN, timeout=60).status_code


def follow(url: str, code: str) -> "str | None":
    """Return where a link leads, or None."""
    response = requests.get(f"{url}/{code}", allow_redirects=False, timeout=60)
    return response.headers.get("Location")


def visits(url: str, code: str) -> Any:
    """Return how often a link was followed, or None if there is none."""
    link = requests.get(f"{url}/links/{code}", headers=TOKEN, timeout=60)
    return link.json().get("visits")


def test_its_own_tests_pass_in_process_served_and_deployed(product: Product) -> None:
    product.run("install")
    packages = str(product.folder / "build" / "requirements" / "here")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(product.folder)]
    done = product.start(*command, PYTHONPATH=packages)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_deployment_is_found_again_and_its_data_outlive_it(product: Product) -> None:
    product.give_token()
    url = product.deploy()
    assert save(url, "a") == 201
    product.forget()
    assert product.deploy() == url
    product.forget()
    assert f"The stack {product.name}-dev-resources is kept with its data" in product.run("delete")
    assert product.in_aws() == []
    assert follow(product.deploy(), "a") == ADDRESS


def test_a_missing_permission_is_seen_in_the_log(product: Product) -> None:
    path = product.folder / ".chalice" / "policy-dev.json"
    policy = json.loads(path.read_text(encoding="utf-8"))
    policy["Statement"] = [
        statement
        for statement in policy["Statement"]
        if "dynamodb" not in statement["Resource"] and "ssm" not in statement["Resource"]
    ]
    path.write_text(json.dumps(policy), encoding="utf-8")
    url = product.deploy()
    assert requests.get(f"{url}/a", timeout=60).status_code == 500
    assert save(url, "a") == 500
    log, account = product.run("logs"), "us-east-1:000000000000"
    table = f"arn:aws:dynamodb:{account}:table/{product.name}-dev-links"
    assert f"{product.name}-dev-api_handler does not allow dynamodb:GetItem on {table}." in log
    parameter = f"arn:aws:ssm:{account}:parameter/{product.name}-dev/token"
    assert f"does not allow ssm:GetParameter on {parameter}." in log
    assert "AccessDenied" in log


def test_the_stack_of_prod_has_everything(product: Product) -> None:
    product.give_token("prod")
    resources.ensure(product.project("prod"))
    out, stacks = product.package(stage="prod"), client(product.aws, "cloudformation")
    s3, name = client(product.aws, "s3"), f"{product.name}-prod"
    s3.create_bucket(Bucket=f"{name}-packages")
    package = (out / "deployment.zip").read_bytes()
    s3.put_object(Bucket=f"{name}-packages", Key="package.zip", Body=package)
    template = (out / "sam.json").read_text(encoding="utf-8")
    stacks.create_stack(
        StackName=name,
        TemplateBody=template.replace("./deployment.zip", f"s3://{name}-packages/package.zip"),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    each_second = {"Delay": 1, "MaxAttempts": 60}
    stacks.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=each_second)
    url = product.run("url", stage="prod").split()[0].rstrip("/")
    assert save(url, "a") == 201
    assert follow(url, "a") == ADDRESS
    wait_until(lambda: visits(url, "a") == 1, seconds=120)
    uploads = f"{name}-uploads-000000000000"
    s3.put_object(Bucket=uploads, Key="links.txt", Body=f"b {ADDRESS}\n")
    wait_until(lambda: visits(url, "b") == 0, seconds=120)
    stacks.delete_stack(StackName=name)
    stacks.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=each_second)
    items = client(product.aws, "dynamodb").scan(TableName=f"{name}-links")["Count"]
    assert items == 2
