"""Chalice by itself: two constant responses, no middleware."""

from chalice import Chalice, Response

app = Chalice(app_name="bare")


@app.route("/")
def index() -> Response:
    """Greet."""
    return Response("hello world", {"Content-Type": "text/html; charset=utf-8"})


@app.route("/test")
def test() -> Response:
    """Return the text of the test page."""
    return Response("test", {"Content-Type": "text/html; charset=utf-8"})
