"""The floor: what Lambda's client and Python take by themselves. It imports nothing."""

TEXTS = {"/": "hello world", "/test": "test"}


def handler(event: dict[str, str], context: object) -> dict[str, object]:
    """Respond to a request."""
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "text/html; charset=utf-8"},
        "body": TEXTS[event["path"]],
    }
