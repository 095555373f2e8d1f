"""FastAPI, behind Mangum."""

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from mangum import Mangum

app = FastAPI(default_response_class=HTMLResponse)


@app.get("/")
def index() -> str:
    """Greet."""
    return "hello world"


@app.get("/test")
def test() -> str:
    """Return the text of the test page."""
    return "test"


handler = Mangum(app, lifespan="off")
