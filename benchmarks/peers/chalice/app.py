"""Chalice by itself: two constant answers, no middleware."""

from chalice import Chalice, Response

app = Chalice(app_name="bare")


@app.route("/")
def index() -> Response:
    """Answer the root."""
    return Response("hello world", {"Content-Type": "text/html; charset=utf-8"})


@app.route("/test")
def test() -> Response:
    """Answer the test page."""
    return Response("test", {"Content-Type": "text/html; charset=utf-8"})
