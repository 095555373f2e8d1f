"""The settings in `.chalice/config.json`, and the checks before anything is created."""

import json
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from chalice.config import Config

PROJECT = Path(__file__).parent.parent
APP = ("app.py", "chalicelib", "vendor")  # Chalice packages these, `vendor` at the top
# Chalice's own defaults: chalice/cli/factory.py
DEFAULTS = {
    "api_gateway_stage": "api",
    "api_gateway_endpoint_type": "EDGE",
    "autogen_policy": True,
}


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file of the project; exits with one line if it is unreadable."""
    name = path.relative_to(PROJECT)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it must hold an object")
        return content
    except OSError as error:
        sys.exit(f"{name} cannot be read: {error.strerror}")
    except ValueError as error:
        sys.exit(f"{name} is not valid JSON: {error}")


def settings(stage: str) -> Config:
    """Return a stage's settings; exits with one line if `.chalice/config.json` lacks the stage."""
    config = read_json(PROJECT / ".chalice" / "config.json")
    stages = config.get("stages", {})
    if stage not in stages:
        advice = f"choose {' or '.join(stages)}" if stages else 'add it to "stages" there'
        sys.exit(f"STAGE={stage} is not in .chalice/config.json: {advice}.")
    return Config(stage, config_from_disk=config, default_params=DEFAULTS)


def check_policies(config: Config) -> None:
    """Exit with one line if a policy is missing or does not let its function write its log.

    Chalice shows a traceback for the first and nothing for the second: it deploys a policy that was
    copied from another stage, and the function's log stays empty.
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
                f"{file} is missing: copy another stage's policy and replace that stage's name "
                f"with {config.app_name}-{stage}."
            )
        if not may_write_log(read_json(PROJECT / file), function_name):
            sys.exit(
                f"{file} does not let {function_name} write its log: allow logs:PutLogEvents on "
                f"arn:*:logs:*:*:log-group:/aws/lambda/{function_name}:*"
            )


def may_write_log(policy: dict[str, Any], function_name: str) -> bool:
    """Tell whether an IAM policy lets a function write to its log group."""
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
    """Return a list; IAM also accepts a single value instead of a list."""
    return value if isinstance(value, list) else [value]
