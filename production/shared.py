"""What the tests of production share."""

import json
from pathlib import Path
from typing import Any

from chalicekit.pytest_plugin import EmulatedAws

Template = dict[str, Any]
PROJECT = Path(__file__).parent.parent


def read(name: str) -> str:
    """Return a file of the project."""
    return (PROJECT / name).read_text(encoding="utf-8")


APP = json.loads(read(".chalice/config.json"))["app_name"]


def properties_by_name(template: Template, kind: str) -> dict[str, Any]:
    """Return the properties of each resource of a kind, such as `IAM::Role`, by its name."""
    return {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == f"AWS::{kind}"
    }


def outputs_of(aws: EmulatedAws, stack: str) -> dict[str, str]:
    """Return the outputs of a stack by their names."""
    (found,) = aws.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}
