"""The log: each record is a line of JSON on standard output.

The names of the fields are those of Lambda's own JSON
(https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html).
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from json import JSONEncoder
from threading import local
from time import gmtime, perf_counter, strftime

from chalice.app import Request

TYPE_CHECKING = False  # as in express.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LOG = logging.getLogger(__name__)
# At DEBUG, the AWS SDK logs tokens and your customers' data, and Chalice each step of a deploy. At
# INFO, the SDK logs at each cold start where its credentials are.
NOISY = ("boto3", "botocore", "s3transfer", "urllib3", "chalice")
RECORD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({})))  # every record's; others are `extra`
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
    for logger in map(logging.getLogger, NOISY):
        if level < logging.WARNING and not logger.level:  # nobody has set it
            logger.setLevel(logging.WARNING)


class JsonLines(logging.Handler):
    """Writes records to the current `sys.stdout`: Lambda's runtime client and pytest replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless another handler does; if that fails, the code continues."""
        try:
            if not written_elsewhere(record.name):
                sys.stdout.write(json_line(record) + "\n")
                sys.stdout.flush()
        except Exception:
            self.handleError(record)


def written_elsewhere(name: str) -> bool:
    """Tell whether another handler writes the records of a logger, as Powertools' does.

    Those of the root logger count only if they write to the console.
    """
    logger, root = logging.getLogger(name), logging.getLogger()
    while logger.parent:  # all except the root logger have one
        if any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            return True  # a library's NullHandler writes nothing
        logger = logger.parent
    streams = [getattr(handler, "stream", None) for handler in root.handlers]
    return sys.stdout in streams or sys.stderr in streams


def json_line(record: logging.LogRecord) -> str:
    """Return a record as JSON, which escapes line breaks so that no record can forge a line."""
    seconds = strftime("%Y-%m-%dT%H:%M:%S", gmtime(record.created))
    fields: dict[str, Any] = {
        "timestamp": f"{seconds}.{int(record.msecs):03d}Z",
        "level": record.levelname,
        "message": record.getMessage(),
        "logger": record.name,
        **getattr(thread_state, "ids", {}),
    }
    if record.exc_info and record.exc_info[0]:
        fields["errorType"] = record.exc_info[0].__name__
        fields["errorMessage"] = str(record.exc_info[1])
        fields["stackTrace"] = "".join(traceback.format_exception(*record.exc_info)).splitlines()
    for name, value in vars(record).items():
        if name not in RECORD_ATTRIBUTES:
            fields.setdefault(name, value)  # `extra` replaces none of the above
    try:
        return JSON.encode(fields)
    except (TypeError, ValueError):  # a key that is not a text, NaN, or a circular reference
        return JSON.encode({name: str(value) for name, value in fields.items()})


def log_invocation(event: Any, get_response: Callable[[Any], Any]) -> Any:
    """Log each request of API Gateway, and the exceptions of the app's other functions.

    Chalice middleware for all events: `event` is a Request, or the event of another function, or
    None for an event that is none of the app's.
    """
    if isinstance(event, Request):
        return log_request(event, get_response)  # Chalice logs its exceptions
    set_ids(getattr(event, "context", None), None)
    try:
        return get_response(event)
    except Exception:
        LOG.exception("Unhandled exception")
        raise


def log_request(request: Request, get_response: Callable[[Any], Any]) -> Any:
    """Log a request: its method, its route as `path`, its status, and how long it took."""
    set_ids(request.lambda_context, request.context.get("extendedRequestId"))
    start, status = perf_counter(), 500
    try:
        response = get_response(request)
        status = response.status_code
        return response
    finally:
        fields = {"method": request.method, "path": request.path, "status": status}
        fields["durationMs"] = round((perf_counter() - start) * 1000, 3)
        LOG.info("%(method)s %(path)s %(status)s", fields, extra=fields)


def set_ids(context: Any, extended_id: str | None) -> None:
    """Set the ids that each line has until the next event. Clients can choose neither.

    `requestId` is Lambda's, as in its REPORT lines; `extendedRequestId` is API Gateway's, as in its
    access log. Nothing clears them at the end: Chalice's error handler is outside this middleware,
    and still logs what other middleware raises.
    """
    ids = {"requestId": getattr(context, "aws_request_id", None), "extendedRequestId": extended_id}
    thread_state.ids = {name: value for name, value in ids.items() if value}
