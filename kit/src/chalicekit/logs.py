"""`logs`: the log of each function of a stage."""

import re
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import click

from chalicekit.aws import connection
from chalicekit.errors import Refusal
from chalicekit.inventory import Inventory, find_all
from chalicekit.pretty import for_reader
from chalicekit.project import Project

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
# Lambda's own lines about an invocation
LAMBDA_LINE = re.compile("(INIT_)?(START|END|REPORT|RUNTIME_DONE) (RequestId|Runtime Version)")
POLL_SECONDS = 2
LATE_MILLISECONDS = 30_000  # CloudWatch lists a line some seconds after its own time


def logs(project: Project, name: str = "", since: str = "10m", follow: bool = False) -> None:
    """Print the lines of the stage's functions, or of the one called `name`.

    `since` is how far to go back ("10m", "2h") or a time; with `follow`, new lines are printed
    until Ctrl-C. Functions of a CloudFormation stack are also found. Raises Refusal if there is no
    such function or time.
    """
    start = milliseconds(since)
    with connection(project) as connected:
        functions = Inventory(connected).all_functions
        if not functions:
            hint = connected.command("deploy")
            raise Refusal(f"{connected.name} is not deployed: run `{hint}`.")
        names = [function.name for function in functions]
        if name and name not in names:
            raise Refusal(f"There is no function {name}: choose {' or '.join(names)}.")
        chosen = [function for function in functions if name in ("", function.name)]
        groups = list(dict.fromkeys(function.log_group for function in chosen))
        client = connected.session.create_client("logs")
        show(lines(client, groups, start, follow))


def show(found: Iterable[tuple[str, str]]) -> None:
    """Print lines, and their groups apart from them: the lines may go to another program."""
    shown = ""
    for group, message in found:
        if group != shown:
            click.echo(f"{group}:", err=True)
            shown = group
        click.echo(for_reader(message, sys.stdout))


def lines(client: Any, groups: list[str], start: int, follow: bool) -> Iterator[tuple[str, str]]:
    """Yield each line with its group, in the order of the groups, then as they arrive."""
    seen = set[str]()
    while True:
        found = [
            (group, event)
            for group in groups
            for event in find_all(
                client, "filter_log_events", "events", logGroupName=group, startTime=start
            )
        ]
        for item in found:
            group, event = item
            message = event["message"].rstrip()
            if str(item) not in seen and not LAMBDA_LINE.match(message):
                yield group, message
        if not follow:
            return
        seen = {str(item) for item in found}  # the emulated AWS has no ids for lines
        start = max([start, *(event["timestamp"] - LATE_MILLISECONDS for _, event in found)])
        time.sleep(POLL_SECONDS)


def milliseconds(since: str) -> int:
    """Return a time as CloudWatch counts it; raises Refusal if `since` is none.

    >>> milliseconds("1970-01-01T00:00:01+00:00")
    1000
    """
    found = re.fullmatch(r"(\d+)([smhdw])", since)
    try:
        if found:
            moment = datetime.now(timezone.utc) - timedelta(**{UNITS[found[2]]: int(found[1])})
        else:
            moment = datetime.fromisoformat(since.replace("Z", "+00:00"))  # Python 3.10
        return max(0, int(moment.timestamp() * 1000))
    except (ValueError, OverflowError):
        raise Refusal(
            f"{since} is not a time: write, for example, 10m, 2h, 1d or 2026-01-31T12:00."
        ) from None
