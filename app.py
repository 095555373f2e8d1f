"""The routes of the service."""

from chalicelib.express import ExpressApp, like_express
from chalicelib.logs import configure_logs, log_invocation

configure_logs()
app = ExpressApp(app_name="hello-chalice")
app.register_middleware(log_invocation)
app.register_middleware(like_express, "http")


@app.route("/")
def index() -> str:
    return "hello world"


@app.route("/test")
def test() -> str:
    return "test"
