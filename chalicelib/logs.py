"""The log: one line of JSON for each request and each error, on standard output."""

import json
import logging
import os
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from chalice import Chalice, Response
from chalice.app import Request


class JsonLines(logging.Handler):
    """Writes a record as a line of JSON, its traceback inside, with the request that was served."""

    def __init__(self, app: Chalice) -> None:
        super().__init__()
        self.app = app

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        fields = {"message": record.getMessage()}
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        request = getattr(self.app, "current_request", None)  # there is none before the first
        write_line(record.levelname, request, **fields)


def write_line(level: str, request: Request | None, **fields: Any) -> None:
    """Write a line; JSON has no line breaks but those it escapes, so nothing can forge another."""
    request_id = request.context.get("requestId") if request else None
    sys.stdout.write(json.dumps({"level": level, "requestId": request_id} | fields) + "\n")


def log_as_json(app: Chalice) -> None:
    """Log each request that `app` serves, and what is logged through `app.log`.

    The level is that of the environment variable LOG_LEVEL, INFO unless set; requests are logged at
    INFO. ValueError for a level that does not exist. The `requestId` is API Gateway's, which the
    client gets as `x-amzn-RequestId`. A `path` is that of the route, without what a client put in.
    """
    app.log.handlers = [JsonLines(app)]
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
                write_line(
                    "INFO",
                    request,
                    method=request.method,
                    path=request.path,
                    status=status,
                    durationMs=round((perf_counter() - start) * 1000, 3),
                )

    app.register_middleware(log_request, "http")
