"""Flask, behind apig-wsgi."""

from apig_wsgi import make_lambda_handler
from flask import Flask

app = Flask(__name__)


@app.get("/")
def index() -> str:
    """Greet."""
    return "hello world"


@app.get("/test")
def test() -> str:
    """Return the text of the test page."""
    return "test"


handler = make_lambda_handler(app)
