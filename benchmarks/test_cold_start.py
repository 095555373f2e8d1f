"""A cold start on Lambda: INIT runs on a whole core, the first request on the function's share."""

import subprocess
import sys
import zipfile
from pathlib import Path

from chalicekit.runtime.api import booted_python
from chalicekit.runtime.environment import lambda_python
from chalicekit.runtime.events import proxy_event

REPOSITORY = Path(__file__).parent.parent
# None and the number are there for the code that writes them as JSON: it must import nothing.
ROUTE = """
import sys

after_init = set(sys.modules)


@app.route("/imported")
def imported():
    return {"imported": sorted(sys.modules.keys() - after_init), "none": None, "number": 1.5}
"""
NOTHING_IMPORTED = '{"imported":[],"none":null,"number":1.5}'


def test_the_first_request_imports_nothing(tmp_path: Path) -> None:
    command = ["chalicekit", "--project-dir", str(REPOSITORY), "--build-dir", str(tmp_path)]
    command += ["package", str(tmp_path / "out")]
    subprocess.run([sys.executable, "-m", *command], check=True)
    with zipfile.ZipFile(tmp_path / "out" / "deployment.zip") as package:
        package.extractall(tmp_path / "task")
    with (tmp_path / "task" / "app.py").open("a") as app:
        app.write(ROUTE)
    with booted_python(tmp_path / "task", lambda_python(tmp_path / "python")) as function:
        assert function.invoke(proxy_event("/"))[1]["statusCode"] == 200
        assert function.invoke(proxy_event("/imported"))[1]["body"] == NOTHING_IMPORTED
        # The response is made after the view has looked: the next one tells what that imported.
        assert function.invoke(proxy_event("/imported"))[1]["body"] == NOTHING_IMPORTED
