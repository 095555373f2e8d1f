"""`logs`: which lines of which functions, since when, and where they are printed."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chalicekit import logs as logs_module
from chalicekit.deploy import deploy
from chalicekit.errors import Refusal
from chalicekit.logs import lines, logs, milliseconds
from tests.emulated import client
from tests.sample import Sample

OTHER = """

@app.lambda_function()
def other(event, context):
    pass
"""
STREAM = "2026/01/31/[$LATEST]abc"


class Logged(Sample):
    """A deployed project whose lines tests write and see."""

    def __init__(self, folder: Path, aws: str, capsys: pytest.CaptureFixture[str]) -> None:
        super().__init__(folder, aws)
        self.capsys, self.group = capsys, f"/aws/lambda/{self.name}-dev"
        self.append(OTHER)
        deploy(self.project())

    def log(self, *messages: str, minutes: float = 0, group: str = "") -> None:
        """Write lines of a function, as of some minutes ago."""
        service, place = client(self.aws, "logs"), {"logGroupName": group or self.group}
        with suppress(service.exceptions.ResourceAlreadyExistsException):
            service.create_log_group(**place)
        with suppress(service.exceptions.ResourceAlreadyExistsException):
            service.create_log_stream(**place, logStreamName=STREAM)
        moment = int((time.time() - 60 * minutes) * 1000)
        events = [{"timestamp": moment, "message": message} for message in messages]
        service.put_log_events(**place, logStreamName=STREAM, logEvents=events)

    def shown(self, **options: Any) -> tuple[list[str], list[str]]:
        """Return the lines that `logs` prints, and those on standard error."""
        self.capsys.readouterr()
        logs(self.project(), **options)
        printed = self.capsys.readouterr()
        return printed.out.splitlines(), printed.err.splitlines()


@pytest.fixture
def deployed(tmp_path: Path, aws: str, capsys: pytest.CaptureFixture[str]) -> Logged:
    """A project with two functions, which is deployed."""
    return Logged(tmp_path / "project", aws, capsys)


def test_the_last_ten_minutes_are_shown_or_those_since(deployed: Logged) -> None:
    deployed.log("eleven minutes ago", minutes=11)
    deployed.log("nine minutes ago", "  and an indented line\n", minutes=9)
    recent = ["nine minutes ago", "  and an indented line"]
    assert deployed.shown()[0] == recent
    assert deployed.shown(since="1h")[0] == ["eleven minutes ago", *recent]


def test_a_name_chooses_one_function_and_groups_are_named_apart(deployed: Logged) -> None:
    other = f"{deployed.group}-other"
    deployed.log("one")
    deployed.log("two", group=other)
    shown, groups = deployed.shown()
    assert (set(shown), set(groups)) == ({"one", "two"}, {f"{deployed.group}:", f"{other}:"})
    assert deployed.shown(name="other") == (["two"], [f"{other}:"])
    with pytest.raises(Refusal, match="There is no function x: choose api_handler or other"):
        logs(deployed.project(), name="x")


def test_lambdas_own_lines_are_left_out(deployed: Logged) -> None:
    own = ["START RequestId: 1 Version: $LATEST", "END RequestId: 1", "REPORT RequestId: 1\tx"]
    deployed.log("INIT_START Runtime Version: python:3.13.v1", *own, "START of the work")
    assert deployed.shown()[0] == ["START of the work"]


def test_follow_prints_each_new_line_once(
    deployed: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs_module, "POLL_SECONDS", 0)
    deployed.log("first", "first")
    found = lines(client(deployed.aws, "logs"), [deployed.group], 0, follow=True)
    assert [next(found)[1] for _ in range(2)] == ["first", "first"]
    for message in ("second", "third"):
        deployed.log(message)
        assert next(found)[1] == message


def test_functions_that_share_a_group_show_it_once(deployed: Logged) -> None:
    client(deployed.aws, "lambda").update_function_configuration(
        FunctionName=f"{deployed.name}-dev-other", LoggingConfig={"LogGroup": deployed.group}
    )
    deployed.log("once", "again")
    assert deployed.shown() == (["once", "again"], [f"{deployed.group}:"])


def test_what_is_not_deployed_is_refused(sample: Sample) -> None:
    with pytest.raises(Refusal, match=f"{sample.name}-dev is not deployed: run "):
        logs(sample.project())


@pytest.mark.parametrize(
    ("since", "seconds"), [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400), ("1w", 604800)]
)
def test_a_time_may_be_relative(since: str, seconds: int) -> None:
    assert milliseconds(since) == pytest.approx((time.time() - seconds) * 1000, abs=10_000)


@pytest.mark.parametrize("zone", ["Z", "+00:00"])
def test_a_time_may_be_absolute(zone: str) -> None:
    assert milliseconds(f"1970-01-01T00:01:00{zone}") == 60_000


@pytest.mark.parametrize("since", ["", "10", "m", "ten", "1x", "2026-13-01", "99999999999w"])
def test_what_is_no_time_is_refused(since: str) -> None:
    with pytest.raises(Refusal, match=f"^{since} is not a time: write, for example, 10m"):
        milliseconds(since)
