"""The package of prod, for the tests of the stack and of the pipeline."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the package, as `make package STAGE=prod` writes it."""
    folder, build = tmp_path_factory.mktemp("prod"), str(tmp_path_factory.mktemp("build"))
    kit = [sys.executable, "-m", "chalicekit", "--project-dir", str(PROJECT), "--build-dir", build]
    merged = ["--merge-template", str(PROJECT / "production" / "template.json")]
    subprocess.run([*kit, "package", "--stage", "prod", *merged, str(folder)], check=True)
    return folder
