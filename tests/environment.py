"""The environment of the tests and of what they start."""

import json
import os
from collections.abc import Mapping

from tests.processes import REPOSITORY

# What is let through. Anything else might change what is tested or where it writes: with the
# GIT_DIR of a hook, the tests' own `git add` would change the user's repository.
KEPT = ("PATH", "LANG", "TERM", "TMPDIR", "PYENV_")


def clean_environment(machine: Mapping[str, str], endpoint: str, home: str) -> dict[str, str]:
    """Return what is kept of the machine's environment, and what makes it safe.

    That is the emulated AWS at `endpoint` with made-up credentials, an empty folder as `home`, and
    the variables of your first stage.
    """
    config = json.loads((REPOSITORY / ".chalice" / "config.json").read_text(encoding="utf-8"))
    stage = next(iter(config["stages"].values()))
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
        **config.get("environment_variables", {}),
        **stage.get("environment_variables", {}),
    }
