"""A function that makes a call of AWS's and returns its error."""

from typing import Any

import boto3
from botocore.exceptions import ClientError


def handler(event: dict[str, Any], _: Any) -> Any:
    """Return the code, the HTTP status and the message of the call's error; "" if it has none."""
    client = boto3.client(event["service"])
    try:
        getattr(client, event["operation"])(**event["parameters"])
    except ClientError as error:
        details = error.response["Error"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return [details["Code"], status, details.get("Message", "")]
    return ["", 200, ""]
