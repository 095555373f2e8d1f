"""Flask, behind apig-wsgi."""

from apig_wsgi import make_lambda_handler
from flask import Flask

app = Flask(__name__)


@app.get("/")
def index() -> str:
    """Answer the root."""
    return "hello world"


@app.get("/test")
def test() -> str:
    """Answer the test page."""
    return "test"


handler = make_lambda_handler(app)
