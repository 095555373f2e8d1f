"""The routes: which path answers what."""

from chalice import Chalice

from chalicelib.logs import log_as_json
from chalicelib.responses import like_express

app = Chalice(app_name="hello-chalice", configure_logs=False)
log_as_json(app)
app.register_middleware(like_express, "http")


# HEAD is declared beside GET since API Gateway, unlike Express, does not derive the one from the
# other. An empty content_types stops Chalice from answering 415 to a GET with a Content-Type.
@app.route("/", methods=["GET", "HEAD"], content_types=[])
def index() -> str:
    """Answer the root."""
    return "hello world"


@app.route("/test", methods=["GET", "HEAD"], content_types=[])
def test() -> str:
    """Answer the test page."""
    return "test"
