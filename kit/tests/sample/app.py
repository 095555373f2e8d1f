"""The app that the tests run, package and deploy: as small as one can be."""

import os

from chalice import Response

from chalicelib.express import ExpressApp, like_express
from chalicelib.logs import configure_logs, log_invocation

configure_logs()
app = ExpressApp(app_name="sample-app", configure_logs=False)
app.register_middleware(log_invocation)
app.register_middleware(like_express, "http")


@app.route("/")
def index() -> str:
    """Answer with a text that tests change."""
    return "a sample"


@app.route("/process")
def process() -> Response:
    """Answer with the number of the process, which is another one in each instance."""
    return Response(str(os.getpid()))


@app.route("/error")
def error() -> str:
    """Fail."""
    raise ValueError("a secret")
