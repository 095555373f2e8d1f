"""A stage's tables, queues and buckets: a CloudFormation stack apart from the functions.

`.chalice/resources.json` (or `.yaml`) is a CloudFormation template for all stages: it may declare
the parameters App and Stage, so that names have both in them. Each stage has a stack of its own,
APP-STAGE-resources. Deleting, renaming or rolling back the app does not touch it.

A change goes through a change set. It says beforehand what would be lost, and it takes over a
table of a stack that was deleted, if the template's DeletionPolicy retained it:
docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
"""

import json
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from chalice.package import YAMLTemplateSerializer
from yaml import YAMLError

from chalicekit.aws import errors_in_one_line
from chalicekit.errors import Refusal
from chalicekit.project import Project

FILES = ("resources.json", "resources.yaml")
BUSY_SECONDS = 30  # how long to wait for a change that somebody else has started


def ensure(project: Project) -> None:
    """Create or update the stage's stack, wait until it is complete, and print each step.

    A project without the file has no such stack: nothing happens. Raises Refusal if the template is
    no template, if data would be lost, if the stack stays busy or if a resource cannot be made; a
    rerun continues from any of these.
    """
    path = template_file(project.folder)
    if not path:
        return
    template, name = read_template(path), stack_name(project)
    with errors_in_one_line(project):
        stacks = project.session.create_client("cloudformation")
        is_new = settle(stacks, name, project)
        planned = plan(stacks, name, template, values_for(template, project), is_new)
        changes = [change["ResourceChange"] for change in planned.get("Changes", [])]
        lost = [name_of(change) for change in changes if is_lost(change)]
        has_failed = planned["Status"] == "FAILED"
        if has_failed or lost:  # nobody will execute it
            stacks.delete_change_set(ChangeSetName=planned["ChangeSetId"])
        if has_failed and "didn't contain changes" in planned["StatusReason"]:
            return
        if has_failed:
            raise Refusal(one_line(f"The stack {name} cannot be made: {planned['StatusReason']}"))
        if lost:
            raise Refusal(
                f".chalice/{path.name} would delete {', '.join(lost)} with its data. If you mean "
                f"it: `{command_by_hand(project, path, template)}`."
            )
        if taken := [name_of(change) for change in changes if change["Action"] == "Import"]:
            print(f"Taking over what exists: {', '.join(taken)}")
        print(f"{'Creating' if is_new else 'Updating'} stack: {name}")
        carry_out(stacks, planned)


def settle(stacks: Any, name: str, project: Project) -> bool:
    """Make a stack ready for a change; return whether it is new, so that it is to be created.

    A change that is under way, as an interrupted command leaves it, is waited for; raises Refusal
    if it takes long. A stack whose first creation failed can only be deleted; it has nothing, so it
    is deleted.
    """
    found = describe(stacks, name)
    if not found:
        return True
    stack_id = found["StackId"]  # by its id, a stack is found also once it is deleted
    stack = wait(lambda: describe(stacks, stack_id), "StackStatus", BUSY_SECONDS)
    status = stack["StackStatus"]
    if is_busy(status):
        again = project.command("deploy")
        raise Refusal(f"The stack {name} is busy ({status}): run `{again}` when it has finished.")
    if status == "ROLLBACK_COMPLETE":
        stacks.delete_stack(StackName=stack_id)
        wait(lambda: describe(stacks, stack_id), "StackStatus")
        return True
    return status in ("DELETE_COMPLETE", "REVIEW_IN_PROGRESS")


def plan(
    stacks: Any, name: str, template: dict[str, Any], values: dict[str, str], is_new: bool
) -> dict[str, Any]:
    """Return a change set that makes a stack what the template says; it has an unused name."""
    token = f"chalicekit-{uuid.uuid4()}"
    made = stacks.create_change_set(
        StackName=name,
        ChangeSetName=token,
        ClientToken=token,  # a client that sends the request again gets the same change set
        ChangeSetType="CREATE" if is_new else "UPDATE",
        TemplateBody=json.dumps(written_out(template, values), default=str),  # dates of YAML
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in values.items()
        ],
        # It takes over a resource that exists, by its name. That must be in the template as text,
        # not as Ref or Fn::Sub: so the template is written out.
        ImportExistingResources=True,
    )
    pages = stacks.get_paginator("describe_change_set").paginate(ChangeSetName=made["Id"])
    return wait(lambda: pages.build_full_result(), "Status")


def is_lost(change: dict[str, Any]) -> bool:
    """Tell whether a change deletes a resource: it is removed or replaced, and not retained."""
    goes = change["Action"] == "Remove" or change.get("Replacement") == "True"
    return goes and not change.get("PolicyAction", "").endswith(("Retain", "Snapshot"))


def name_of(change: dict[str, Any]) -> str:
    """Return the name of a resource that has one; a queue's is at the end of its URL."""
    return str(change.get("PhysicalResourceId") or change["LogicalResourceId"]).rpartition("/")[2]


def carry_out(stacks: Any, planned: dict[str, Any]) -> None:
    """Execute a change set; raises Refusal that says what failed first, if something fails."""
    token, stack_id = planned["ChangeSetName"], planned["StackId"]
    stacks.execute_change_set(
        ChangeSetName=planned["ChangeSetId"], ClientRequestToken=token, RetainExceptOnCreate=True
    )
    stack = wait(lambda: describe(stacks, stack_id), "StackStatus")
    if stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"):
        reason = failure(stacks, stack_id, token) or f"it is {stack['StackStatus']}"
        raise Refusal(one_line(f"The stack {stack['StackName']} failed: {reason}"))


def failure(stacks: Any, stack_id: str, token: str) -> str:
    """Return what failed first in the operation with a token, or ""."""
    pages = stacks.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    failed = [
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason is given')}"
        for event in pages.build_full_result()["StackEvents"]  # the newest first
        if event.get("ClientRequestToken") == token and event["ResourceStatus"].endswith("_FAILED")
    ]
    return failed[-1] if failed else ""


def command_by_hand(project: Project, path: Path, template: dict[str, Any]) -> str:
    """Return the command of AWS that makes a change without asking."""
    command = f"cloudformation deploy --stack-name {stack_name(project)}"
    command += f" --template-file .chalice/{path.name}"
    if values := sorted(values_for(template, project).items()):
        command += " --parameter-overrides " + " ".join(f"{key}={value}" for key, value in values)
    return project.aws_command(command)


def describe(stacks: Any, name: str) -> dict[str, Any] | None:
    """Return a stack, or None if there is none of this name or id."""
    try:
        found: dict[str, Any] = stacks.describe_stacks(StackName=name)["Stacks"][0]
        return found
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return None
        raise


def wait(ask: Callable[[], Any], key: str, seconds: float = float("inf")) -> dict[str, Any]:
    """Return what `ask` returns once the status under `key` is not busy, or time is up."""
    deadline, pause = time.monotonic() + seconds, 0.2
    while is_busy((found := ask())[key]) and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 1.5, 5)
    return dict(found)


def is_busy(status: str) -> bool:
    """Tell whether something is under way. A stack in review has only a change set as yet."""
    return status.endswith(("_IN_PROGRESS", "_PENDING")) and status != "REVIEW_IN_PROGRESS"


def one_line(text: str) -> str:
    """Return a text of AWS's or of a parser's as one line."""
    return " ".join(text.split())


def kept(project: Project) -> str:
    """Return a line about the stage's stack, which `delete` keeps; "" if there is none."""
    if not template_file(project.folder):
        return ""
    name = stack_name(project)
    stack = describe(project.session.create_client("cloudformation"), name)
    if not stack:
        return ""
    if project.emulator:
        return f"The stack {name} is kept with its data, until the emulator ends."
    by_hand = project.aws_command(f"cloudformation delete-stack --stack-name {name}")
    return (
        f"The stack {name} is kept with its data. To delete it: `{by_hand}`, then each resource "
        "that its DeletionPolicy retains."
    )


def tables(project: Project) -> list[str]:
    """Return the names of the stage's tables, as far as the template writes them out.

    No table is made by it: `checks.policies` looks which tables the policies allow.
    """
    if not (path := template_file(project.folder)):
        return []
    template = read_template(path)
    declared = written_out(template["Resources"], values_for(template, project)).values()
    names = [
        (resource.get("Properties") or {}).get("TableName")
        for resource in declared
        if isinstance(resource, dict) and resource.get("Type") == "AWS::DynamoDB::Table"
    ]
    return [name for name in names if isinstance(name, str)]


def stack_name(project: Project) -> str:
    """Return the name of the stage's stack; CloudFormation takes letters, digits and hyphens."""
    return re.sub("[^A-Za-z0-9]+", "-", f"{project.name}-resources")


def template_file(folder: Path) -> Path | None:
    """Return the template in a project's folder, or None; raises Refusal if there are two."""
    found = [path for name in FILES if (path := folder / ".chalice" / name).exists()]
    if len(found) > 1:
        raise Refusal(f"Both {' and '.join(FILES)} are in .chalice: keep one.")
    return found[0] if found else None


def read_template(path: Path) -> dict[str, Any]:
    """Return the content of a template; raises Refusal if it is no JSON or YAML object."""
    load = json.loads if path.suffix == ".json" else YAMLTemplateSerializer().load_template
    try:
        content = load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, YAMLError, RuntimeError) as error:
        # Chalice raises RuntimeError for some of YAML's errors, and leaves out the place.
        reason = error.__context__ if isinstance(error, RuntimeError) else error
        raise Refusal(one_line(f".chalice/{path.name} cannot be read: {reason}")) from error
    if not isinstance(content, dict) or not isinstance(content.get("Resources"), dict):
        raise Refusal(
            f".chalice/{path.name} is not a CloudFormation template: it has no Resources."
        )
    return content


def values_for(template: dict[str, Any], project: Project) -> dict[str, str]:
    """Return the values of the parameters that a template declares."""
    given = {"App": project.config.app_name, "Stage": project.stage}
    return {key: given[key] for key in given.keys() & (template.get("Parameters") or {})}


def written_out(part: Any, values: dict[str, str]) -> Any:
    """Return a part of a template with the values of parameters in place of Ref and Fn::Sub."""
    if isinstance(part, list):
        return [written_out(item, values) for item in part]
    if not isinstance(part, dict):
        return part
    if part.keys() == {"Ref"} and part["Ref"] in values:
        return values[part["Ref"]]
    if part.keys() == {"Fn::Sub"} and isinstance(part["Fn::Sub"], str):
        text = re.sub(r"\$\{(\w+)\}", lambda v: values.get(v[1], v[0]), part["Fn::Sub"])
        return {"Fn::Sub": text} if "${" in text else text
    return {key: written_out(value, values) for key, value in part.items()}
