"""A function that makes a call of AWS's and returns its error."""

from typing import Any

import boto3
from botocore.exceptions import ClientError


def handler(event: dict[str, Any], _: Any) -> str:
    """Return the message of the call's error; "" if it has none."""
    client = boto3.client(event["service"])
    try:
        getattr(client, event["operation"])(**event["parameters"])
    except ClientError as error:
        return str(error)
    return ""
