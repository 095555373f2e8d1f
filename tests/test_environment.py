"""The environment of the tests: nothing of this machine's configuration gets in."""

import json
import os

import pytest

from tests.environment import clean_environment, stage_variables
from tests.processes import REPOSITORY


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
    stage = {"environment_variables": {"LOG_LEVEL": "DEBUG"}}
    settings = {"environment_variables": {"TABLE": "orders"}, "stages": {"dev": stage}}
    assert stage_variables(settings) == {"TABLE": "orders", "LOG_LEVEL": "DEBUG"}
    config = json.loads((REPOSITORY / ".chalice" / "config.json").read_text(encoding="utf-8"))
    assert os.environ.items() >= stage_variables(config).items()
