"""An app whose answers a server could damage: bytes, encoded paths, CORS, redirects."""

from typing import Any

from chalice import Response

from chalicelib.express import ExpressApp, like_express

app = ExpressApp(app_name="echo", configure_logs=False)
app.register_middleware(like_express, "http")

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
    "0000000b4944415478da63fcff0200020901032300958c0000000049454e44ae426082"
)


@app.route("/png")
def png() -> Response:
    """Answer with an image."""
    return Response(PNG, headers={"Content-Type": "image/png"})


@app.route("/upload", methods=["POST"], content_types=["application/octet-stream"])
def upload() -> Response:
    """Answer with the body of the request."""
    assert app.current_request
    return Response(
        app.current_request.raw_body, headers={"Content-Type": "application/octet-stream"}
    )


@app.route("/hello/{name}")
def hello(name: str) -> str:
    """Greet."""
    return f"Hello, {name}!"


@app.route("/json", cors=True)
def json() -> Any:
    """Answer with JSON, to other origins too."""
    return {"name": "Jürgen", "한": [1.0, None]}


@app.route("/redirect")
def redirect() -> Response:
    """Answer with another place."""
    return Response("", headers={"Location": "/hello/you"}, status_code=302)


@app.route("/nothing")
def nothing() -> Response:
    """Answer without a body."""
    return Response("", status_code=204)
