"""An app that has grown: everything that its developers add to one, once."""

import fastmath
from chalice import BadRequestError, Response
from chalicelib.orders import orders

from chalicelib.express import ExpressApp, like_express
from chalicelib.logs import configure_logs, log_invocation

configure_logs()
app = ExpressApp(app_name="grown-app", configure_logs=False)
app.register_middleware(log_invocation)
app.register_middleware(like_express, "http")
app.register_blueprint(orders, url_prefix="/orders")


@app.route("/double", methods=["POST"])
def double() -> Response:
    """Answer JSON with JSON, and a mistake with 400."""
    body = app.current_request.json_body
    if "number" not in body:
        raise BadRequestError("number is missing")
    return Response({"double": fastmath.double(body["number"])}, status_code=201)


@app.route("/echo", methods=["POST"], content_types=["*/*"])
def echo() -> Response:
    """Answer with the bytes that came."""
    return Response(app.current_request.raw_body, {"Content-Type": "image/webp"})
