"""The log: one line of JSON for each request and each error, on standard output."""

import logging
import os
import sys
from collections.abc import Callable
from json import dumps
from time import perf_counter

from chalice import Chalice, Response
from chalice.app import Request


class JsonLine(logging.Formatter):
    """Makes a record a line of JSON, its traceback inside, with the request that was served."""

    def __init__(self, app: Chalice) -> None:
        super().__init__()
        self.app = app

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; JSON escapes line breaks, so that nothing can forge another."""
        request = getattr(self.app, "current_request", None)  # there is none before the first
        fields = {
            "level": record.levelname,
            "requestId": request.context.get("requestId") if request else None,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return dumps(fields)


def log_as_json(app: Chalice) -> None:
    """Log each request that `app` serves, and what is logged through `app.log`.

    The level is that of the environment variable LOG_LEVEL, INFO unless set; requests are logged at
    INFO. ValueError for a level that does not exist. The `requestId` is API Gateway's, which the
    client gets as `x-amzn-RequestId`. A `path` is that of the route, without what a client put in.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLine(app))
    app.log.handlers = [handler]
    app.log.propagate = False  # Lambda's own handler would write each record once more
    app.log.setLevel(os.environ.get("LOG_LEVEL", "INFO"))
    is_on = app.log.isEnabledFor(logging.INFO)

    def log_request(
        request: Request | None, get_response: Callable[[Request | None], Response]
    ) -> Response:
        start, status = perf_counter(), 500
        try:
            response = get_response(request)
            status = response.status_code
            return response
        finally:
            if request and is_on:
                duration = (perf_counter() - start) * 1000
                # The line that JsonLine would make, at half of what that takes.
                sys.stdout.write(
                    f'{{"level": "INFO", "requestId": {dumps(request.context.get("requestId"))}, '
                    f'"method": {dumps(request.method)}, "path": {dumps(request.path)}, '
                    f'"status": {status}, "durationMs": {duration:.3f}}}\n'
                )

    app.register_middleware(log_request, "http")
