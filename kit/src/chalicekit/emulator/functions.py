"""Make MiniStack's Lambda run functions as AWS's does.

This is for MiniStack 1.5.33 and depends on its internals.
"""

import sys
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from chalicekit.runtime.environment import lambda_python


def patch_lambda(folder: Path) -> None:
    """Change MiniStack's Lambda before it serves. `folder` is for the functions' Python.

    A function runs in the environment that Lambda gives it. If it fails to start, its log says why.
    A deployed function is ready at once: while it is pending, botocore's waiters sleep for 5 and 10
    seconds.
    """
    runtime_binary = lambda_runtime._detect_runtime_binary
    invoke = lambda_runtime.Worker.invoke
    python = str(lambda_python(folder))

    def lambda_binary(runtime: str) -> tuple[str, str]:
        binary, worker_script = runtime_binary(runtime)
        return (
            python if binary == sys.executable else binary,
            worker_script.replace('"error": str(e)}', '"error": traceback.format_exc(limit=-1)}'),
        )

    def invoke_or_report(worker: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return invoke(worker, *arguments, **options)
        except RuntimeError as error:  # the worker did not start
            lambda_runtime.kill_workers([worker])
            return {"status": "error", "error": str(error)}

    lambda_svc._LAMBDA_STATE_TRANSITION_DELAY = 0
    lambda_runtime._detect_runtime_binary = lambda_binary
    lambda_runtime.Worker.invoke = invoke_or_report
