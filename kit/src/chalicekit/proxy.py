"""API Gateway's side of a Lambda proxy integration: an event's body, and the response to a client.

docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import json
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from requests.structures import CaseInsensitiveDict

RESPONSE_FIELDS = {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}
# Headers of a function that API Gateway renames, since they belong to its own connection
RENAMED = {"connection", "content-length", "date", "server", "www-authenticate"}
# Headers of a client that stay with the client's connection
NOT_FORWARDED = {"connection", "content-length", "expect", "transfer-encoding", "upgrade"}
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token of RFC 9110, 5.6.2


class Response(NamedTuple):
    """What a client gets. The names in `headers` are spelled as the function spells them."""

    status: int
    headers: dict[str, list[str]]
    body: bytes


def added_headers(host: str, client: str) -> dict[str, str]:
    """Return the headers that API Gateway adds to a client's request for `host`."""
    return {
        "Host": host,
        "X-Amzn-Trace-Id": f"Root=1-{secrets.token_hex(4)}-{secrets.token_hex(12)}",
        "X-Forwarded-For": client,
        "X-Forwarded-Port": host.partition(":")[2] or "80",
        "X-Forwarded-Proto": "http",
    }


def names_and_ids(host: str, chosen_id: str) -> dict[str, str]:
    """Return a part of an event's `requestContext`; a client may choose the id, a UUID."""
    name = host.partition(":")[0]
    try:
        request_id = UUID(chosen_id)
    except ValueError:
        request_id = uuid4()
    return {
        "domainName": name,
        "domainPrefix": name.partition(".")[0],
        "extendedRequestId": b64encode(secrets.token_bytes(11)).decode(),
        "requestId": str(request_id),
    }


def is_binary(media_type: str, binary_types: Iterable[str]) -> bool:
    """Tell whether a Content-Type, or the first type of an Accept, is one of an API's binary types.

    The API's types may be `*/*` or `image/*`. A client's `*/*` is no wildcard.
    """
    kind = media_type.partition(",")[0].partition(";")[0].strip().lower()
    patterns = {pattern.lower() for pattern in binary_types}
    return bool(patterns & {kind, f"{kind.partition('/')[0]}/*", "*/*"})


def event_body(body: bytes, content_type: str, binary_types: Iterable[str]) -> dict[str, Any]:
    """Return the fields `body` and `isBase64Encoded` of the event for a request's body."""
    binary = bool(body) and is_binary(content_type, binary_types)
    text = b64encode(body).decode() if binary else body.decode(errors="replace")
    return {"body": text or None, "isBase64Encoded": binary}


def is_flat(context: Mapping[Any, Any]) -> bool:
    """Tell whether API Gateway takes the context of an authorizer: it has no objects and no lists.

    docs.aws.amazon.com, "Output from an API Gateway Lambda authorizer".
    """
    return not any(isinstance(value, dict | list) for value in context.values())


def response_to(result: Any, accept: str, binary_types: Iterable[str]) -> Response:
    """Return the response for a function's result, read from JSON, to a client's Accept header.

    A malformed result is a 502. No field is required and no other field is allowed: that was
    recorded on AWS. What AWS does with wrong Base64, or with a name or a value that is no header
    (RFC 9110, 5.5), is not known.
    """
    try:
        if not isinstance(result, dict) or result.keys() - RESPONSE_FIELDS:
            raise ValueError("a field is not known")
        status = str(result.get("statusCode") or 200)
        if not re.fullmatch("[2-5][0-9][0-9]", status):
            raise ValueError(f"{status} is no status")
        headers = headers_in(result)
        body = body_in(result, is_binary(accept, binary_types))
    except (AttributeError, ValueError):
        return error_response(502, "InternalServerErrorException", "Internal server error")
    return Response(int(status), headers, body)


def headers_in(result: dict[str, Any]) -> dict[str, list[str]]:
    """Return the headers in a result; AttributeError or ValueError if they are malformed.

    The values in `multiValueHeaders` come first, then the one in `headers`, if it is another.
    """
    pairs = []
    for name, values in (result.get("multiValueHeaders") or {}).items():
        if not isinstance(values, list):
            raise ValueError(f"{name} has no list of values")
        pairs += [(name, value) for value in values]
    pairs += [pair for pair in (result.get("headers") or {}).items() if pair not in pairs]
    headers: CaseInsensitiveDict[list[str]] = CaseInsensitiveDict()
    for name, value in pairs:
        if not HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name} is no name of a header")
        sent_as = f"x-amzn-Remapped-{name}" if name.lower() in RENAMED else name
        headers[sent_as] = [*headers.get(sent_as, []), header_text(value)]
    headers.pop("transfer-encoding", None)
    headers.setdefault("Content-Type", ["application/json"])
    return dict(headers)


def header_text(value: Any) -> str:
    """Return the value of a header as it is sent; raises ValueError if it is none."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str) or re.search("[\r\n\0]", value):
        raise ValueError(f"{value!r} is no value of a header")
    return value


def body_in(result: dict[str, Any], decode: bool) -> bytes:
    """Return the body in a result; raises ValueError if it is malformed."""
    body = "" if result.get("body") is None else result["body"]
    if not isinstance(body, str):
        raise ValueError("a body is a text")
    if not result.get("isBase64Encoded"):
        return body.encode(errors="replace")
    decoded = b64decode(body)
    return decoded if decode else body.encode()


def error_response(status: int, kind: str, message: str | None, key: str = "message") -> Response:
    """Return an error of API Gateway itself, whose `key` is `Message` in what a policy refuses."""
    headers = {"Content-Type": ["application/json"], "x-amzn-ErrorType": [kind]}
    return Response(status, headers, json.dumps({key: message}, separators=(",", ":")).encode())
