"""Lambda's environment for a function: its Python, which has boto3, and its variables.

docs.aws.amazon.com/lambda/latest/dg/lambda-python.html, configuration-envvars.html
"""

import sys
import venv
from importlib.util import find_spec
from pathlib import Path

# Lambda has the standard library, boto3 with its dependencies, and AWS's runtime client.
# docs.aws.amazon.com/lambda/latest/dg/python-package.html
LAMBDA_HAS = {
    "awslambdaric",
    "boto3",
    "botocore",
    "dateutil",
    "jmespath",
    "runtime_client",
    "s3transfer",
    "simplejson",
    "six",
    "snapshot_restore_py",
    "urllib3",
}

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"

LAMBDA_VARIABLES = {
    "AWS_EXECUTION_ENV": f"AWS_Lambda_{VERSION}",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "LANG": "en_US.UTF-8",
    "TZ": ":UTC",
    "HOME": "/nonexistent",  # so there is no ~/.aws
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",  # the code folder is read-only
}

# Only Lambda sets these: docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
RESERVED_VARIABLES = {
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
}


def function_variables(name: str, code: Path) -> dict[str, str]:
    """Return the variables of the function `name`, whose code is in the folder `code`."""
    return LAMBDA_VARIABLES | {
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]0",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": str(code),
    }


def lambda_python(folder: Path) -> Path:
    """Create a virtual environment in `folder` and return its Python.

    As on Lambda, it has only the standard library, boto3 and AWS's runtime client.
    """
    venv.create(folder, symlinks=True, with_pip=False)
    site_packages = folder / "lib" / VERSION / "site-packages"
    for name in LAMBDA_HAS:
        spec = find_spec(name)
        if spec and spec.origin:
            source = Path(spec.origin)
            source = source.parent if spec.submodule_search_locations else source
            (site_packages / source.name).symlink_to(source)
    if not find_spec("runtime_client"):  # AWS has it for Linux only
        (site_packages / "runtime_client.py").symlink_to(Path(__file__).with_name("client.py"))
    return folder / "bin" / "python"
