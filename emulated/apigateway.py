"""MiniStack's API Gateway, able to import an API from Swagger, as `chalice deploy` asks for.

Written for MiniStack 1.5.33, on whose internals it leans.
"""

import json
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

Answer = tuple[int, dict[str, str], bytes]
Handler = Callable[[str, str, dict[str, str], bytes, dict[str, Any]], Awaitable[Answer]]


def behave_as_aws() -> None:
    """Change MiniStack's API Gateway, which must not be serving yet."""
    apigateway: Any = import_module("ministack.services.apigateway_v1")
    apigateway.handle_request = answer_imports(apigateway)


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
