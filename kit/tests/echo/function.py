"""A function behind an API, without Chalice: it shows what it gets, or returns what it is told."""

import json
import os
from importlib.util import find_spec
from typing import Any

INSTALLED = ("boto3", "botocore", "awslambdaric", "chalice", "requests", "pytest")


def handler(event: dict[str, Any], _: Any) -> Any:
    """Return what is in the body of a POST; the event and the environment otherwise."""
    if event["httpMethod"] == "POST":
        return json.loads(event["body"])
    shown = {
        "event": event,
        "environment": dict(os.environ),
        "installed": [name for name in INSTALLED if find_spec(name)],
        "file": __file__,
        "process": os.getpid(),
    }
    return {"body": json.dumps(shown)}
