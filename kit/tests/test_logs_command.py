"""`logs`: which lines of which functions, since when, and where they are printed."""

import time
from contextlib import suppress
from pathlib import Path

import pytest

from chalicekit import logs as logs_module
from chalicekit.deploy import deploy
from chalicekit.errors import Refusal
from chalicekit.logs import lines, logs, milliseconds
from tests.emulated import client
from tests.project import TestProject

OTHER = """

@app.lambda_function()
def other(event, context):
    pass
"""
STREAM = "2026/01/31/[$LATEST]abc"
Printed = pytest.CaptureFixture[str]


class Logged(TestProject):
    """A project whose lines tests write."""

    def group(self, name: str = "") -> str:
        """Return the log group of a function."""
        return f"/aws/lambda/{self.name}-dev{name}"

    def log(self, *messages: str, minutes: float = 0, name: str = "") -> None:
        """Write lines of a function, as of some minutes ago."""
        group = {"logGroupName": self.group(name)}
        service = client(self.aws, "logs")
        with suppress(service.exceptions.ResourceAlreadyExistsException):
            service.create_log_group(**group)
        with suppress(service.exceptions.ResourceAlreadyExistsException):
            service.create_log_stream(**group, logStreamName=STREAM)
        moment = int((time.time() - 60 * minutes) * 1000)
        events = [{"timestamp": moment, "message": message} for message in messages]
        service.put_log_events(**group, logStreamName=STREAM, logEvents=events)


@pytest.fixture
def deployed(tmp_path: Path, aws: str) -> Logged:
    """A project with two functions, which is deployed."""
    project = Logged(tmp_path / "project", aws)
    project.append(OTHER)
    deploy(project.project())
    return project


def test_the_last_ten_minutes_are_shown(deployed: Logged, capsys: Printed) -> None:
    deployed.log("eleven minutes ago", minutes=11)
    deployed.log("nine minutes ago", "  and an indented line\n", minutes=9)
    capsys.readouterr()
    logs(deployed.project())
    assert capsys.readouterr().out == "nine minutes ago\n  and an indented line\n"


def test_since_goes_further_back(deployed: Logged, capsys: Printed) -> None:
    deployed.log("eleven minutes ago", minutes=11)
    capsys.readouterr()
    logs(deployed.project(), since="1h")
    assert capsys.readouterr().out == "eleven minutes ago\n"


def test_the_groups_are_named_apart_from_the_lines(deployed: Logged, capsys: Printed) -> None:
    deployed.log("one")
    deployed.log("two", name="-other")
    capsys.readouterr()
    logs(deployed.project())
    printed = capsys.readouterr()
    assert sorted(printed.out.split()) == ["one", "two"]
    groups = {f"{deployed.group()}:", f"{deployed.group('-other')}:"}
    assert set(printed.err.split()) == groups


def test_a_name_chooses_one_function(deployed: Logged, capsys: Printed) -> None:
    deployed.log("one")
    deployed.log("two", name="-other")
    capsys.readouterr()
    logs(deployed.project(), name="other")
    assert capsys.readouterr().out == "two\n"
    with pytest.raises(Refusal, match="There is no function x: choose api_handler or other"):
        logs(deployed.project(), name="x")


def test_lambdas_own_lines_are_left_out(deployed: Logged, capsys: Printed) -> None:
    own = ["START RequestId: 1 Version: $LATEST", "END RequestId: 1", "REPORT RequestId: 1\tx"]
    deployed.log("INIT_START Runtime Version: python:3.13.v1", *own, "START of the work")
    capsys.readouterr()
    logs(deployed.project())
    assert capsys.readouterr().out == "START of the work\n"


def test_follow_prints_each_new_line_once(
    deployed: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs_module, "POLL_SECONDS", 0)
    deployed.log("first", "first")
    found = lines(client(deployed.aws, "logs"), [deployed.group()], 0, follow=True)
    assert [next(found)[1] for _ in range(2)] == ["first", "first"]
    for message in ("second", "third"):
        deployed.log(message)
        assert next(found)[1] == message


def test_functions_that_share_a_group_show_it_once(deployed: Logged, capsys: Printed) -> None:
    functions = client(deployed.aws, "lambda")
    shared = {"LogGroup": deployed.group()}
    functions.update_function_configuration(
        FunctionName=f"{deployed.name}-dev-other", LoggingConfig=shared
    )
    deployed.log("once")
    capsys.readouterr()
    logs(deployed.project())
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("once\n", f"{deployed.group()}:\n")


def test_what_is_not_deployed_is_refused(project: TestProject) -> None:
    with pytest.raises(Refusal, match=f"{project.name}-dev is not deployed: run "):
        logs(project.project())


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
