"""Your routes over HTTP: the table in answers.py, under `make run` and in the emulated AWS."""

import pytest
import requests

from tests.answers import Line, each_line, seen


@pytest.fixture(params=["local_url", "deployed_url"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of your app, which the kit's fixtures of these names serve and deploy."""
    return str(request.getfixturevalue(request.param))


@each_line
def test_answers(url: str, line: Line) -> None:
    method, path = line.request.split()
    response = requests.request(
        method, url + path, headers=line.headers, data=line.body, allow_redirects=False, timeout=60
    )
    assert seen(line, response.status_code, response.headers, response.content) == line.answer
