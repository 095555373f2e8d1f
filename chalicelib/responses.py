"""A view's str becomes the HTTP answer that Express gives: Content-Type, ETag, 304, HEAD."""

from binascii import b2a_base64
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from chalice import Response
from chalice.app import Request

try:
    # CPython's own SHA-1. hashlib would load OpenSSL, which nothing else here needs: 3 ms and 4 MB
    # of each cold start.
    from _sha1 import sha1  # type: ignore[import-not-found]
except ImportError:  # a Python that was built without it
    from hashlib import sha1

GetResponse = Callable[[Request | None], Response]


class Text(Response):
    """An answer of text, which needs no Base64 and so no search through Chalice's binary types."""

    def to_dict(self, _: list[str] | None = None) -> dict[str, Any]:
        """Return what API Gateway is told."""
        return super().to_dict()


def like_express(request: Request | None, get_response: GetResponse) -> Response:
    """Finish a str answer as Express's `res.send` does; leave any other answer as it is.

    Chalice middleware (https://aws.github.io/chalice/topics/middleware.html). An answer that names
    its own Content-Type, or whose body is no str (a dict becomes JSON), has said what it wants.
    `request` is None when the function is invoked with something that no API Gateway sent.
    """
    response = get_response(request)
    if request is None:
        return response
    body, headers = response.body, response.headers
    if isinstance(body, str) and "content-type" not in map(str.lower, headers):
        tag = entity_tag(body)
        if response.status_code == 200 and is_fresh(tag, request.headers, request.method):
            response = Text("", {**headers, "ETag": tag}, 304)
        else:
            html = {"Content-Type": "text/html; charset=utf-8", "ETag": tag}
            response = Text(body, {**headers, **html}, response.status_code)
    if request.method == "HEAD":
        # The body stays: API Gateway drops it and counts its length for Content-Length, whatever
        # the function says that is. `chalice local` sends it after the headers, where it would pass
        # for the next answer; a closed connection has no next answer (RFC 9112, 9.6).
        response.headers = {**response.headers, "Connection": "close"}
    return response


@lru_cache(maxsize=8)  # what is answered again and again is hashed once
def entity_tag(body: str) -> str:
    """Return the weak entity tag of a body, as Express makes it (RFC 9110, 8.8.3).

    That is its length in bytes, in hexadecimal, and 27 characters of its SHA-1 in Base64, so that
    copies that clients cached from the Express app stay valid.
    """
    content = body.encode()
    return f'W/"{len(content):x}-{b2a_base64(sha1(content).digest())[:27].decode()}"'


def is_fresh(tag: str, headers: Mapping[str, str], method: str = "GET") -> bool:
    """Tell whether the client's copy is still good, so that 304 will do (RFC 9110, 13.1.2).

    `tag` is the answer's entity tag; `headers` are the request's, their names in lower case. As in
    Express, a request with `no-cache` wants a whole answer (RFC 9111, 5.2.1.4).
    """
    if_none_match = headers.get("if-none-match")
    if not if_none_match or method not in ("GET", "HEAD"):
        return False
    if any(it.strip() == "no-cache" for it in headers.get("cache-control", "").split(",")):
        return False
    candidates = [candidate.strip(" ") for candidate in if_none_match.split(",")]
    return if_none_match == "*" or any(
        candidate in (tag, f"W/{tag}") or f"W/{candidate}" == tag for candidate in candidates
    )
