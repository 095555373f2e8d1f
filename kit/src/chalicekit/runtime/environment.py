"""Lambda's environment for a function: its Python, which has boto3, and its variables.

docs.aws.amazon.com/lambda/latest/dg/lambda-python.html, configuration-envvars.html
"""

import sys
import venv
from importlib.util import find_spec
from pathlib import Path

from chalicekit.build.imports import LAMBDA_HAS

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"

VARIABLES = {
    "AWS_EXECUTION_ENV": f"AWS_Lambda_{VERSION}",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "LANG": "en_US.UTF-8",
    "TZ": ":UTC",
    "HOME": "/nonexistent",  # so there is no ~/.aws
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",  # the code folder is read-only
}


def lambda_python(folder: Path) -> Path:
    """Create a virtual environment in `folder` and return its Python.

    As on Lambda, it has only the standard library, boto3 and AWS's runtime client.
    """
    venv.create(folder, symlinks=True, with_pip=False)
    site_packages = folder / "lib" / VERSION / "site-packages"
    for name in LAMBDA_HAS:
        spec = find_spec(name)
        if spec and spec.origin:  # runtime_client exists on Linux only
            source = Path(spec.origin)
            source = source.parent if spec.submodule_search_locations else source
            (site_packages / source.name).symlink_to(source)
    return folder / "bin" / "python"
