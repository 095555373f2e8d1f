"""A function behind an API, without Chalice: it shows what it gets."""

import json
import os
from importlib.util import find_spec
from typing import Any

INSTALLED = ("boto3", "botocore", "awslambdaric", "chalice", "requests", "pytest")


def handler(event: dict[str, Any], _: Any) -> Any:
    """Return the event and the environment."""
    shown = {
        "event": event,
        "environment": dict(os.environ),
        "installed": [name for name in INSTALLED if find_spec(name)],
        "process": os.getpid(),
    }
    return {"body": json.dumps(shown)}
