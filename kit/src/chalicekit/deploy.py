"""`deploy`, `url` and `delete`, in your AWS account or in the emulated AWS."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import click
from botocore.config import Config as ClientConfig
from chalice import Chalice
from chalice.app import SNSEventConfig
from chalice.config import Config
from chalice.deploy.deployer import DeploymentReporter
from chalice.utils import UI

from chalicekit import checks, resources
from chalicekit.aws import errors_in_one_line
from chalicekit.build import Build, archive, build
from chalicekit.errors import Refusal
from chalicekit.factory import StageConfig, create_deployer
from chalicekit.inventory import Inventory, find
from chalicekit.load import app_of
from chalicekit.lock import lock
from chalicekit.project import Project


def deploy(project: Project) -> None:
    """Deploy a stage: its resources, then the app; print its URLs.

    Raises Refusal if the deployment cannot work or AWS refuses it.
    """
    with connection(project) as project, lock(project):
        inventory = Inventory(project)
        refuse_stacks(project, inventory)
        checks.before_build(project)
        built = build(project)
        archive.check_upload(built.zip)
        with app_of(built, project) as app:
            checks.before_deploy(project, app)
            resources.ensure(project)
            sources = [item for item in app.event_sources if isinstance(item, SNSEventConfig)]
            inventory.topics = {source.topic for source in sources}
            made = carry_out(project, app, inventory, built)
    for item in made["resources"]:
        for key in item.keys() & {"rest_api_url", "websocket_api_url"}:
            item[key] = address(item[key], project.emulator)
    DeploymentReporter(UI()).display_report(made)


def url(project: Project) -> None:
    """Print the URLs of a stage's APIs; raises Refusal if it has none."""
    with connection(project) as project:
        inventory = Inventory(project)
        apis = [*inventory.rest_apis(), *inventory.websocket_apis()]
        warn(inventory)
        urls = [item.get("rest_api_url") or item["websocket_api_url"] for item in apis]
        urls += [url for stack in inventory.stacks for url in stack_urls(project, stack)]
        if not inventory.all_functions:
            raise Refusal(f"{project.name} is not deployed: run `{project.command('deploy')}`.")
        if not urls:
            raise Refusal(f"{project.name} has no URL: the deployed app has no route.")
        print(*(address(url, project.emulator) for url in urls), sep="\n")


def delete(project: Project) -> None:
    """Delete what Chalice has made of a stage, and say what is left.

    The app is not imported: what is in AWS can be deleted without it. Raises Refusal if AWS
    refuses, or if something is left that should not be.
    """
    with connection(project) as project, lock(project):
        inventory = Inventory(project, deleting=True)
        if not inventory.functions:
            refuse_stacks(project, inventory)
        carry_out(project, Chalice("deleted"), inventory)
        refuse_leftovers(project)
        kept = resources.kept(project)
        print(f"Deleted. {'The' if kept else 'Only the'} logs are left in AWS.")
        if kept:
            print(kept)


@contextmanager
def connection(project: Project) -> Iterator[Project]:
    """Yield the project with the emulated AWS that the configuration may name.

    In the block, AWS's errors are Refusals. Raises Refusal if AWS does not respond: with its own
    settings, botocore would try for a minute.
    """
    _ = project.config  # refuses an unknown stage before it asks AWS
    with errors_in_one_line(project):
        project = project.connected()
    with errors_in_one_line(project):
        # An emulated AWS may still be starting: it accepts a connection, and responds later.
        seconds, once = 60 if project.emulator else 10, {"total_max_attempts": 1}
        quick = ClientConfig(connect_timeout=5, read_timeout=seconds, retries=once)
        project.session.create_client("sts", config=quick).get_caller_identity()
        yield project


def refuse_stacks(project: Project, inventory: Inventory) -> None:
    """Raise Refusal if the stage is one of CloudFormation's stacks."""
    if inventory.stacks:
        raise Refusal(
            f"Stage {project.stage} is the CloudFormation stack {', '.join(inventory.stacks)}: "
            "use `aws cloudformation` deploy, describe-stacks and delete-stack for it."
        )


def carry_out(
    project: Project, app: Chalice, inventory: Inventory, built: Build | None = None
) -> dict[str, Any]:
    """Let Chalice make AWS what the app is; return its record. It deletes what no app has.

    Without a build, the app is an empty one, and everything is deleted.
    """
    settings = project.config
    if not built:
        settings = Config(project.stage, config_from_disk={"app_name": settings.app_name})
    config = StageConfig.of(settings, app, inventory.resources())
    warn(inventory)
    deployer = create_deployer(config, project.session, project.records, built)
    made: dict[str, Any] = deployer.deploy(config, project.stage)
    return made


def refuse_leftovers(project: Project) -> None:
    """Raise Refusal if something is still in AWS, which may list it for a moment."""
    for seconds in (0, 2, 4):
        time.sleep(seconds)
        left = Inventory(project, deleting=True).resources()
        if not left:
            return
    names, again = ", ".join(item["name"] for item in left), project.command("delete")
    raise Refusal(f"Still in AWS: {names}. To continue, run `{again}` again.")


def stack_urls(project: Project, stack: str) -> list[str]:
    """Return the URLs that Chalice's template has among a stack's outputs."""
    stacks = project.session.create_client("cloudformation")
    found = find(stacks.describe_stacks, StackName=stack) or {"Stacks": []}
    outputs = [output for item in found["Stacks"] for output in item.get("Outputs", [])]
    keys = ("EndpointURL", "WebsocketConnectEndpointURL")
    return [output["OutputValue"] for output in outputs if output["OutputKey"] in keys]


def address(url: str, emulator: str) -> str:
    """Return the URL of an API, which the emulated AWS serves under a path of its own."""
    if not emulator:
        return url
    parts = urlsplit(url)  # https or wss://API.execute-api.REGION.amazonaws.com/STAGE/
    scheme = parts.scheme.replace("https", "http").replace("wss", "ws")
    api = str(parts.hostname).partition(".")[0]
    return f"{scheme}://{urlsplit(emulator).netloc}/_aws/execute-api/{api}{parts.path}"


def warn(inventory: Inventory) -> None:
    """Print what the user should know about the resources that were found."""
    for warning in inventory.warnings:
        click.echo(warning, err=True)
