"""Your routes over HTTP: the table in answers.py, under `make run` and in the emulated AWS."""

import pytest
import requests

from tests.answers import Answer, answers, check_answer, refusals


@pytest.fixture(params=["local_url", "deployed_url"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of your app, which the kit's fixtures of these names serve and deploy."""
    return str(request.getfixturevalue(request.param))
