"""The log: each record is a line of JSON on standard output, on Lambda and on your machine.

The names of the fields are those of Lambda's own JSON
(https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html).
"""

import logging
import os
import sys
import traceback
from collections.abc import Callable
from json import JSONEncoder
from threading import local
from time import gmtime, perf_counter, strftime
from typing import Any

from chalice.app import Request

LOG = logging.getLogger(__name__)
RECORD_ATTRIBUTES = vars(logging.makeLogRecord({}))  # every record's; others are `extra`
JSON = JSONEncoder(default=str, allow_nan=False)
thread_state = local()  # `chalice local` serves each client in a thread of its own


def configure_logs() -> None:
    """Write the log of the app and its libraries as lines of JSON.

    The environment variable LOG_LEVEL sets the level; the default is INFO. Raises ValueError for a
    level that Python's logging does not know.
    """
    name = os.environ.get("LOG_LEVEL", "INFO")
    level = logging.getLevelName(name.upper())
    if not isinstance(level, int):
        raise ValueError(f"LOG_LEVEL is {name!r}: choose DEBUG, INFO, WARNING, ERROR or CRITICAL.")
    # This replaces Lambda's own handler.
    logging.basicConfig(level=level, handlers=[JsonLines()], force=True)
    logging.captureWarnings(True)
    # At DEBUG, the AWS SDK (botocore) logs signatures and tokens.
    logging.getLogger("botocore").setLevel(max(level, logging.INFO))


class JsonLines(logging.Handler):
    """Writes records to the current `sys.stdout`: Lambda's runtime client and pytest replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; if that fails, the code that logs continues."""
        try:
            sys.stdout.write(json_line(record) + "\n")
            sys.stdout.flush()
        except Exception:
            self.handleError(record)


def json_line(record: logging.LogRecord) -> str:
    """Return a record as JSON, which escapes line breaks so that no record can forge a line."""
    try:
        message = record.getMessage()
    except Exception:  # the arguments do not fit
        message = f"{record.msg!r} % {record.args!r}"
    seconds = strftime("%Y-%m-%dT%H:%M:%S", gmtime(record.created))
    fields: dict[str, Any] = {
        "timestamp": f"{seconds}.{int(record.msecs):03d}Z",
        "level": record.levelname,
        "message": message,
        "logger": record.name,
        **getattr(thread_state, "ids", {}),
    }
    if record.exc_info and record.exc_info[0]:
        fields["errorType"] = record.exc_info[0].__name__
        fields["errorMessage"] = str(record.exc_info[1])
        fields["stackTrace"] = "".join(traceback.format_exception(*record.exc_info)).splitlines()
    extra = {name: value for name, value in vars(record).items() if name not in RECORD_ATTRIBUTES}
    fields = {**fields, **extra, **fields}  # keeps this order, and `extra` cannot replace them
    try:
        return JSON.encode(fields)
    except (TypeError, ValueError):  # a key that is not a text, NaN, or a circular reference
        return JSON.encode({name: str(value) for name, value in fields.items()})


def log_invocation(event: Any, get_response: Callable[[Any], Any]) -> Any:
    """Log each request of API Gateway, and the exceptions of the app's other functions.

    Chalice middleware for all events. `requestId` is Lambda's, as in its REPORT lines, and
    `extendedRequestId` is API Gateway's, as in its access log; clients can choose neither. `path`
    is the path of the route.
    """
    request = event if isinstance(event, Request) else None
    context = request.lambda_context if request else getattr(event, "context", None)
    # They stay until the next event: Chalice logs a middleware's exception after this returns.
    ids = {
        "requestId": getattr(context, "aws_request_id", None),
        "extendedRequestId": request.context.get("extendedRequestId") if request else None,
    }
    thread_state.ids = {name: value for name, value in ids.items() if value}
    start, status = perf_counter(), 500
    try:
        response = get_response(event)
        status = getattr(response, "status_code", status)
        return response
    except Exception:
        if not request:  # Chalice logs those of requests
            LOG.exception("Unhandled exception")
        raise
    finally:
        if request:
            fields = {"method": request.method, "path": request.path, "status": status}
            fields["durationMs"] = round((perf_counter() - start) * 1000, 3)
            LOG.info("%(method)s %(path)s %(status)s", fields, extra=fields)
