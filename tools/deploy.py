"""`make deploy`, `url`, `logs` and `delete`: `chalice`, after a look whether it can succeed.

AWS is what the environment says: an account, or the emulated one when `AWS_ENDPOINT_URL` is set.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
)
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.session import Session

from tools.package import PROJECT, settings

ENDPOINT = os.environ.get("AWS_ENDPOINT_URL", "").rstrip("/")
# The emulated AWS has its own, lest an account's be overwritten.
RECORDS = PROJECT / ("build/emulated" if ENDPOINT else ".chalice/deployed")


def resources_in_aws(session: Session, stage: str, known_api: str | None) -> Iterator[Any]:
    """Yield what a stage has in AWS, as Chalice's records have it.

    A deploy that is killed leaves no record, and the next one would make a second API beside the
    first: Chalice finds role and function by their names, but an API by its record alone.
    """
    config = settings(stage)
    name = f"{config['app_name']}-{stage}"
    # The one that needs a region first: without one, iam would go to AWS itself.
    apis, functions, iam = (session.create_client(it) for it in ("apigateway", "lambda", "iam"))
    try:
        role = iam.get_role(RoleName=f"{name}-api_handler")["Role"]
        yield {
            "name": "api_handler_role",
            "resource_type": "iam_role",
            "role_name": role["RoleName"],
            "role_arn": role["Arn"],
        }
    except iam.exceptions.NoSuchEntityException:
        pass
    try:
        arn = functions.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
        yield {"name": "api_handler", "resource_type": "lambda_function", "lambda_arn": arn}
    except functions.exceptions.ResourceNotFoundException:
        pass
    found = [
        api["id"]
        for page in apis.get_paginator("get_rest_apis").paginate()
        for api in page["items"]
        if api["name"] == config["app_name"]
        and f":function:{name}/" in str(apis.get_resources(restApiId=api["id"], embed=["methods"]))
    ]
    if found:
        api_id = known_api if known_api in found else found[0]
        region = session.get_config_variable("region")
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        path = config["stages"][stage]["api_gateway_stage"]
        url = f"https://{api_id}.execute-api.{region}.{domain}/{path}/"
        api = {"rest_api_id": api_id, "rest_api_url": url}
        yield {"name": "rest_api", "resource_type": "rest_api"} | api
        if len(found) > 1:
            print("Several APIs call this function:", *found, f"- taking {api_id}", file=sys.stderr)


def recover_record(session: Session, stage: str) -> None:
    """Make Chalice's record of a stage say what AWS has of it."""
    path = RECORDS / f"{stage}.json"
    record = json.loads(path.read_text()) if path.exists() else {"resources": []}
    known = {resource["name"]: resource for resource in record["resources"]}
    api_id = known.get("rest_api", {}).get("rest_api_id")
    for name in ("api_handler_role", "api_handler", "rest_api"):
        known.pop(name, None)
    known |= {resource["name"]: resource for resource in resources_in_aws(session, stage, api_id)}
    record |= {"resources": [*known.values()], "schema_version": "2.0", "backend": "api"}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2))


def prepare(stage: str) -> None:
    """Recover the record; end the program, with one line that says what to do, if AWS is not there.

    An expired token, a wrong region or a machine that is offline shows here, before anything is
    made, and at once: botocore's clients would try again for a minute.
    """
    try:
        session = Session()
        once = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1})
        session.set_default_client_config(once)
        recover_record(session, stage)
    except NoRegionError:
        sys.exit("No region is set: choose one, AWS_DEFAULT_REGION=us-east-1 say.")
    except NoCredentialsError:
        sys.exit(
            "No AWS credentials are set: run `aws configure`, or try `make deploy AWS=emulated`."
        )
    except (HTTPClientError, NoConnectionError):
        hint = "is `make emulator` running?" if ENDPOINT else "are you online?"
        sys.exit(f"{ENDPOINT or 'AWS'} does not answer: {hint}")
    except ClientError as error:
        sys.exit(f"AWS refuses: {error}")
    except (BotoCoreError, ValueError) as error:
        sys.exit(f"The AWS settings are not usable: {error}")


def main(command: str, stage: str) -> int:
    """Run a command of `chalice` for a stage; return its exit code."""
    settings(stage)
    prepare(stage)
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.package", str(RECORDS), command, stage],
        stdin=subprocess.DEVNULL,  # an import of Chalice's asks the terminal what it can
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    address = rf"{ENDPOINT}/_aws/execute-api/\1"
    for line in process.stdout:
        shown = re.sub(r"https://(\w+)\.execute-api\.[^/]+", address, line) if ENDPOINT else line
        print(shown, end="", flush=True)
    return process.wait()


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("Stopped. Run it again, and it goes on from there.")
