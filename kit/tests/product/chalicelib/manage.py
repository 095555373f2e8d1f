"""The routes for whoever has the token: a blueprint with an authorizer and CORS."""

import os
from functools import cache
from hmac import compare_digest

import addresses
import boto3
from chalice import AuthResponse, BadRequestError, Blueprint, CORSConfig, NotFoundError, Response
from chalice.app import AuthRequest

from chalicelib import links

routes = Blueprint(__name__)
SITE = CORSConfig(allow_origin="https://admin.example", allow_headers=["Authorization"])


@cache  # each instance of the function asks once
def token() -> str:
    """Return the token that callers must send."""
    name = f"/{os.environ['NAME']}/token"
    parameter = boto3.client("ssm").get_parameter(Name=name, WithDecryption=True)
    return str(parameter["Parameter"]["Value"])


@routes.authorizer()
def with_token(request: AuthRequest) -> AuthResponse:
    """Let in whoever sends the token."""
    is_known = compare_digest(request.token.encode(), token().encode())
    return AuthResponse(routes=["*"] if is_known else [], principal_id="owner")


@routes.route("/{code}", methods=["PUT"], authorizer=with_token, cors=SITE)
def put(code: str) -> Response:
    """Save a link."""
    address = routes.current_request.json_body["address"]
    if not addresses.is_address(address):
        raise BadRequestError("the address is none")
    links.save(code, address)
    return Response("", {"Location": f"/{code}"}, 201)


@routes.route("/{code}", authorizer=with_token, cors=SITE)
def show(code: str) -> dict[str, object]:
    """Return a link with its visits."""
    link = links.find(code)
    if not link:
        raise NotFoundError(f"there is no link {code}")
    return {"address": link["address"], "visits": int(link["visits"])}
