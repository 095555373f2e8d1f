"""Make a Chalice app respond as an Express app does."""

from __future__ import annotations

import os
import re
import sys
from binascii import b2a_base64
from contextlib import suppress
from json import dumps, loads
from json.encoder import encode_basestring

from chalice import AuthRoute, BadRequestError, Chalice, ChaliceViewError, Response
from chalice.app import APIGateway, RestAPIEventHandler, handle_extra_types
from chalice.app import Request as ChaliceRequest

from chalicelib import logs

# Imports make each cold start longer: typing takes 2 ms; hashlib, which loads OpenSSL, takes 3 ms.
# What only few responses need is imported by the function that needs it.
TYPE_CHECKING = False  # true for type checkers
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from chalice.app import MultiDict

try:
    from _sha1 import sha1  # type: ignore[import-not-found]  # CPython's own
except ImportError:  # Python may be built without it
    from hashlib import sha1

NAMES = {"content-type": "Content-Type", "etag": "ETag", "connection": "Connection"}
# What Node sends: a name (RFC 9110, 5.6.2), and a value in Latin-1 without control characters.
HEADER_LINE = r"[!#-'*+.^_`|~\w-]+: [\t -~\x80-\xff]*"
ASYNC = 0x80 | 0x200  # inspect's CO_COROUTINE and CO_ASYNC_GENERATOR: an `async def`


class ExpressApp(Chalice):
    """A Chalice app that accepts requests and responds as an Express app does, and logs JSON."""

    current_request: Request  # in a view there is always one; Chalice's own type adds None

    def __init__(self, app_name: str, *, configure_logs: bool = True, **options: Any) -> None:
        """Create the app. The parameters are Chalice's; `configure_logs=False` sets up no log.

        The middleware is in `middleware_handlers`, where you can replace it.
        """
        super().__init__(app_name, configure_logs=False, **options)
        # By default API Gateway sends bytes only to clients whose Accept header starts with one of
        # a list of types, and a browser's does not: https://docs.aws.amazon.com/apigateway/latest/
        # developerguide/lambda-proxy-binary-media.html
        self.api.binary_types = ["*/*"]
        if configure_logs:
            logs.configure_logs()
            self.register_middleware(logs.log_invocation)
        self.register_middleware(self.like_express, "http")

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Respond to an event of API Gateway. Another event has no request; it gets a 500."""
        parameters = event.get("pathParameters") or None
        if parameters and "%" in "".join(parameters.values()):
            from urllib.parse import unquote

            # API Gateway leaves them encoded as in the URL.
            parameters = {name: unquote(value) for name, value in parameters.items()}
        query = event.get("multiValueQueryStringParameters") or {}
        event = {**event, "pathParameters": parameters, "multiValueQueryStringParameters": query}
        is_request = event.get("requestContext", {}).get("resourcePath") is not None
        request: Any = Request(event, context) if is_request else None

        api = APIGateway()
        api.binary_types = None  # type: ignore[assignment]  # bytes are encoded below
        middleware = self._get_middleware_handlers("http")
        handler = Handler(self.routes, api, self.log, self.debug, middleware)
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
            message = {"Code": type(error).__name__, "Message": str(error)}
            response = Response(message, None, error.STATUS_CODE)
        route = request and self.routes[request.path].get(request.method)
        cors = route.cors.get_access_control_headers() if route and route.cors else {}
        # The names of headers have no case. As in Node, the last one of a name counts.
        given = {**cors, **response.headers}
        headers = {name.lower(): header(name, value) for name, value in given.items()}
        names = {name.lower(): name for name in given} | NAMES

        status = response.status_code
        body, content_type = body_and_content_type(response.body, headers.get("content-type", ""))
        if response.body or status not in (204, 304):
            headers["content-type"] = content_type
            headers.setdefault("etag", entity_tag(body))
        if request and is_fresh(request, status, headers):
            status = 304  # with its Content-Type, for which API Gateway would send its own
        if status == 204:
            headers.pop("content-type", None)
        if status in (204, 205, 304):
            body = b""  # there is none (RFC 9110, 15.3.5, 15.3.6, 15.4.5)
        if request and request.method == "HEAD" and "AWS_CHALICE_CLI_MODE" in os.environ:
            # API Gateway drops the body. `chalice local` sends it, and clients would read it as the
            # next response, so close the connection (RFC 9112, 9.6).
            headers["connection"] = "close"
        return Response(body, {names[name]: value for name, value in headers.items()}, status)

    def register_middleware(self, func: Any, event_type: str = "all") -> None:
        """Register a middleware. Raises TypeError for an `async def`."""
        refuse_async(func)
        super().register_middleware(func, event_type)

    def _register_handler(
        self, kind: str, name: str, function: Any, wrapped: Any, kwargs: Any, options: Any = None
    ) -> None:
        """Register a view or another function. Raises TypeError for an `async def`.

        Chalice's decorators call this. `options` are those of a blueprint.
        """
        refuse_async(function)
        kwargs = {**kwargs}  # Chalice changes them, and a blueprint can be registered again
        if kind == "route":
            functions = {**self.handler_map}
            super()._register_handler(kind, name, function, wrapped, kwargs, options)
            self.handler_map = functions  # a view does not replace a function of its name
        else:
            self._register_function(kind, name, function, wrapped, kwargs, options or {})

    def _register_function(
        self, kind: str, name: str, function: Any, wrapped: Any, kwargs: Any, options: Any
    ) -> None:
        """Register a function that Lambda itself starts.

        Chalice tells Lambda the module and name in which the function was written, for example
        `chalicelib.jobs.run`. Started there, a function of a blueprint has no log and no
        middleware, and another function or a view may have taken its name. So each function is
        also put into app.py, as `_function_` and its name, and Lambda is told to start that.
        """
        full_name = (options.get("name_prefix") or "") + name
        if kind == "authorizer":
            wrapped.func = allowing_head(wrapped.func)
            wrapped.name = full_name  # Chalice forgets the prefix
        if kind.startswith("on_ws_"):  # Chalice does not wrap a blueprint's in the middleware
            wrapped = self._wrap_handler(kind, name, function)
        wrapped.__name__ = f"_function_{full_name}"  # which Chalice tells Lambda
        if "app" in sys.modules:
            setattr(sys.modules["app"], wrapped.__name__, wrapped)
        options = {**options, "module_name": "app"}
        super()._register_handler(kind, name, wrapped, wrapped, kwargs, options)

    def _register_route(self, name: str, user_handler: Any, kwargs: Any, **unused: Any) -> None:
        """Declare HEAD with each GET, and accept any Content-Type unless the route names some.

        API Gateway does not derive HEAD from GET. Chalice accepts only JSON by default.
        """
        options = {"methods": ["GET"], "content_types": [], **kwargs["kwargs"]}
        super()._register_route(name, user_handler, {**kwargs, "kwargs": {**options}})
        if "GET" in options["methods"]:
            options["methods"] = ["HEAD"]
            with suppress(ValueError):  # the path has a HEAD of its own
                super()._register_route(name, user_handler, {**kwargs, "kwargs": options})


def refuse_async(function: Any) -> None:
    """Raise TypeError if a function is an `async def`, which Chalice never awaits."""
    code = getattr(function, "__code__", None)
    if code and code.co_flags & ASYNC:
        raise TypeError(
            f"{code.co_name} is an `async def`: write `def`, and `asyncio.run(...)` in it for what "
            "it awaits. (Importing asyncio takes longer than importing all of Chalice.)"
        )


def allowing_head(authorize: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return an authorizer that allows HEAD where `authorize` allows GET."""

    def authorize_head(request: Any) -> Any:
        response = authorize(request)
        for route in getattr(response, "routes", ()):
            if isinstance(route, AuthRoute) and "GET" in route.methods:
                route.methods = [*{*route.methods, "HEAD"}]
        return response

    return authorize_head


class Handler(RestAPIEventHandler):
    """Chalice's handler of a request, without the steps that `ExpressApp` takes instead."""

    def _validate_response(self, response: Response) -> None: ...
    def _add_cors_headers(self, response: Response, cors_headers: dict[str, str]) -> None: ...
    def _validate_binary_response(self, *headers: Any) -> bool:
        return True


class Request(ChaliceRequest):
    """A request as Express hands it to a view: the body has any type, the query may be empty."""

    query_params: MultiDict
    raw_body: bytes

    @property
    def json_body(self) -> Any:
        """The value of the body if the Content-Type is JSON's (RFC 6839, 3.1), otherwise None.

        Raises BadRequestError, which is sent as 400, if the body is not JSON.
        """
        media_type = self.headers.get("content-type", "").split(";")[0].strip().lower()
        if self._json_body is None and re.fullmatch(r"application/(.+\+)?json", media_type):
            try:  # `int` refuses NaN and Infinity, the constants that JSON does not have
                self._json_body = loads(self.raw_body, parse_constant=int)
            except (ValueError, RecursionError) as error:
                raise BadRequestError(f"The body is not JSON: {error}") from None
        return self._json_body


def body_and_content_type(value: Any, given: str) -> tuple[bytes, str]:
    """Return the body and the Content-Type that Express sends for a view's value.

    `given` is the Content-Type that the view has set.
    """
    if isinstance(value, (bytes, bytearray)):
        content_type = given or "application/octet-stream"
        if given.startswith("text/") and "charset" not in given:
            content_type += "; charset=utf-8"
        return bytes(value), content_type
    if not isinstance(value, str):
        body = stringify(value).encode(errors="backslashreplace")
        return body, in_utf_8(given or "application/json")
    try:
        body = value.encode()
    except UnicodeEncodeError:  # half a surrogate pair, for which Node sends U+FFFD
        body = re.sub("[\ud800-\udfff]", "\ufffd", value).encode()
    return body, in_utf_8(given or "text/html")


def in_utf_8(content_type: str) -> str:
    """Return a Content-Type that says UTF-8, whatever it said."""
    parts = [part.strip() for part in content_type.split(";")]
    kept = [part for part in parts if part and not part.lower().startswith("charset=")]
    return "; ".join([*kept, "charset=utf-8"])


def entity_tag(body: bytes) -> str:
    """Return the weak entity tag of a body, as Express computes it (RFC 9110, 8.8.3).

    It is the length in bytes, in hexadecimal, and 27 characters of the SHA-1 in Base64, so copies
    that clients have cached from the Express app stay valid.
    """
    return f'W/"{len(body):x}-{b2a_base64(sha1(body).digest())[:27].decode()}"'


def header(name: str, value: Any) -> Any:
    """Return the value of a header as text, a number as in JSON; of a list, each item.

    Raises ValueError for what Node refuses, such as a line break, which could start another header.
    """
    if isinstance(value, list):
        return [header(name, item) for item in value]
    text = value if isinstance(value, str) else stringify(value, name)
    if not re.fullmatch(HEADER_LINE, f"{name}: {text}", re.ASCII):
        raise ValueError(f"this is not a header: {name!r}: {text!r}")
    return text


def is_fresh(request: Request, status: int, headers: dict[str, Any]) -> bool:
    """Tell whether the client's copy is still good, so that 304 is enough (RFC 9110, 13.1).

    `headers` are the response's, by their names in lower case. As in Express, a request with
    `no-cache` gets a complete response (RFC 9111, 5.2.1.4), and If-Modified-Since counts only
    without If-None-Match.
    """
    if request.method not in ("GET", "HEAD") or not 200 <= status < 300:
        return False
    directives = request.headers.get("cache-control", "").split(",")
    if "no-cache" in [directive.strip() for directive in directives]:
        return False
    if tags := request.headers.get("if-none-match"):
        tag = headers.get("etag", "")
        copies = [copy.strip(" ") for copy in tags.split(",")]
        same = [copy == tag or f"W/{copy}" == tag or copy == f"W/{tag}" for copy in copies]
        return tags == "*" or (bool(tag) and any(same))
    modified = headers.get("last-modified", "")
    since = request.headers.get("if-modified-since", "")
    return bool(modified and since) and seconds(modified) <= seconds(since)


def seconds(date: str) -> float:
    """Return a date in seconds since 1970, NaN if it is none; no comparison holds for NaN."""
    from datetime import datetime, timezone
    from email.utils import parsedate_to_datetime

    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError):
            parsed = parse(date)
            return parsed.replace(tzinfo=parsed.tzinfo or timezone.utc).timestamp()
    return float("nan")


def stringify(value: Any, key: object = "the response") -> str:
    """Return `value` as JSON, as JavaScript's `JSON.stringify` writes it (ECMA-262, 25.5.2).

    Unlike there, keys stay in order and integers stay exact. Raises TypeError for what JSON does
    not have; it names the type, and the `key` of the nearest object.
    """
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or isinstance(value, int):
        return dumps(value)
    if isinstance(value, float):
        return stringify_float(value)
    if isinstance(value, (list, tuple)):
        items = [stringify(item, key) for item in value]
        return "[" + ",".join(items) + "]"
    if isinstance(value, dict):
        pairs = []
        for key, item in value.items():
            name = key if isinstance(key, str) else stringify(key, key).strip('"')
            pairs.append(encode_basestring(name) + ":" + stringify(item, key))
        return "{" + ",".join(pairs) + "}"
    return stringify(plain(value, key), key)


def stringify_float(value: float) -> str:
    """Return a number as JavaScript writes it (ECMA-262, 6.1.6.1.20), null for NaN and Infinity."""
    from decimal import Decimal

    text = float.__repr__(value)
    if text in ("nan", "inf", "-inf"):
        return "null"
    if value == 0:
        return "0"  # -0.0, too
    if 1e-6 <= abs(value) < 1e21:  # Python writes 1e+16 and 1e-05, JavaScript all the digits
        return f"{Decimal(text):f}".removesuffix(".0")
    return text.replace("e-0", "e-")


def plain(value: Any, key: object) -> Any:
    """Return the value that stands in JSON for one of another type.

    `__json__` is what `toJSON` is in JavaScript. A date is a text in UTC; one without a time zone
    is in UTC, as on Lambda. Chalice makes a Decimal a number, and a MultiDict a dict.
    """
    if hasattr(value, "__json__"):
        return value.__json__()
    from datetime import date, datetime, timezone

    if isinstance(value, date):
        time = datetime.fromisoformat(value.isoformat())  # midnight, if it has no time
        utc = time.replace(tzinfo=time.tzinfo or timezone.utc).astimezone(timezone.utc)
        return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    try:
        return handle_extra_types(value)
    except TypeError:
        raise TypeError(f"{key} is a {type(value).__name__}, which JSON does not have") from None
