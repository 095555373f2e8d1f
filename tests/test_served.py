"""Your routes over HTTP: the table in answers.py, under `make run` and in the emulated AWS."""

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.answers import Answer, answers, check_answer, refusals
from tests.processes import REPOSITORY
from tests.project import EMULATED_AWS, MAKE_RUN, Project
from tests.replies import Reply, send


class Service(NamedTuple):
    """The service where it is served."""

    place: str
    url: str

    def request(self, method: str, path: str, headers: dict[str, str] | None = None) -> Reply:
        """Send a request."""
        return send(method, self.url + path, headers)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(place, marks=pytest.mark.xdist_group(place))
        for place in (MAKE_RUN, EMULATED_AWS)
    ],
)
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Your app, served."""
    project = Project(tmp_path_factory.mktemp("served") / "project", app=REPOSITORY)
    with project.served(request.param) as url:
        yield Service(request.param, url)


@answers
def test_answers(
    service: Service, request_line: str, headers: dict[str, str], answer: Answer
) -> None:
    method, path = request_line.split()
    reply = service.request(method, path, headers)
    check_answer(method, answer, reply.status, reply.headers, reply.body)
    if answer.status != 304:
        assert reply.headers["Content-Length"] == str(len(answer.body))


@refusals
def test_refuses_what_is_not_declared(service: Service, request_line: str) -> None:
    method, path = request_line.split()
    reply = service.request(method, path)
    if service.place == EMULATED_AWS:
        assert reply.status == 403
        assert json.loads(reply.body) == {"message": "Missing Authentication Token"}
    else:  # Chalice's own server answers OPTIONS for CORS, and another method with 405
        assert reply.status == {"GET": 403, "OPTIONS": 200}.get(method, 405)


def test_two_slashes_are_one(service: Service) -> None:
    assert service.request("GET", "//").body == b"hello world"
