"""The routes of the service."""

from chalicelib.express import ExpressApp

app = ExpressApp("hello-chalice")


@app.route("/")
def index() -> str:
    return "hello world"


@app.route("/test")
def test() -> str:
    return "test"
