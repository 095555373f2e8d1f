"""`make deploy`, `url`, `logs` and `delete`: in your AWS account or in the emulated AWS."""

import io
import json
import logging
import os
import re
import signal
import sys
import time
from contextlib import nullcontext, redirect_stdout
from pathlib import Path

from botocore.config import Config as ClientConfig
from botocore.session import Session
from chalice.awsclient import TypedAWSClient
from chalice.config import Config
from chalice.logs import LogEventGenerator, LogRetrieveOptions, LogRetriever, display_logs

from chalicekit.build import files as package
from chalicekit.aws import emulator_of, errors_in_one_line
from chalicekit.lifetime import end_with_parent
from chalicekit.lock import lock
from chalicekit.inventory import Resource, StageInAws
from chalicekit.settings import PROJECT, settings


class EmulatedUrls(io.StringIO):
    """Standard output, with AWS's URLs replaced by those of the emulated AWS."""

    def __init__(self, emulator: str) -> None:
        super().__init__()
        self.emulator, self.stdout = emulator, sys.stdout

    def write(self, text: str) -> int:
        """Print a text; https or wss://API.execute-api.REGION.amazonaws.com is replaced in it."""
        url = rf"\1{self.emulator.removeprefix('http')}/_aws/execute-api/\2"
        pattern = r"(http|ws)s://(\w+)\.execute-api\.[^/]+"
        return self.stdout.write(re.sub(pattern, url, text))


def read_record(path: Path) -> list[Resource]:
    """Return the resources in Chalice's record; none if there is no record or it is incomplete."""
    try:
        resources: list[Resource] = json.loads(path.read_text(encoding="utf-8"))["resources"]
        return resources
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return []


def recover_record(path: Path, stage: StageInAws) -> list[Resource]:
    """Write the stage's resources in AWS to Chalice's record, and return them."""
    previous = read_record(path)
    for name in (
        item["lambda_arn"].rpartition(":")[2] for item in previous if "lambda_arn" in item
    ):
        if not f"{name}-".startswith(f"{stage.name}-"):
            sys.exit(
                f"{path.relative_to(PROJECT)} is about {name}, a previous name of the app: run "
                "`make delete` under that name first, or remove the file to keep that deployment."
            )
    resources = list(stage.resources(previous))
    if not stage.deleting:
        resources += [item for item in previous if item["resource_type"] == "sns_event"]
    record = {"resources": resources, "schema_version": "2.0", "backend": "api"}
    path.parent.mkdir(parents=True, exist_ok=True)
    complete = path.with_suffix(".new")
    complete.write_text(json.dumps(record, indent=2), encoding="utf-8")
    complete.replace(path)
    return resources


def show_logs(stage: StageInAws) -> None:
    """Print the last ten minutes of each function's log, also for a stack."""
    events = LogEventGenerator(TypedAWSClient(Session()))
    stack_functions = [function for functions in stage.stacks.values() for function in functions]
    for function in [*stage.functions.values(), *stack_functions]:
        default = {"LogGroup": f"/aws/lambda/{function['FunctionName']}"}
        group = function.get("LoggingConfig", default)["LogGroup"]
        print(f"{group}:")
        options = LogRetrieveOptions.create(since="10m")
        display_logs(LogRetriever(events, group), sys.stdout, options)


def check_deleted(record: Path, config: Config, session: Session) -> None:
    """Print that only logs are left in AWS; exits with one line if other resources are left."""
    for seconds in (0, 2, 4):  # AWS may still list a deleted resource for a moment
        time.sleep(seconds)
        left = recover_record(record, StageInAws(config, session, deleting=True))
        if not left:
            print("Deleted. Only the logs are left in AWS.")
            return
    names = ", ".join(item["name"] for item in left)
    sys.exit(f"Still in AWS: {names}. To continue, run the command again.")


def main(command: str, stage_name: str) -> None:
    """Run a command for a stage; exits with one line if it cannot run or fails."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # in order with errors
    config = settings(stage_name)
    changing = command in ("deploy", "delete")
    with errors_in_one_line(), lock(stage_name) if changing else nullcontext():
        session = Session()
        emulator = emulator_of(session)
        os.environ["AWS_ENDPOINT_URL"] = emulator  # also for `chalicekit.build.files`
        # Does AWS respond? With its own settings, botocore would try for a minute.
        quick = ClientConfig(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1})
        session.create_client("sts", config=quick).get_caller_identity()
        records = PROJECT / ("build/emulated" if emulator else ".chalice/deployed")
        record = records / f"{stage_name}.json"
        stage = StageInAws(config, session, deleting=command == "delete")
        if stage.stacks and command != "logs" and (command == "deploy" or not stage.functions):
            sys.exit(
                f"STAGE={stage_name} is the CloudFormation stack {', '.join(stage.stacks)}: "
                "use `aws cloudformation` deploy, describe-stacks and delete-stack for it."
            )
        resources = recover_record(record, stage)
        urls = [item[key] for item in resources for key in item if key.endswith("_url")]
        if (command == "url" and not urls) or (
            command == "logs" and not stage.functions and not stage.stacks
        ):
            sys.exit(f"{stage.name} is not deployed: run `make deploy STAGE={stage_name}`.")
        for warning in stage.warnings:
            print(warning, file=sys.stderr)
        with redirect_stdout(EmulatedUrls(emulator) if emulator else sys.stdout):
            if changing:
                package.run_on_copy(config, records, command)
            if command == "delete":
                check_deleted(record, config, session)
            if command == "url":
                print(*urls, sep="\n")
            if command == "logs":
                show_logs(stage)


if __name__ == "__main__":
    end_with_parent()
    signal.signal(
        signal.SIGINT, lambda *_: sys.exit("Stopped. To continue, run the command again.")
    )
    logging.disable()  # the app's log would also show Chalice and the AWS SDK
    main(*sys.argv[1:])
