"""FastAPI, behind Mangum."""

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from mangum import Mangum

app = FastAPI(default_response_class=HTMLResponse)


@app.get("/")
def index() -> str:
    """Answer the root."""
    return "hello world"


@app.get("/test")
def test() -> str:
    """Answer the test page."""
    return "test"


handler = Mangum(app, lifespan="off")
