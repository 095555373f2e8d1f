"""The table of links."""

import os
from typing import Any

import boto3
from botocore.exceptions import ClientError

table = boto3.resource("dynamodb").Table(f"{os.environ['NAME']}-links")


def save(code: str, address: str) -> None:
    """Save a link, or change its address."""
    table.update_item(
        Key={"code": code},
        UpdateExpression="SET address = :address, visits = if_not_exists(visits, :none)",
        ExpressionAttributeValues={":address": address, ":none": 0},
    )


def find(code: str) -> dict[str, Any] | None:
    """Return a link, or None."""
    link: dict[str, Any] | None = table.get_item(Key={"code": code}).get("Item")
    return link


def count_visit(code: str) -> None:
    """Count a visit of a link; raises KeyError if there is no such link."""
    try:
        table.update_item(
            Key={"code": code},
            UpdateExpression="ADD visits :one",
            ConditionExpression="attribute_exists(code)",
            ExpressionAttributeValues={":one": 1},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        raise KeyError(code) from None
