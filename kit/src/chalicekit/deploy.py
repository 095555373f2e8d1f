"""`deploy`, `url` and `delete`, in your AWS account or in the emulated AWS."""

import time
from typing import Any
from urllib.parse import urlsplit

from chalice import Chalice
from chalice.app import SNSEventConfig
from chalice.config import Config
from chalice.deploy.deployer import DeploymentReporter
from chalice.utils import UI

from chalicekit import checks, resources
from chalicekit.aws import connection
from chalicekit.build import Build, archive, build
from chalicekit.errors import Refusal
from chalicekit.factory import StageConfig, create_deployer
from chalicekit.inventory import Inventory, Resource, find
from chalicekit.load import app_of
from chalicekit.lock import lock
from chalicekit.project import Project


def deploy(project: Project) -> None:
    """Deploy a stage: its resources, then the app; print its URLs.

    Raises Refusal if the deployment cannot work or AWS refuses it.
    """
    with connection(project) as connected, lock(connected):
        inventory = Inventory(connected)
        refuse_stacks(connected, inventory)
        checks.before_build(connected)
        built = build(connected)
        archive.check_upload(built.zip)
        with app_of(built, connected) as app:
            checks.before_deploy(connected, app)
            resources.ensure(connected)
            sources = [item for item in app.event_sources if isinstance(item, SNSEventConfig)]
            deployed = inventory.deployed(topics={source.topic for source in sources})
            config = StageConfig.of(connected.config, app, deployed)
            record = run_chalice(connected, config, built)
    for item in record["resources"]:
        for key in item.keys() & {"rest_api_url", "websocket_api_url"}:
            item[key] = address(item[key], connected.emulator)
    DeploymentReporter(UI()).display_report(record)


def url(project: Project) -> None:
    """Print the URLs of a stage's APIs; raises Refusal if it has none."""
    with connection(project) as connected:
        inventory = Inventory(connected)
        apis = [*inventory.rest_apis(), *inventory.websocket_apis()]
        urls = [api.get("rest_api_url") or api["websocket_api_url"] for api in apis]
        for stack in inventory.stacks:
            urls += stack_urls(connected, stack)
        if not inventory.all_functions:
            hint = connected.command("deploy")
            raise Refusal(f"{connected.name} is not deployed: run `{hint}`.")
        if not urls:
            raise Refusal(f"{connected.name} has no URL: the deployed app has no route.")
        for url_in_aws in urls:
            print(address(url_in_aws, connected.emulator))


def delete(project: Project) -> None:
    """Delete what Chalice has made of a stage, and say what is left.

    The app is not imported: what is in AWS can be deleted without it. Raises Refusal if AWS
    refuses, or if something is left that should not be.
    """
    with connection(project) as connected, lock(connected):
        inventory = Inventory(connected, deleting=True)
        if not inventory.functions:  # beside a stack, there may be what Chalice has deployed
            refuse_stacks(connected, inventory)
        run_chalice(connected, config_without_app(connected, inventory.deployed()))
        refuse_leftovers(connected)
        kept = resources.kept(connected)
        print(f"Deleted. {'The' if kept else 'Only the'} logs are left in AWS.")
        if kept:
            print(kept)


def refuse_stacks(project: Project, inventory: Inventory) -> None:
    """Raise Refusal if the stage is one of CloudFormation's stacks."""
    if inventory.stacks:
        raise Refusal(
            f"Stage {project.stage} is the CloudFormation stack {', '.join(inventory.stacks)}: "
            "use `aws cloudformation` deploy, describe-stacks and delete-stack for it."
        )


def run_chalice(
    project: Project, config: StageConfig, built: Build | None = None
) -> dict[str, Any]:
    """Let Chalice make AWS what the app in `config` says; return its record.

    It deletes what that app lacks. Without a build, it only deletes.
    """
    deployer = create_deployer(config, project.session, project.records, built)
    record: dict[str, Any] = deployer.deploy(config, project.stage)
    return record


def config_without_app(project: Project, deployed: list[Resource]) -> StageConfig:
    """Return settings of an empty app, with which Chalice deletes all that is deployed.

    They have none of the stage's: Chalice checks settings, and a mistake in them must not keep you
    from deleting.
    """
    nothing = Config(project.stage, config_from_disk={"app_name": project.config.app_name})
    return StageConfig.of(nothing, Chalice("deleted"), deployed)


def refuse_leftovers(project: Project) -> None:
    """Raise Refusal if something is still in AWS, which may list it for a moment."""
    for seconds in (0, 2, 4):
        time.sleep(seconds)
        left = Inventory(project, deleting=True).deployed()
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
