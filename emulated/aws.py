"""`make emulator`: an emulated AWS, MiniStack, with the two calls that Chalice misses.

Written for MiniStack 1.5.33, on whose internals it leans. Once MiniStack has ImportRestApi and
PutRestApi itself, `answer_imports` can go, and `make emulator` be its own command.
"""

import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from tools.ports import usable_port

Answer = tuple[int, dict[str, str], bytes]
Handler = Callable[[str, str, dict[str, str], bytes, dict[str, Any]], Awaitable[Answer]]

TO_TYPE_NEXT = """\
An emulated AWS listens on http://127.0.0.1:{port}. In another terminal:

  make deploy AWS=emulated{choice}    then url, logs, delete alike

Ctrl-C ends it and forgets everything that was deployed.
"""


def answer_imports(apigateway: Any) -> Handler:
    """Return the handler of MiniStack's API Gateway, able to import an API from Swagger.

    ImportRestApi and PutRestApi: docs.aws.amazon.com/apigateway/latest/api/API_ImportRestApi.html
    """
    handle: Handler = apigateway.handle_request

    async def handle_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Answer:
        match method, path.strip("/").split("/"):
            case "POST", ["restapis"] if "mode" in query:
                api_id = apigateway._import_rest_api(json.loads(body))
                _, headers, body = apigateway._get_rest_api(api_id)
                return 201, headers, body
            case "PUT", ["restapis", api_id] if api_id in apigateway._rest_apis:
                resources = apigateway._resources[api_id]
                for key in [key for key, resource in resources.items() if resource["path"] != "/"]:
                    del resources[key]
                for root in resources.values():
                    root["resourceMethods"].clear()
                for route, methods in json.loads(body)["paths"].items():
                    apigateway._import_path_item(api_id, route, methods)
                answer: Answer = apigateway._get_rest_api(api_id)
                return answer
            case _:
                return await handle(method, path, headers, body, query)

    return handle_request


def main(port: str) -> None:
    """Serve the emulated AWS on 127.0.0.1 at `port` until Ctrl-C."""
    number = usable_port(port, "AWS_PORT")
    with tempfile.TemporaryDirectory(prefix="hello-chalice-aws-") as folder:
        # MiniStack reads these when it is imported.
        os.environ |= {"GATEWAY_PORT": port, "BIND_HOST": "127.0.0.1", "TMPDIR": folder}
        os.environ.setdefault("LOG_LEVEL", "ERROR")
        tempfile.tempdir = folder
        emulator = import_module("ministack.app")
        runtime = import_module("ministack.core.lambda_runtime")
        apigateway: Any = import_module("ministack.services.apigateway_v1")
        apigateway.handle_request = answer_imports(apigateway)
        choice = "" if number == 4566 else f" AWS_PORT={number}"
        print(TO_TYPE_NEXT.format(port=number, choice=choice), flush=True)
        sys.argv[1:] = []  # MiniStack parses them
        try:
            emulator.main()
        finally:
            runtime.reset()  # ends the Lambda workers


if __name__ == "__main__":
    main(*sys.argv[1:])
