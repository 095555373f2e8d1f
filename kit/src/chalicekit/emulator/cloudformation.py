"""Make MiniStack's CloudFormation refuse what the other parts of the emulated AWS refuse."""

import json
from collections.abc import Callable
from typing import Any

from ministack.services.cloudformation import provisioners

from chalicekit.emulator.functions import refused_variables
from chalicekit.emulator.permissions import refused_source

CHECKS = {
    "AWS::Lambda::Function": refused_variables,
    "AWS::Lambda::EventSourceMapping": refused_source,
}


def patch_cloudformation() -> None:
    """Let a stack fail with the refusal of a resource."""
    for kind, refused in CHECKS.items():
        handler = provisioners._RESOURCE_HANDLERS[kind]
        handler["create"] = checked(handler["create"], refused)


def checked(create: Callable[..., Any], refused: Callable[[dict[str, Any]], Any]) -> Any:
    """Return what creates a resource of a stack, unless its properties are refused."""

    def create_if_accepted(name: str, properties: dict[str, Any], stack: str) -> Any:
        if response := refused(properties):
            raise ValueError(json.loads(response[2])["message"])
        return create(name, properties, stack)

    return create_if_accepted
