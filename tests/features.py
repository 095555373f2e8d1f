"""An app with each kind of function, route and answer. Run, it prints what each of them gives."""

import json
from collections.abc import Callable
from typing import Any

from chalice import (
    AuthResponse,
    AuthRoute,
    Blueprint,
    Chalice,
    CORSConfig,
    Cron,
    NotFoundError,
    Rate,
    Response,
)
from chalice.app import AuthRequest, CloudWatchEvent, S3Event, SNSEvent, SQSEvent

app = Chalice("features", configure_logs=False)
app.api.cors = CORSConfig(allow_origin="https://example.org", max_age=600)
app.api.binary_types.append("image/x")
blueprint = Blueprint(__name__)


@app.middleware("all")
def add_header(event: Any, get_response: Callable[[Any], Any]) -> Any:
    """Change what each route answers."""
    response = get_response(event)
    if isinstance(response, Response):
        response.headers["X-Middleware"] = "1"
    return response


@app.authorizer()
def authorizer(request: AuthRequest) -> AuthResponse:
    """Allow one path."""
    return AuthResponse(routes=[AuthRoute("/items/*", ["GET"])], principal_id=request.token)


@app.route("/items/{name}", methods=["GET", "POST"], authorizer=authorizer, cors=True)
def item(name: str) -> dict[str, Any]:
    """Answer with what came."""
    request: Any = app.current_request
    query = request.query_params.getlist("a")
    return {"name": name, "query": query, "body": request.json_body, "all": request.to_dict()}


@blueprint.route("/bytes")
def binary() -> Response:
    """Answer with bytes."""
    return Response(b"\x00\xff", {"Content-Type": "image/x"})


@blueprint.route("/refused")
def refused() -> None:
    """Answer with one of Chalice's errors."""
    raise NotFoundError("no such item")


@blueprint.route("/broken")
def broken() -> None:
    """Fail."""
    raise ValueError("broken")


@blueprint.lambda_function()
def function(event: Any, _: Any) -> Any:
    """Return what came."""
    return event


@blueprint.schedule(Rate(5, unit=Rate.MINUTES))
def often(event: CloudWatchEvent) -> Any:
    """Return what came."""
    return event.to_dict()


@app.schedule(Cron(0, 1, "*", "*", "?", "*"))
def daily(event: CloudWatchEvent) -> Any:
    """Return what came."""
    return event.to_dict()


@app.on_sqs_message(queue="queue")
def on_message(event: SQSEvent) -> list[str]:
    """Return what came."""
    return [record.body for record in event]


@app.on_s3_event(bucket="bucket")
def on_object(event: S3Event) -> list[str]:
    """Return what came."""
    return [event.bucket, event.key]


@app.on_sns_message(topic="topic")
def on_notification(event: SNSEvent) -> list[str]:
    """Return what came."""
    return [event.subject, event.message]


app.register_blueprint(blueprint, url_prefix="/part")


def answer(
    resource: str, method: str = "GET", body: str | None = None, kind: str = "application/json"
) -> Any:
    """Return what the app answers to API Gateway."""
    headers = {"content-type": kind, "accept": "image/x"}
    return app(
        {
            "resource": resource,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "multiValueQueryStringParameters": {"a": ["1", "2"]},
            "pathParameters": {"name": "x"} if "{" in resource else None,
            "stageVariables": None,
            "requestContext": {"httpMethod": method, "resourcePath": resource},
            "body": body,
            "isBase64Encoded": False,
        },
        None,
    )


TOKEN = {
    "type": "TOKEN",
    "authorizationToken": "x",
    "methodArn": "arn:aws:execute-api:us-east-1:1:api/dev/GET/items",
}
SCHEDULED = dict.fromkeys(
    ("version", "account", "region", "detail", "detail-type", "source", "time", "id", "resources")
)
RECORD = {
    "body": "a",
    "receiptHandle": "f",
    "Sns": {"Subject": "b", "Message": "c", "MessageAttributes": {}},
    "s3": {"bucket": {"name": "d"}, "object": {"key": "e"}},
}

if __name__ == "__main__":
    answers = [
        answer("/items/{name}"),
        answer("/items/{name}", "POST", '{"a": 1}'),
        answer("/items/{name}", "POST", "{"),
        answer("/items/{name}", "POST", "{}", "text/plain"),
        answer("/items/{name}", "PUT"),
        answer("/nowhere"),
        answer("/part/bytes"),
        answer("/part/refused"),
        answer("/part/broken"),
        function({"a": 1}, None),
        *[each(SCHEDULED, None) for each in (often, daily)],
        *[each({"Records": [RECORD]}, None) for each in (on_message, on_object, on_notification)],
        authorizer(TOKEN, None),
        str(app.routes["/items/{name}"]["GET"].cors.get_access_control_headers()),
    ]
    print(json.dumps(answers, default=str))
