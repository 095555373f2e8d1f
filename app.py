"""The routes: which path answers what."""

from chalicelib.express import ExpressApp, like_express
from chalicelib.logs import log_as_json

app = ExpressApp(app_name="hello-chalice", configure_logs=False)
log_as_json(app)
app.register_middleware(like_express, "http")


@app.route("/")
def index() -> str:
    """Answer the root."""
    return "hello world"


@app.route("/test")
def test() -> str:
    """Answer the test page."""
    return "test"
