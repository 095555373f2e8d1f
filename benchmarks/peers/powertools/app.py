"""AWS Lambda Powertools."""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

app = APIGatewayRestResolver()


@app.get("/")
def index() -> Response[str]:
    """Answer the root."""
    return Response(200, "text/html; charset=utf-8", "hello world")


@app.get("/test")
def test() -> Response[str]:
    """Answer the test page."""
    return Response(200, "text/html; charset=utf-8", "test")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer a request."""
    answer: dict[str, Any] = app.resolve(event, context)
    return answer
