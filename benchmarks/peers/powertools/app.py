"""AWS Lambda Powertools."""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

app = APIGatewayRestResolver()


@app.get("/")
def index() -> Response[str]:
    """Greet."""
    return Response(200, "text/html; charset=utf-8", "hello world")


@app.get("/test")
def test() -> Response[str]:
    """Return the text of the test page."""
    return Response(200, "text/html; charset=utf-8", "test")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Respond to a request."""
    result: dict[str, Any] = app.resolve(event, context)
    return result
