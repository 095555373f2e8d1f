"""The floor: what Lambda and Python cost by themselves."""

from typing import Any

TEXTS = {"/": "hello world", "/test": "test"}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer a request."""
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "text/html; charset=utf-8"},
        "body": TEXTS[event["path"]],
    }
