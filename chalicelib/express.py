"""Make a Chalice app respond as an Express app does."""

from __future__ import annotations

import os
import re
import sys
from binascii import a2b_base64, b2a_base64
from contextlib import suppress
from json import dumps, loads
from json.encoder import encode_basestring

from chalice import AuthRoute, BadRequestError, Chalice, ChaliceViewError, Response
from chalice.app import (
    APIGateway,
    MultiDict,
    RestAPIEventHandler,
    error_response,
    handle_extra_types,
)
from chalice.app import Request as ChaliceRequest

from chalicelib import logs

TYPE_CHECKING = False  # true for type checkers; at run time, typing costs 2 ms of each cold start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Headers = dict[str, tuple[str, Any]]  # name and value, by the name in lower case

try:
    # CPython's own SHA-1. hashlib would load OpenSSL, which nothing else needs: 3 ms and 4 MB of
    # each cold start.
    from _sha1 import sha1  # type: ignore[import-not-found]
except ImportError:  # Python may be built without it
    from hashlib import sha1


ABSENT = ("", "")  # the name and value of a header that is not there


class ExpressApp(Chalice):
    """A Chalice app that accepts requests and responds as an Express app does, and logs JSON."""

    current_request: Request  # in a view there is always one; Chalice's own type adds None

    def __init__(self, app_name: str, *, configure_logs: bool = True, **options: Any) -> None:
        """Create the app. The parameters are Chalice's; `configure_logs=False` sets up no log.

        The middleware is in `middleware_handlers`, where you can replace it.
        """
        super().__init__(app_name, configure_logs=False, **options)
        # For API Gateway. By default it sends bytes only to clients whose Accept header starts with
        # one of a list of types, and a browser's does not: https://docs.aws.amazon.com/apigateway/
        # latest/developerguide/lambda-proxy-binary-media.html
        self.api.binary_types = ["*/*"]
        if configure_logs:
            logs.configure_logs()
            self.register_middleware(logs.log_invocation)
        self.register_middleware(self.like_express, "http")

    def _register_handler(
        self, kind: str, name: str, function: Any, wrapped: Any, kwargs: Any, options: Any = None
    ) -> None:
        """Register a view or another function. Raises TypeError for an `async def`.

        `options` are those of a blueprint. Lambda starts each function from app.py, by a name that
        nothing else has: Chalice names the function's own module and name, which something else may
        have taken, and where a blueprint's function has no log and no middleware.
        """
        refuse_async(function)
        full_name = ((options or {}).get("name_prefix") or "") + name
        if kind == "authorizer":
            wrapped.func = with_head(wrapped.func)
            wrapped.name = full_name  # Chalice forgets the prefix
        if kind.startswith("on_ws_"):  # Chalice does not wrap a blueprint's in the middleware
            wrapped = self._wrap_handler(kind, name, function)
        if kind != "route" and "app" in sys.modules:
            function, options = wrapped, {**(options or {}), "module_name": "app"}
            function.__name__ = f"_function_{full_name}"
            setattr(sys.modules["app"], function.__name__, function)
        functions = {**self.handler_map} if kind == "route" else {}
        super()._register_handler(kind, name, function, wrapped, {**kwargs}, options)
        self.handler_map.update(functions)  # a view does not replace a function of its name

    def register_middleware(self, func: Any, event_type: str = "all") -> None:
        """Register a middleware. Raises TypeError for an `async def`."""
        refuse_async(func)
        super().register_middleware(func, event_type)

    def _register_route(self, name: str, user_handler: Any, kwargs: Any, **unused: Any) -> None:
        """Declare HEAD with each GET, and accept any Content-Type unless the route names some.

        API Gateway does not derive HEAD from GET. Chalice accepts only JSON by default.
        """
        declared = {"methods": ["GET"], "content_types": [], **kwargs["kwargs"]}
        super()._register_route(name, user_handler, {**kwargs, "kwargs": {**declared}})
        if "GET" in declared["methods"]:
            head = {**kwargs, "kwargs": {**declared, "methods": ["HEAD"]}}
            with suppress(ValueError):  # the path has a HEAD of its own
                super()._register_route(name, user_handler, head)

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Respond to an event of API Gateway, whose path parameters are encoded as in the URL.

        Bytes of any type are sent as text if they are UTF-8, and in Base64 otherwise.
        """
        parameters = event.get("pathParameters") or None
        if parameters and "%" in "".join(parameters.values()):
            from urllib.parse import unquote

            parameters = {name: unquote(value) for name, value in parameters.items()}
        query = event.get("multiValueQueryStringParameters") or {}
        event = {**event, "pathParameters": parameters, "multiValueQueryStringParameters": query}
        is_request = event.get("requestContext", {}).get("resourcePath") is not None
        request: Any = Request(event, context) if is_request else None  # the event may be another
        middleware = self._get_middleware_handlers("http")
        handler = Handler(self.routes, APIGateway(), self.log, self.debug, middleware)
        handler.api.binary_types = None  # type: ignore[assignment]  # encoded below, not by Chalice
        self.lambda_context = context
        self.current_request = handler.current_request = request
        response: dict[str, Any] = handler(event, context)
        if isinstance(response["body"], bytes):
            try:
                response["body"] = response["body"].decode()
            except UnicodeDecodeError:
                response["body"] = b2a_base64(response["body"], newline=False).decode()
                response["isBase64Encoded"] = True
        return response

    def like_express(
        self, request: Request | None, get_response: Callable[[Any], Response]
    ) -> Response:
        """Complete a response as Express's `res.send` does: Content-Type, ETag, 304, JSON.

        Chalice middleware (https://aws.github.io/chalice/topics/middleware.html). It surrounds
        yours: what they raise or return is completed too, with the route's CORS headers. `request`
        is None when the function is invoked with an event that is not API Gateway's.
        """
        try:
            response = get_response(request)
        except ChaliceViewError as error:
            response = error_response(str(error), type(error).__name__, error.STATUS_CODE)
        status, headers = response.status_code, by_name(response.headers)
        _, given = headers.get("content-type", ABSENT)
        body, content_type = body_and_content_type(response.body, given)
        if response.body or status not in (204, 304):
            headers["content-type"] = ("Content-Type", content_type)
            headers.setdefault("etag", ("ETag", entity_tag(body)))
        route = request and self.routes[request.path].get(request.method)
        if route and route.cors:
            headers = by_name(route.cors.get_access_control_headers()) | headers
        if request and is_fresh(request, status, headers):
            # Express drops the Content-Type; API Gateway would replace it with application/json.
            status = 304
        if status == 204:
            headers.pop("content-type", None)
        if status in (204, 205, 304):
            body = b""  # there is none (RFC 9110, 15.3.5, 15.3.6, 15.4.5)
        if request and request.method == "HEAD" and "AWS_CHALICE_CLI_MODE" in os.environ:
            # API Gateway drops the body. `chalice local` sends it, and clients would read it as the
            # next response, so close the connection (RFC 9112, 9.6).
            headers["connection"] = ("Connection", "close")
        return Response(body, dict(headers.values()), status)


class Request(ChaliceRequest):
    """A request as Express hands it to a view: the body has any type, the query may be empty."""

    query_params: MultiDict

    @property
    def raw_body(self) -> bytes:
        """The body as the client sent it."""
        body = self._body or b""
        if self._is_base64_encoded:
            return a2b_base64(body)
        return body if isinstance(body, bytes) else body.encode()

    @property
    def json_body(self) -> Any:
        """The value of the body if the Content-Type is JSON's (RFC 6839, 3.1), otherwise None.

        Raises BadRequestError, which is sent as 400, if the body is not JSON.
        """
        media_type = self.headers.get("content-type", "").split(";")[0].strip().lower()
        if self._json_body is None and re.fullmatch(r"application/(.+\+)?json", media_type):
            try:
                self._json_body = loads(self.raw_body, parse_constant=int)  # which refuses NaN
            except (ValueError, RecursionError) as error:
                raise BadRequestError(f"The body is not JSON: {error}") from None
        return self._json_body


class Handler(RestAPIEventHandler):
    """Chalice's handler of a request, without the steps that `like_express` takes instead."""

    # `by_name` validates headers and keeps what is CORS's; `__call__` encodes bytes.
    def _validate_response(self, response: Response) -> None: ...
    def _add_cors_headers(self, response: Response, cors_headers: dict[str, str]) -> None: ...
    def _validate_binary_response(self, *headers: Any) -> bool:
        return True


def refuse_async(function: Any) -> None:
    """Raise TypeError if a function is an `async def`, which Chalice never awaits."""
    code = getattr(function, "__code__", None)
    if code and code.co_flags & 0x280:  # inspect's CO_COROUTINE and CO_ASYNC_GENERATOR
        raise TypeError(
            f"{code.co_name} is an `async def`: write `def`, and `asyncio.run(...)` in it for what "
            "it awaits. (Importing asyncio takes longer than importing all of Chalice.)"
        )


def with_head(authorize: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return an authorizer that allows HEAD where `authorize` allows GET."""

    def authorize_head(request: Any) -> Any:
        response = authorize(request)
        for route in getattr(response, "routes", ()):
            if isinstance(route, AuthRoute) and "GET" in route.methods:
                route.methods = [*{*route.methods, "HEAD"}]
        return response

    return authorize_head


def by_name(headers: dict[str, Any]) -> Headers:
    """Return each header under its name in lower case, since names of headers have no case.

    The last one of a name counts, and a number is sent as text, as in Node. Raises ValueError for
    what Node refuses, such as a line break, which could start another header.
    """
    named: Headers = {}
    for name, value in headers.items():
        values = value if isinstance(value, list) else [value]
        texts = [text if isinstance(text, str) else stringify(text, name) for text in values]
        for text in texts:
            if not re.fullmatch(r"[!#-'*+.^_`|~\w-]+: [\t -~\x80-\xff]*", f"{name}: {text}", re.A):
                raise ValueError(f"this is not a header: {name!r}: {text!r}")
        named[name.lower()] = (name, texts if isinstance(value, list) else texts[0])
    return named


def body_and_content_type(value: Any, given: str) -> tuple[bytes, str]:
    """Return the body and the Content-Type that Express sends for a view's value.

    `given` is the Content-Type that the view has set. A text is sent in UTF-8, and says so.
    """
    if isinstance(value, (bytes, bytearray)):
        is_text = given.startswith("text/") and "charset" not in given
        return bytes(value), (given or "application/octet-stream") + "; charset=utf-8" * is_text
    if isinstance(value, str):
        given = given or "text/html"
        try:
            body = value.encode()
        except UnicodeEncodeError:  # half a surrogate pair, for which Node sends U+FFFD
            body = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    else:
        given = given or "application/json"
        body = stringify(value).encode(errors="backslashreplace")
    parts = [part.strip() for part in given.split(";")]
    kept = [part for part in parts if part and not part.lower().startswith("charset=")]
    return body, "; ".join([*kept, "charset=utf-8"])


def stringify(value: Any, key: object = "the response") -> str:
    """Return `value` as JSON, as JavaScript's `JSON.stringify` writes it (ECMA-262, 25.5.2).

    Unlike there, keys stay in order and integers stay exact. A Decimal is a number, a date is in
    UTC (also without a time zone, as on Lambda), and `__json__` is what `toJSON` is. Raises
    TypeError for what JSON does not have; it names the type, and the `key` of the nearest object.
    """
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or isinstance(value, int):
        return dumps(value)
    if isinstance(value, float):
        return stringify_float(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join([stringify(item, key) for item in value])}]"
    if isinstance(value, dict):
        pairs = []
        for key, item in value.items():
            name = key if isinstance(key, str) else stringify(key, key).strip('"')
            pairs.append(f"{encode_basestring(name)}:{stringify(item, key)}")
        return f"{{{','.join(pairs)}}}"
    if hasattr(value, "__json__"):
        return stringify(value.__json__(), key)
    from datetime import date, datetime, timezone

    if isinstance(value, date):
        time = datetime.fromisoformat(value.isoformat())
        utc = time.replace(tzinfo=time.tzinfo or timezone.utc).astimezone(timezone.utc)
        return f'"{utc.isoformat(timespec="milliseconds")[:23]}Z"'
    try:
        plain = handle_extra_types(value)
    except TypeError:
        raise TypeError(f"{key} is a {type(value).__name__}, which JSON does not have") from None
    return stringify(plain)


def stringify_float(value: float) -> str:
    """Return a number as JavaScript writes it (ECMA-262, 6.1.6.1.20), null for NaN and Infinity."""
    from decimal import Decimal

    text = float.__repr__(value)
    number = Decimal(text)
    if not number.is_finite():
        return "null"
    if 1e-6 <= abs(value) < 1e21:
        return f"{number:f}".removesuffix(".0")
    return text.replace("e-0", "e-") if value else "0"


def entity_tag(body: bytes) -> str:
    """Return the weak entity tag of a body, as Express computes it (RFC 9110, 8.8.3).

    It is the length in bytes, in hexadecimal, and 27 characters of the SHA-1 in Base64, so copies
    that clients have cached from the Express app stay valid.
    """
    return f'W/"{len(body):x}-{b2a_base64(sha1(body).digest())[:27].decode()}"'


def is_fresh(request: Request, status: int, headers: Headers) -> bool:
    """Tell whether the client's copy is still good, so that 304 is enough (RFC 9110, 13.1).

    As in Express, a request with `no-cache` gets a complete response (RFC 9111, 5.2.1.4), and
    If-Modified-Since counts only without If-None-Match.
    """
    if request.method not in ("GET", "HEAD") or not 200 <= status < 300:
        return False
    directives = request.headers.get("cache-control", "").split(",")
    if "no-cache" in [directive.strip() for directive in directives]:
        return False
    _, tag = headers.get("etag", ABSENT)
    _, modified = headers.get("last-modified", ABSENT)
    if if_none_match := request.headers.get("if-none-match"):
        candidates = [candidate.strip(" ") for candidate in if_none_match.split(",")]
        matches = [c in (tag, f"W/{tag}") or f"W/{c}" == tag for c in candidates]
        return if_none_match == "*" or (bool(tag) and any(matches))
    if (since := request.headers.get("if-modified-since")) and modified:
        return seconds(modified) <= seconds(since)
    return False


def seconds(date: str) -> float:
    """Return a date in seconds since 1970, NaN if it is none; no comparison holds for NaN."""
    from datetime import datetime, timezone
    from email.utils import parsedate_to_datetime

    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError):
            parsed = parse(date)
            return parsed.replace(tzinfo=parsed.tzinfo or timezone.utc).timestamp()
    return float("nan")
