"""The environment of the tests: nothing of this machine's configuration gets in."""

import os

import pytest

from tests.environment import clean_environment


@pytest.mark.parametrize(
    "name",
    [
        "AWS_ENDPOINT_URL_LAMBDA",
        "AWS_PROFILE",
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "HTTPS_PROXY",
        "PERSIST_STATE",
        "PIP_TARGET",
        "PYTHONPATH",
        "SERVICES",
        "USE_SSL",
    ],
)
def test_a_variable_of_the_machine_does_not_reach_the_tests(name: str) -> None:
    assert name not in clean_environment({name: "x"}, "http://127.0.0.1:1", "/home")
    assert name not in os.environ


def test_the_variables_of_your_first_stage_are_set() -> None:
    environment = clean_environment({"LOG_LEVEL": "nonsense"}, "http://127.0.0.1:1", "/home")
    assert environment["LOG_LEVEL"] == os.environ["LOG_LEVEL"] != "nonsense"
