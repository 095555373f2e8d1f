"""API Gateway's side of a Lambda proxy integration: an event's body, and the response to a client.

docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import binascii
import json
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID, uuid4

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


def request_context(host: str, chosen_id: str) -> dict[str, str]:
    """Return the names and ids of a request for the event; a client may choose one, a UUID."""
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
    return bool(patterns & {kind, f"{kind.partition('/')[0]}/*", "*/*"}) and bool(kind)


def event_body(body: bytes, content_type: str, binary_types: Iterable[str]) -> dict[str, Any]:
    """Return the fields `body` and `isBase64Encoded` of the event for a request's body."""
    binary = bool(body) and is_binary(content_type, binary_types)
    text = b64encode(body).decode() if binary else body.decode(errors="replace")
    return {"body": text or None, "isBase64Encoded": binary}


def response_to(result: Any, accept: str, binary_types: Iterable[str]) -> Response:
    """Return the response for a function's result, read from JSON, to a client's Accept header."""
    if not is_well_formed(result):
        return error_response(502, "InternalServerErrorException", "Internal server error")
    pairs = [
        (name, value)
        for name, values in (result.get("multiValueHeaders") or {}).items()
        for value in values
    ]
    pairs += [pair for pair in (result.get("headers") or {}).items() if pair not in pairs]
    headers: dict[str, tuple[str, list[str]]] = {}
    for name, value in pairs:
        sent_as = f"x-amzn-Remapped-{name}" if name.lower() in RENAMED else name
        text = str(value).lower() if isinstance(value, bool) else value
        headers.setdefault(sent_as.lower(), (sent_as, []))[1].append(text)
    headers.pop("transfer-encoding", None)
    headers.setdefault("content-type", ("Content-Type", ["application/json"]))
    body = result.get("body") or ""
    decode = result.get("isBase64Encoded") and is_binary(accept, binary_types)
    content = b64decode(body) if decode else body.encode(errors="replace")
    return Response(int(result.get("statusCode") or 200), dict(headers.values()), content)


def error_response(status: int, kind: str, message: str | None, key: str = "message") -> Response:
    """Return an error of API Gateway itself."""
    headers = {"Content-Type": ["application/json"], "x-amzn-ErrorType": [kind]}
    return Response(status, headers, json.dumps({key: message}, separators=(",", ":")).encode())


def is_well_formed(result: Any) -> bool:
    """Tell whether API Gateway accepts a function's result; it responds with 502 otherwise.

    No field is required and no other field is allowed: that was recorded on AWS. What AWS does with
    a name or a value that is no header (RFC 9110, 5.5) and with wrong Base64 is not known.
    """
    if not isinstance(result, dict) or not result.keys() <= RESPONSE_FIELDS:
        return False
    headers, lists = result.get("headers") or {}, result.get("multiValueHeaders") or {}
    return (
        isinstance(headers, dict)
        and isinstance(lists, dict)
        and all(isinstance(values, list) for values in lists.values())
        and all(map(HEADER_NAME.fullmatch, chain(headers, lists)))
        and all(map(is_header_value, chain(headers.values(), *lists.values())))
        and isinstance(result.get("body"), str | None)
        and re.fullmatch("[2-5][0-9][0-9]", str(result.get("statusCode") or 200)) is not None
        and (not result.get("isBase64Encoded") or is_base64(result.get("body") or ""))
    )


def is_header_value(value: Any) -> bool:
    """Tell whether API Gateway sends a value as a header's."""
    return isinstance(value, bool) or (isinstance(value, str) and not re.search("[\r\n\0]", value))


def is_base64(text: str) -> bool:
    """Tell whether a text can be decoded."""
    try:
        b64decode(text)
    except (binascii.Error, ValueError):
        return False
    return True
