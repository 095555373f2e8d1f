"""What makes a Chalice app answer as Express does."""

import os
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

try:
    # CPython's own SHA-1. hashlib would load OpenSSL, which nothing else here needs: 3 ms and 4 MB
    # of each cold start.
    from _sha1 import sha1  # type: ignore[import-not-found]
except ImportError:  # a Python that was built without it
    from hashlib import sha1


class ExpressApp(Chalice):
    """A Chalice app that takes requests, and bytes, as Express does."""

    current_request: Request  # in a view there is always one; Chalice's own type adds None

    def __init__(self, app_name: str, **options: Any) -> None:
        """Create the app. The parameters are Chalice's; `chalicelib.logs` configures the log."""
        super().__init__(app_name, **{"configure_logs": False, **options})
        # For API Gateway. Otherwise it sends bytes only to clients that accept one of a list of
        # types before all others, and browsers do not: https://docs.aws.amazon.com/apigateway/
        # latest/developerguide/lambda-proxy-binary-media.html
        self.api.binary_types = ["*/*"]

    def _register_route(self, name: str, user_handler: Any, kwargs: Any, **unused: Any) -> None:
        """Declare HEAD with each GET, and accept any Content-Type where requests have no body.

        API Gateway does not derive HEAD from GET. Chalice answers 415 to a Content-Type that is not
        among `content_types`; it still does for POST, PUT and PATCH, and where you give them.
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
        """Answer an event of API Gateway, whose path parameters are as they were in the URL.

        Bytes, whatever their type, are sent as text where they are UTF-8, and in Base64 otherwise.
        """
        self.api.binary_types = []  # for Chalice, which would want each text to be bytes
        parameters = event.get("pathParameters") or {}
        decoded = {name: unquote(value) for name, value in parameters.items()}
        answer = super().__call__({**event, "pathParameters": decoded or None}, context)
        if isinstance(answer["body"], bytes):
            try:
                answer["body"] = answer["body"].decode()
            except UnicodeDecodeError:
                answer["body"] = b64encode(answer["body"]).decode()
                answer["isBase64Encoded"] = True
        return answer


def like_express(request: Request | None, get_response: Callable[..., Response]) -> Response:
    """Finish an answer as Express's `res.send` does: Content-Type, ETag, 304, JSON.

    Chalice middleware (https://aws.github.io/chalice/topics/middleware.html). The headers of a
    response that names its Content-Type stay as they are, as do those of a 204 or 304, and an ETag.
    `request` is None when the function is invoked with something that no API Gateway sent.
    """
    response = get_response(request)
    given = CaseInsensitiveMapping(response.headers)
    body, content_type = content(response.body)
    answer = Response(body, {**response.headers}, response.status_code)
    if answer.status_code in (204, 304):
        answer.body = ""  # there is none (RFC 9110, 6.4.1)
    elif "content-type" not in given:
        answer.headers["Content-Type"] = content_type
        tag = given.get("etag")
        if tag is None:
            tag = answer.headers["ETag"] = entity_tag(body)
        if request and 200 <= answer.status_code < 300 and is_fresh(request, tag):
            # Express drops the Content-Type; API Gateway would put application/json in its place.
            answer.body, answer.status_code = "", 304
    if request and request.method == "HEAD" and "AWS_CHALICE_CLI_MODE" in os.environ:
        # API Gateway drops the body. `chalice local` sends it, and it would pass for the next
        # answer; a closed connection has no next answer (RFC 9112, 9.6).
        answer.headers["Connection"] = "close"
    return answer


def content(value: Any) -> tuple[str | bytes, str]:
    """Return the body that Express makes of what a view returns, and its Content-Type."""
    if isinstance(value, str):
        # Half a surrogate pair has no UTF-8: Node sends U+FFFD for it, and JSON can escape it.
        text = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text, "text/html; charset=utf-8"
    if isinstance(value, bytes | bytearray):
        return bytes(value), "application/octet-stream"
    text = stringify(value).encode(errors="backslashreplace").decode()
    return text, "application/json; charset=utf-8"


def stringify(value: Any) -> str:
    """Return `value` as JSON, as JavaScript's `JSON.stringify` writes it (ECMA-262, 25.5.2).

    Keys stay in order and integers exact, which they do not there. A Decimal is a number, as in
    Chalice; TypeError for what Chalice cannot write either.
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
    """Return the weak entity tag of a body, as Express makes it (RFC 9110, 8.8.3).

    That is its length in bytes, in hexadecimal, and 27 characters of its SHA-1 in Base64, so that
    copies that clients cached from the Express app stay valid.
    """
    data = body.encode() if isinstance(body, str) else body
    return f'W/"{len(data):x}-{b64encode(sha1(data).digest())[:27].decode()}"'


def is_fresh(request: Request, tag: str) -> bool:
    """Tell whether the client's copy has this entity tag, so that 304 will do (RFC 9110, 13.1.2).

    As in Express, a request with `no-cache` wants a whole answer (RFC 9111, 5.2.1.4).
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
