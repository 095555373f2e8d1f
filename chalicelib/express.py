"""Make a Chalice app respond as an Express app does."""

from __future__ import annotations

import re
import sys
from binascii import b2a_base64
from contextlib import suppress
from json import dumps, loads
from json.encoder import encode_basestring

from chalice import AuthRoute, BadRequestError, Chalice, ChaliceViewError, Response
from chalice.app import APIGateway, RestAPIEventHandler, RouteEntry, handle_extra_types
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
            try:
                self._json_body = loads(self.raw_body, parse_constant=refuse_constant)
            except (ValueError, RecursionError) as error:
                raise BadRequestError(f"The body is not JSON: {error}") from None
        return self._json_body


def refuse_constant(name: str) -> None:
    """Raise ValueError for NaN or Infinity, which Python reads and JSON does not have."""
    raise ValueError(f"it has no {name}")


class Handler(RestAPIEventHandler):
    """Chalice's handler of a request, with our `Request` and without what `like_express` does."""

    def create_request_object(self, event: Any, context: Any) -> Any:
        """Return the request in an event of API Gateway, None for another event."""
        if event.get("requestContext", {}).get("resourcePath") is not None:
            self.current_request = Request(event, context)
        return self.current_request

    # `header_value` does this. Chalice raises TypeError for a number.
    def _validate_response(self, response: Response) -> None: ...

    # Every client may have bytes. Chalice asks for an Accept header that names their type.
    def _validate_binary_response(self, *headers: Any) -> bool:
        return True


class ExpressApp(Chalice):
    """A Chalice app that accepts requests and responds as an Express app does, and logs JSON."""

    current_request: Request  # in a view there is always one; Chalice's own type adds None

    def __init__(self, app_name: str, *, configure_logs: bool = True, **options: Any) -> None:
        """Create the app. The parameters are Chalice's; `configure_logs=False` sets up no log.

        Remove `like_express` from `middleware_handlers` to send what views return as Chalice does.
        """
        super().__init__(app_name, configure_logs=False, **options)
        # By default API Gateway sends bytes only to clients whose Accept header starts with one of
        # a list of types, and a browser's does not: https://docs.aws.amazon.com/apigateway/latest/
        # developerguide/lambda-proxy-binary-media.html
        self.api.binary_types = ["*/*"]
        # Of middleware, the first is outermost: the log has the status that is sent.
        if configure_logs:
            logs.configure_logs()
            self.register_middleware(logs.log_invocation)
        self.register_middleware(self.like_express, "http")

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Respond to an event of API Gateway. Another event has no request; it gets a 500.

        Between the first and the last line are the steps of Chalice's own `__call__`, with our
        `Handler` in place of Chalice's.
        """
        event = with_parameters(event)
        # `self.api` is what is deployed. This one keeps Response.to_dict from encoding bytes.
        api = APIGateway()
        api.binary_types = None  # type: ignore[assignment]
        middleware = self._get_middleware_handlers("http")
        handler = Handler(self.routes, api, self.log, self.debug, middleware)
        self.lambda_context = context
        self.current_request = handler.create_request_object(event, context)
        return with_text_body(handler(event, context))

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
        route = request and self.routes.get(request.path, {}).get(request.method)
        cors = route.cors.get_access_control_headers() if route and route.cors else {}
        # The names of headers have no case. As in Node, the last one of a name counts.
        given = {**cors, **response.headers}
        headers = {name.lower(): header_value(name, value) for name, value in given.items()}
        spelling = {name.lower(): name for name in given}
        spelling |= {"content-type": "Content-Type", "etag": "ETag", "connection": "Connection"}

        # As `send`, add a type and a tag; as `end`, add none to a 204 or 304 without a body.
        status = response.status_code
        body, content_type = body_and_content_type(response.body, headers.get("content-type", ""))
        if response.body or status not in (204, 304):
            headers["content-type"] = content_type
            headers.setdefault("etag", entity_tag(body))
        # A client that has the body gets 304. The Content-Type stays: API Gateway sends one anyway.
        if request and is_fresh(request, status, headers):
            status = 304
        # What these do not have (RFC 9110, 15.3.5, 15.3.6, 15.4.5).
        if status in (204, 205, 304):
            body = b""
        if status == 204:
            headers.pop("content-type", None)

        # API Gateway drops the body of a response to HEAD. Plain `chalice local`, whose events have
        # no such id, sends it: clients would read it as the next response (RFC 9112, 9.6).
        if request and request.method == "HEAD" and "extendedRequestId" not in request.context:
            headers["connection"] = "close"
        return Response(body, {spelling[name]: value for name, value in headers.items()}, status)

    def register_middleware(self, func: Any, event_type: str = "all") -> None:
        """Register a middleware. Raises TypeError for an `async def`."""
        refuse_async(func)
        super().register_middleware(func, event_type)

    def _register_handler(
        self, kind: str, name: str, function: Any, wrapped: Any, kwargs: Any, options: Any = None
    ) -> None:
        """Register a view or another function. Raises TypeError for an `async def`.

        Chalice's decorators call this. `wrapped` is what they made of `function`, `kwargs` is what
        they were given, and `options` is a blueprint's prefixes and module.
        """
        refuse_async(function)
        register = self._register_view if kind == "route" else self._register_function
        register(kind, name, function, wrapped, kwargs, options)

    def _register_view(
        self, kind: str, name: str, view: Any, wrapped: Any, kwargs: Any, options: Any
    ) -> None:
        """Register a view, with HEAD if it has GET: API Gateway does not derive one from the other.

        It accepts any Content-Type unless it names some; by default Chalice accepts only JSON.
        """
        # Chalice takes items out of both dicts, and a blueprint can be registered again.
        kwargs = {**kwargs, "kwargs": {"content_types": [], **kwargs["kwargs"]}}
        # Client.lambda_.invoke and the kit find functions in `handler_map`. Chalice puts views into
        # it, too, in the place of functions of their names.
        functions = {**self.handler_map}
        super()._register_handler(kind, name, view, wrapped, kwargs, options)
        self.handler_map = functions
        for methods in self.routes.values():
            if "GET" in methods and "HEAD" not in methods:
                methods["HEAD"] = head_route(methods["GET"])

    def _register_function(
        self, kind: str, name: str, function: Any, wrapped: Any, kwargs: Any, options: Any
    ) -> None:
        """Register a function that Lambda itself starts.

        Chalice tells Lambda the module and name in which the function was written, for example
        `chalicelib.jobs.run`. Started there, a function of a blueprint has no log and no
        middleware, and another function or a view may have taken its name. So each function is
        also put into app.py, as `_function_` and its name, and Lambda is told to start that.
        """
        options = options or {}
        full_name = (options.get("name_prefix") or "") + name
        if kind == "authorizer":
            wrapped.func = allowing_head(wrapped.func)
            wrapped.name = full_name  # Chalice forgets the prefix
        if kind.startswith("on_ws_"):  # Chalice does not wrap a blueprint's in the middleware
            wrapped = self._wrap_handler(kind, name, function)
        put_into_app(wrapped, f"_function_{full_name}")
        # It is also passed as the user's function, because Chalice tells Lambda that one's name.
        options = {**options, "module_name": "app"}
        super()._register_handler(kind, name, wrapped, wrapped, kwargs, options)


def with_parameters(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event with decoded path parameters, and with a query that is never None."""
    parameters = event.get("pathParameters") or None
    if parameters and "%" in "".join(parameters.values()):
        from urllib.parse import unquote

        # API Gateway leaves them encoded as in the URL.
        parameters = {name: unquote(value) for name, value in parameters.items()}
    query = event.get("multiValueQueryStringParameters") or {}
    return {**event, "pathParameters": parameters, "multiValueQueryStringParameters": query}


def with_text_body(response: dict[str, Any]) -> dict[str, Any]:
    """Return a response for API Gateway with its body as text: bytes that are none in Base64."""
    body = response["body"]
    if not isinstance(body, bytes):  # a response that did not pass `like_express`, such as a 500
        return response
    try:
        return {**response, "body": body.decode()}
    except UnicodeDecodeError:
        encoded = b2a_base64(body, newline=False).decode()
        return {**response, "body": encoded, "isBase64Encoded": True}


ASYNC = 0x80 | 0x200  # inspect's CO_COROUTINE and CO_ASYNC_GENERATOR: an `async def`


def refuse_async(function: Any) -> None:
    """Raise TypeError if a function is an `async def`, which Chalice never awaits."""
    code = getattr(function, "__code__", None)
    if code and code.co_flags & ASYNC:
        raise TypeError(
            f"{code.co_name} is an `async def`: write `def`, and `asyncio.run(...)` in it for what "
            "it awaits. (Importing asyncio takes longer than importing all of Chalice.)"
        )


def head_route(get: RouteEntry) -> RouteEntry:
    """Return a route that is the same as that of GET, for HEAD."""
    return RouteEntry(
        get.view_function,
        get.view_name,
        get.uri_pattern,
        "HEAD",
        get.api_key_required,
        get.content_types,
        get.cors,
        get.authorizer,
    )


def allowing_head(authorize: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return an authorizer that allows HEAD where `authorize` allows GET."""

    def authorize_head(request: Any) -> Any:
        response = authorize(request)
        for route in getattr(response, "routes", ()):
            if isinstance(route, AuthRoute) and "GET" in route.methods:
                # A set, so that a response that `authorize` keeps and returns again does not grow
                route.methods = [*{*route.methods, "HEAD"}]
        return response

    return authorize_head


def put_into_app(function: Any, name: str) -> None:
    """Give a function a name, and put it into app.py, unless the app is in another module."""
    function.__name__ = name
    if "app" in sys.modules:
        setattr(sys.modules["app"], name, function)


def body_and_content_type(value: Any, given: str) -> tuple[bytes, str]:
    """Return the body and the Content-Type that Express sends for a view's value.

    `given` is the Content-Type that the view has set.
    """
    if isinstance(value, (bytes, bytearray)):
        content_type = given or "application/octet-stream"
        is_text = re.match(r"text/|application/(json|javascript)\b", given)
        if is_text and "charset" not in given:
            content_type += "; charset=utf-8"
        return bytes(value), content_type
    if not isinstance(value, str):
        # Half a surrogate pair becomes \udXXX, which is Python's escape and JSON's, too.
        body = stringify(value).encode(errors="backslashreplace")
        return body, in_utf_8(given or "application/json")
    try:
        body = value.encode()
    except UnicodeEncodeError:  # half a surrogate pair, for which Node sends U+FFFD
        body = re.sub("[\ud800-\udfff]", "\ufffd", value).encode()
    return body, in_utf_8(given or "text/html")


def in_utf_8(content_type: str) -> str:
    """Return a Content-Type that says UTF-8, whatever it said."""
    parts = re.findall(r'(?:[^;"]|"[^"]*")+', content_type)  # a quoted `;` ends no part
    stripped = [part.strip() for part in parts]
    kept = [part for part in stripped if part and not part.lower().startswith("charset=")]
    return "; ".join([*kept, "charset=utf-8"])


def entity_tag(body: bytes) -> str:
    """Return the weak entity tag of a body, as Express computes it (RFC 9110, 8.8.3).

    It is the length in bytes, in hexadecimal, and 27 characters of the SHA-1 in Base64, so copies
    that clients have cached from the Express app stay valid.
    """
    return f'W/"{len(body):x}-{b2a_base64(sha1(body).digest())[:27].decode()}"'


# A header as Node sends it: the name (RFC 9110, 5.6.2), the value in Latin-1 without control
# characters.
HEADER_LINE = re.compile(r"[!#-'*+.^_`|~\w-]+: [\t -~\x80-\xff]*", re.ASCII)


def header_value(name: str, value: Any) -> Any:
    """Return the value of a header as text, a number as in JSON; of a list, each item.

    Raises ValueError for what Node refuses, such as a line break, which could start another header.
    """
    if isinstance(value, list):
        return [header_value(name, item) for item in value]
    text = value if isinstance(value, str) else stringify(value, name)
    if not HEADER_LINE.fullmatch(f"{name}: {text}"):
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


def stringify(value: Any, where: object = "the response") -> str:
    """Return `value` as JSON, as JavaScript's `JSON.stringify` writes it (ECMA-262, 25.5.2).

    Python's `json.dumps` writes 1.0, 1e+16 and NaN where JavaScript writes 1, 10000000000000000 and
    null. Unlike there, keys stay in order and integers stay exact. Raises TypeError for what JSON
    does not have; it names the type, and `where` it is: the key of the nearest object.
    """
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or isinstance(value, int):
        return dumps(value)
    if isinstance(value, float):
        return stringify_float(value)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(stringify(item, where) for item in value) + "]"
    if isinstance(value, dict):
        pairs = [f"{stringify_key(key)}:{stringify(item, key)}" for key, item in value.items()]
        return "{" + ",".join(pairs) + "}"
    return stringify(json_value(value, where), where)


def stringify_key(key: object) -> str:
    """Return a key of a dict as JSON, in which each is a text."""
    return encode_basestring(key if isinstance(key, str) else stringify(key, key).strip('"'))


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


def json_value(value: Any, where: object) -> Any:
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
        raise TypeError(f"{where} is a {type(value).__name__}, which JSON does not have") from None
