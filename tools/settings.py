"""`.chalice/config.json` as Chalice reads it, and what is refused before anything is made."""

import json
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from chalice.config import Config

PROJECT = Path(__file__).parent.parent
# What Chalice takes where a setting is left out: chalice/cli/factory.py
DEFAULTS = {
    "api_gateway_stage": "api",
    "api_gateway_endpoint_type": "EDGE",
    "autogen_policy": True,
}


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file of the project holds; end the program if it cannot be read."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return content
    except (OSError, ValueError) as error:
        sys.exit(f"{path.relative_to(PROJECT)} cannot be read: {error}")


def settings(stage: str) -> Config:
    """Return a stage's settings; end the program unless `.chalice/config.json` has the stage."""
    config = read_json(PROJECT / ".chalice" / "config.json")
    stages = config.get("stages", {})
    if stage not in stages:
        sys.exit(f"STAGE={stage} is not in .chalice/config.json: choose {' or '.join(stages)}.")
    return Config(stage, config_from_disk=config, default_params=DEFAULTS)


def check_policies(config: Config) -> None:
    """End the program if a role's policy is missing or does not let its function write its log.

    Chalice shows a traceback for the first. For the second it shows nothing: a policy that was
    copied from another stage deploys, and the function logs nowhere.
    """
    stage, files = config.chalice_stage, config.config_from_disk
    named = {
        **files.get("lambda_functions", {}),
        **files["stages"][stage].get("lambda_functions", {}),
    }
    for name in ("api_handler", *named):
        function = config.scope(stage, name)
        if not function.manage_iam_role or function.autogen_policy:
            continue
        function_name = f"{config.app_name}-{stage}"
        if name != "api_handler":
            function_name += f"-{name}"
        file = f".chalice/{function.iam_policy_file or f'policy-{stage}.json'}"
        if not (PROJECT / file).exists():
            sys.exit(
                f"{file} is missing: copy another stage's policy, and in it write "
                f"{config.app_name}-{stage} for that stage's name."
            )
        if not may_write_log(read_json(PROJECT / file), function_name):
            sys.exit(
                f"{file} does not let {function_name} write its log: allow logs:PutLogEvents on "
                f"arn:*:logs:*:*:log-group:/aws/lambda/{function_name}:*"
            )


def may_write_log(policy: dict[str, Any], function_name: str) -> bool:
    """Tell whether an IAM policy lets a function write to the log group that Lambda gives it."""
    stream = (
        f"arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/{function_name}:log-stream:1"
    )
    return any(
        fnmatch("logs:putlogevents", action.lower()) and fnmatch(stream, resource)
        for statement in as_list(policy.get("Statement", []))
        if statement.get("Effect") == "Allow"
        for action in as_list(statement.get("Action", []))
        for resource in as_list(statement.get("Resource", []))
    )


def as_list(value: Any) -> list[Any]:
    """Return a list; IAM lets a list of one value be written as that value."""
    return value if isinstance(value, list) else [value]
