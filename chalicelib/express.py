"""Make a Chalice app respond as an Express app does."""

import os
import sys
from base64 import b64encode
from collections.abc import Callable
from copy import copy
from decimal import Decimal
from json import dumps
from json.encoder import encode_basestring
from typing import Any
from urllib.parse import unquote

from chalice import Chalice, Response
from chalice.app import CaseInsensitiveMapping, Request, handle_extra_types

from chalicelib import logs

try:
    # CPython's own SHA-1. hashlib would load OpenSSL, which nothing else needs: 3 ms and 4 MB of
    # each cold start.
    from _sha1 import sha1  # type: ignore[import-not-found]
except ImportError:  # Python may be built without it
    from hashlib import sha1


class ExpressApp(Chalice):
    """A Chalice app that answers as an Express app does, and logs JSON."""

    current_request: Request  # in a view there is always one; Chalice's own type adds None

    def __init__(self, app_name: str, *, configure_logs: bool = True, **options: Any) -> None:
        """Create the app. The parameters are Chalice's.

        `configure_logs=False` leaves the log to you. The middleware stands in
        `middleware_handlers`, where you can replace it.
        """
        super().__init__(app_name, configure_logs=False, **options)
        if configure_logs:
            logs.configure_logs()
            self.register_middleware(logs.log_invocation)
        self.register_middleware(like_express, "http")
        # For API Gateway. By default it sends bytes only to clients whose Accept header starts with
        # one of a list of types, and a browser's does not: https://docs.aws.amazon.com/apigateway/
        # latest/developerguide/lambda-proxy-binary-media.html
        self.api.binary_types = ["*/*"]

    def _register_handler(
        self,
        handler_type: str,
        name: str,
        user_handler: Any,
        wrapped_handler: Any,
        kwargs: Any,
        options: Any = None,
    ) -> None:
        """Let Lambda start a function of a blueprint from app.py, as it starts the others.

        Chalice names the blueprint's own module, which has no log and no middleware.
        """
        if options and handler_type != "route" and "app" in sys.modules:
            setattr(sys.modules["app"], user_handler.__name__, wrapped_handler)
            options = {**options, "module_name": "app"}
        super()._register_handler(
            handler_type, name, user_handler, wrapped_handler, kwargs, options
        )

    def _register_route(self, name: str, user_handler: Any, kwargs: Any, **options: Any) -> None:
        """Declare HEAD with each GET, and accept any Content-Type if requests have no body.

        API Gateway does not derive HEAD from GET. Chalice responds with 415 to a Content-Type that
        is not in `content_types`; it still does so for POST, PUT and PATCH, and if you set them.
        """
        declared = {"methods": ["GET"], **kwargs["kwargs"]}
        for method in declared["methods"]:
            settings = {**declared, "methods": [method]}
            if method not in ("POST", "PUT", "PATCH"):
                settings.setdefault("content_types", [])
            super()._register_route(name, user_handler, {**kwargs, "kwargs": settings})
        for methods in self.routes.values():
            if "GET" in methods and "HEAD" not in methods:
                methods["HEAD"] = copy(methods["GET"])
                methods["HEAD"].method = "HEAD"

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Respond to an event of API Gateway, whose path parameters are encoded as in the URL.

        Bytes of any type are sent as text if they are UTF-8, and in Base64 otherwise.
        """
        self.api.binary_types = []  # for Chalice, which would require every body to be bytes
        parameters = event.get("pathParameters") or {}
        decoded = {name: unquote(value) for name, value in parameters.items()}
        response = super().__call__({**event, "pathParameters": decoded or None}, context)
        if isinstance(response["body"], bytes):
            try:
                response["body"] = response["body"].decode()
            except UnicodeDecodeError:
                response["body"] = b64encode(response["body"]).decode()
                response["isBase64Encoded"] = True
        return response


def like_express(request: Request | None, get_response: Callable[..., Response]) -> Response:
    """Complete a view's response as Express's `res.send` does: Content-Type, ETag, 304, JSON.

    Chalice middleware (https://aws.github.io/chalice/topics/middleware.html). The headers of a
    response that has a Content-Type are not changed, nor are those of a 204 or 304, nor an ETag.
    `request` is None when the function is invoked with an event that is not API Gateway's.
    """
    view_response = get_response(request)
    view_headers = CaseInsensitiveMapping(view_response.headers)
    body, content_type = body_and_content_type(view_response.body)
    response = Response(body, {**view_response.headers}, view_response.status_code)
    if response.status_code in (204, 304):
        response.body = ""  # there is none (RFC 9110, 6.4.1)
    elif "content-type" not in view_headers:
        response.headers["Content-Type"] = content_type
        tag = view_headers.get("etag")
        if tag is None:
            tag = response.headers["ETag"] = entity_tag(body)
        if request and 200 <= response.status_code < 300 and is_fresh(request, tag):
            # Express drops the Content-Type; API Gateway would replace it with application/json.
            response.body, response.status_code = "", 304
    if request and request.method == "HEAD" and "AWS_CHALICE_CLI_MODE" in os.environ:
        # API Gateway drops the body. `chalice local` sends it, and clients would read it as the
        # next response, so close the connection (RFC 9112, 9.6).
        response.headers["Connection"] = "close"
    return response


def body_and_content_type(value: Any) -> tuple[str | bytes, str]:
    """Return the body and the Content-Type that Express sends for the value of a view."""
    if isinstance(value, str):
        # Half a surrogate pair has no UTF-8. Node sends U+FFFD for it; JSON escapes it.
        text = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text, "text/html; charset=utf-8"
    if isinstance(value, bytes | bytearray):
        return bytes(value), "application/octet-stream"
    text = stringify(value).encode(errors="backslashreplace").decode()
    return text, "application/json; charset=utf-8"


def stringify(value: Any) -> str:
    """Return `value` as JSON, as JavaScript's `JSON.stringify` writes it (ECMA-262, 25.5.2).

    Unlike there, keys stay in order and integers stay exact. A Decimal is a number, as in Chalice.
    Raises TypeError for a value that Chalice cannot write either.
    """
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or isinstance(value, int):
        return dumps(value)
    if isinstance(value, float):
        return stringify_float(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(stringify, value))}]"
    if isinstance(value, dict):
        keys = [stringify(key if isinstance(key, str) else stringify(key)) for key in value]
        return f"{{{','.join(map('{}:{}'.format, keys, map(stringify, value.values())))}}}"
    return stringify(handle_extra_types(value))


def stringify_float(value: float) -> str:
    """Return a number as JavaScript writes it (ECMA-262, 6.1.6.1.20), null for NaN and Infinity."""
    text = float.__repr__(value)
    number = Decimal(text)
    if not number.is_finite():
        return "null"
    if 1e-6 <= abs(value) < 1e21:
        return f"{number:f}".removesuffix(".0")
    return text.replace("e-0", "e-") if value else "0"


def entity_tag(body: str | bytes) -> str:
    """Return the weak entity tag of a body, as Express computes it (RFC 9110, 8.8.3).

    It is the length in bytes, in hexadecimal, and 27 characters of the SHA-1 in Base64, so copies
    that clients have cached from the Express app stay valid.
    """
    data = body.encode() if isinstance(body, str) else body
    return f'W/"{len(data):x}-{b64encode(sha1(data).digest())[:27].decode()}"'


def is_fresh(request: Request, tag: str) -> bool:
    """Tell whether the client's copy has this entity tag, so that 304 is enough (RFC 9110, 13.1.2).

    As in Express, a request with `no-cache` gets a complete response (RFC 9111, 5.2.1.4).
    """
    if_none_match = request.headers.get("if-none-match")
    if not if_none_match or request.method not in ("GET", "HEAD"):
        return False
    directives = request.headers.get("cache-control", "").split(",")
    if "no-cache" in [directive.strip() for directive in directives]:
        return False
    candidates = [candidate.strip(" ") for candidate in if_none_match.split(",")]
    return if_none_match == "*" or any(
        candidate in (tag, f"W/{tag}") or f"W/{candidate}" == tag for candidate in candidates
    )
