"""Keep other sites' pages in a browser on this machine away from the emulated AWS.

Whoever may call the emulated AWS may run code on this machine: it runs functions. A page from
anywhere can send requests to 127.0.0.1, without seeing the responses: with `<img>`, a form, a
WebSocket, or `fetch` in the mode `no-cors`. With a name of its own that resolves to 127.0.0.1
(DNS rebinding), it can see the responses, too.

So a request must be for a name that is this machine's in any browser, and a browser must not send
it for another site: https://fetch.spec.whatwg.org/#origin-header and
https://www.w3.org/TR/fetch-metadata/. A deployed API is for other sites' pages as well; as on AWS,
its own CORS settings decide.

Other users and other programs of this machine can reach the emulated AWS all the same.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from ministack import app

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LOCAL_API_HOST = re.compile(r"([0-9a-z]+)\.execute-api\.localhost")
API_PATH = re.compile(rb"/_aws/execute-api/[0-9a-z]+/")


def guarded(served: App, port: int) -> Any:
    """Return an ASGI application that refuses what must not reach `served`, on `port`.

    A request for ID.execute-api.localhost becomes one for the path /_aws/execute-api/ID, which no
    other part of MiniStack answers: it answers some paths, such as /_ministack/reset, on any host.
    """
    # No function, so `replaces` is not for it. This matches nothing.
    app._EXECUTE_API_RE = re.compile("(?!)")

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await served(scope, receive, send)
            return
        headers = {
            name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        address = headers.get("host", "")
        host, _, given_port = address.lower().partition(":")
        if api := LOCAL_API_HOST.fullmatch(host):
            prefix = f"/_aws/execute-api/{api[1]}"
            scope["path"] = prefix + scope["path"]
            scope["raw_path"] = prefix.encode() + scope["raw_path"]
        is_own_name = api or host in ("127.0.0.1", "localhost")
        if not is_own_name or given_port not in ("", str(port)):
            await refuse(scope, receive, send, f"any host but 127.0.0.1:{port}")
        elif is_for_another_site(address, headers) and not API_PATH.match(scope["raw_path"]):
            await refuse(scope, receive, send, "what a browser sends for another site")
        else:
            await served(scope, receive, send)

    return guard


def is_for_another_site(address: str, headers: dict[str, str]) -> bool:
    """Tell whether a browser sends a request to this `address` for a page of another site.

    A browser without `Sec-Fetch-Site` (Safari before 16.4) is not trusted: some requests that it
    sends for a page show no sign of it.
    """
    own = f"http://{address}"
    referrer = urlsplit(headers.get("referer", own))
    return (
        headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        or headers.get("origin", own) != own
        or f"{referrer.scheme}://{referrer.netloc}" != own
        or ("Mozilla/" in headers.get("user-agent", "") and "sec-fetch-site" not in headers)
    )


async def refuse(scope: Message, receive: Receive, send: Send, subject: str) -> None:
    """Respond with 403 and one line."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})  # before it is accepted, this is 403
        return
    body = f"The emulated AWS refuses {subject}.\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
