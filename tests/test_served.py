"""Your routes over HTTP: the table in answers.py, under `make run` and in the emulated AWS."""

import pytest
import requests

from tests.answers import Case, answer_of, each_case


@pytest.fixture(params=["local_url", "deployed_url"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of your app, which the kit's fixtures of these names serve and deploy."""
    return str(request.getfixturevalue(request.param))


@each_case
def test_answers(url: str, case: Case) -> None:
    method, path = case.request.split()
    response = requests.request(
        method, url + path, headers=case.headers, data=case.body, allow_redirects=False, timeout=60
    )
    assert answer_of(case, response.status_code, response.headers, response.content) == case.answer
