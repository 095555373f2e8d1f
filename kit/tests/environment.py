"""The environment of the tests and of the programs that they start."""

import json
import os
from collections.abc import Mapping
from typing import Any

from tests.processes import REPOSITORY

# Any other variable might change the tests or the places where they write: with the GIT_DIR of a
# hook, the tests' own `git add` would change the user's repository.
KEPT = ("PATH", "LANG", "TERM", "TMPDIR", "PYENV_")


def clean_environment(machine: Mapping[str, str], endpoint: str, home: str) -> dict[str, str]:
    """Return the variables that are kept of the machine's environment, and the tests' own.

    Those are for the emulated AWS at `endpoint` with made-up credentials, an empty folder as
    `home`, and your first stage.
    """
    config = json.loads((REPOSITORY / ".chalice" / "config.json").read_text(encoding="utf-8"))
    return {
        **{name: value for name, value in machine.items() if name.startswith(KEPT)},
        "HOME": home,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        **stage_variables(config),
    }


def stage_variables(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment variables of the first stage of `.chalice/config.json`."""
    stage = next(iter(config["stages"].values()))
    return {**config.get("environment_variables", {}), **stage.get("environment_variables", {})}
