"""Functions in the emulated AWS: how they start, what they find, what ends them."""

import io
import json
import os
import re
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicekit.runtime.environment import VERSION
from tests.emulated import client, invoke, log_of, make_function, make_role
from tests.processes import wait_until

MB = 1024 * 1024


def run(aws: str, code: str, **settings: Any) -> Any:
    """Run the body of a handler once; return what it returns, or its error."""
    lines = "\n".join(f"    {line}" for line in code.splitlines())
    function = make_function(aws, f"import os\ndef handler(event, context):\n{lines}", **settings)
    return invoke(aws, function, None)


def test_a_function_has_lambda_s_context(aws: str) -> None:
    fields = "function_name", "function_version", "memory_limit_in_mb", "log_group_name"
    code = f"return [getattr(context, name) for name in {fields}]"
    name, version, memory, group = run(aws, code, MemorySize=256)
    assert (version, memory, group) == ("$LATEST", "256", f"/aws/lambda/{name}")


def test_a_function_has_its_own_variables(aws: str) -> None:
    variables = {"TABLE": "things", "LANG": "C"}
    code = "return [os.environ[name] for name in ('TABLE', 'LANG')]"
    assert run(aws, code, Environment={"Variables": variables}) == ["things", "C"]


def test_a_process_serves_many_events(aws: str) -> None:
    function = make_function(aws, "import os\ndef handler(*_): print('once'); return os.getpid()")
    assert len({invoke(aws, function, {}) for _ in range(5)}) == 1
    assert log_of(aws, function).count("once") == 5


def test_a_function_whose_process_ends_between_two_events_gets_another(aws: str) -> None:
    code = "import os, threading\n"
    code += "def handler(*_): threading.Timer(0.1, os._exit, [0]).start(); return os.getpid()"
    function = make_function(aws, code)
    first = invoke(aws, function, None)
    wait_until(lambda: has_ended(first))
    assert isinstance(invoke(aws, function, None), int)


def test_deleting_a_running_function_ends_it(aws: str) -> None:
    function = make_function(aws, "import time\ndef handler(*_): time.sleep(50)")
    with ThreadPoolExecutor() as pool:
        error = pool.submit(invoke, aws, function, None)
        time.sleep(1)  # until it runs
        client(aws, "lambda").delete_function(FunctionName=function)
        assert error.result(timeout=20)["errorType"] == "Runtime.ExitError"


def has_ended(process: int) -> bool:
    """Tell whether a process has ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


CALLS_ITSELF = """
import boto3, json, os
def handler(event, context):
    if event == 0:
        return [os.getpid()]
    payload = boto3.client("lambda").invoke(
        FunctionName=context.function_name, Payload=json.dumps(event - 1)
    )["Payload"]
    return [os.getpid()] + json.load(payload)
"""


def test_concurrent_events_have_processes_of_their_own(aws: str) -> None:
    role = make_role(aws, {"Action": "lambda:InvokeFunction", "Resource": "*"})
    assert len(set(invoke(aws, make_function(aws, CALLS_ITSELF, role), 2))) == 3


def test_a_function_is_ready_as_soon_as_it_is_updated(aws: str) -> None:
    functions, name = client(aws, "lambda"), make_function(aws, "")
    functions.update_function_configuration(FunctionName=name, Timeout=9)
    function = functions.get_function_configuration(FunctionName=name)
    assert (function["State"], function["LastUpdateStatus"]) == ("Active", "Successful")


def test_a_layer_is_beside_the_code(aws: str) -> None:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("python/layered.py", "A = 1")
        archive.writestr(f"python/lib/{VERSION}/site-packages/deep.py", "B = 2")
    layer = client(aws, "lambda").publish_layer_version(
        LayerName="layer", Content={"ZipFile": package.getvalue()}
    )
    code = "import layered, deep; return layered.A + deep.B"
    assert run(aws, code, Layers=[layer["LayerVersionArn"]]) == 3


LOGS = """
import logging, os
logging.getLogger().setLevel("INFO")
logging.info("starts")
def handler(event, context):
    logging.info("handles %s", event)
    logging.getLogger("other").warning("warns")
    print("prints")
    os.system("echo runs")
"""


def test_a_log_has_all_lines_in_aws_s_format_and_in_order(aws: str) -> None:
    function = make_function(aws, LOGS)
    invoke(aws, function, 1)
    lines = log_of(aws, function).splitlines()
    assert [re.split(r"\s", line)[0] for line in lines] == [
        "START", "[INFO]", "[INFO]", "[WARNING]", "prints", "runs", "END", "REPORT",
    ]  # fmt: skip
    request_id = lines[0].split()[2]
    assert re.fullmatch(rf"\[INFO\]\t\S+Z\t{request_id}\thandles 1", lines[2])


def test_a_log_can_be_json(aws: str) -> None:
    function = make_function(aws, LOGS, LoggingConfig={"LogFormat": "JSON"})
    invoke(aws, function, 1)
    line = next(line for line in log_of(aws, function).splitlines() if "handles" in line)
    assert json.loads(line).items() >= {"level": "INFO", "message": "handles 1"}.items()


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("import requests", "Runtime.ImportModuleError", "No module named 'requests'"),
        ("import sandbox", "Runtime.ImportModuleError", "No module named 'sandbox'"),
        ("1 / 0", "ZeroDivisionError", "division by zero"),
        ("other = 1", "Runtime.HandlerNotFound", "Handler 'handler' missing"),
        ("import os; os._exit(3)", "Runtime.ExitError", "exit status 3"),
        ("def handler(*_): raise KeyError('a')", "KeyError", "'a'"),
        ("def handler(*_): import os; os._exit(0)", "Runtime.ExitError", "without a reason"),
        ("def handler(*_): return {1, 2}", "Runtime.MarshalError", "not JSON serializable"),
    ],
)
def test_a_failure_has_aws_s_error_and_a_line_in_the_log(
    aws: str, code: str, kind: str, message: str
) -> None:
    function = make_function(aws, code)
    for _ in range(2):  # a new process starts
        error = invoke(aws, function, {})
        assert error["errorType"] == kind
        assert message in error["errorMessage"]
    assert log_of(aws, function).count(message) >= 2


def test_a_function_ends_after_its_timeout(aws: str) -> None:
    code = "import os, time\nprint('process', os.getpid())\ndef handler(*_): time.sleep(900)"
    function, message = make_function(aws, code, Timeout=1), "Task timed out after 1.00 seconds"
    for _ in range(2):
        error = invoke(aws, function, 0)
        assert error["errorType"] == "Sandbox.Timedout"
        assert message in error["errorMessage"]
    log = log_of(aws, function)
    assert log.count(message) == 2
    first, second = re.findall("process ([0-9]+)", log)
    assert has_ended(int(first))
    assert has_ended(int(second))


def test_init_does_not_count_in_the_timeout(aws: str) -> None:
    code = "import time; time.sleep(1.5)\ndef handler(*_): return 'done'"
    assert invoke(aws, make_function(aws, code, Timeout=1), None) == "done"


def test_a_payload_has_at_most_6_mb_or_1_mb_without_a_response(aws: str) -> None:
    function = make_function(aws, "def handler(event, _): return event * 2")
    error = invoke(aws, function, "x" * (3 * MB + 100))
    assert error["errorType"] == "Function.ResponseSizeTooLarge"
    assert len(invoke(aws, function, "x" * 1000)) == 2000  # by a new process
    with pytest.raises(ClientError, match="smaller than 6291456 bytes for the InvokeFunction"):
        invoke(aws, function, "x" * 6 * MB)
    with pytest.raises(ClientError, match="smaller than 1048576 bytes for the InvokeFunction"):
        client(aws, "lambda").invoke(
            FunctionName=function, InvocationType="Event", Payload=json.dumps("x" * MB)
        )


@pytest.mark.parametrize(
    "code",
    [
        "open('cache.json', 'w')",
        "open(os.path.join(os.environ['LAMBDA_TASK_ROOT'], 'x'), 'xb')",
        "os.chdir('/tmp'); open('/usr/x', 'w')",
        "os.mkdir('x')",
        "os.remove('function.py')",
        "os.rename('function.py', '/tmp/x')",
        "import tempfile; os.rename(tempfile.mkstemp()[1], 'x')",
        "os.truncate('function.py', 0)",
        "os.symlink('/tmp', 'x')",
        "os.chmod('function.py', 0o777)",
        "os.utime('function.py')",
        "link = f'/tmp/{os.getpid()}'; os.symlink(os.getcwd(), link); open(link + '/x', 'w')",
    ],
)
def test_the_disk_is_read_only_for_every_user(aws: str, code: str) -> None:
    error = run(aws, code)
    assert error["errorType"] == "OSError"
    assert error["errorMessage"].startswith("[Errno 30] Read-only file system: ")


@pytest.mark.parametrize(
    "code",
    [
        "path = '/tmp/' + str(os.getpid()); open(path, 'w').close(); os.remove(path)",
        "import tempfile; tempfile.TemporaryFile().write(b'text')",
        "import tempfile\nwith tempfile.TemporaryDirectory() as folder: os.mkdir(folder + '/a')",
        "open('/dev/null', 'w').write('text')",
        "open('function.py').read()",
    ],
)
def test_temporary_files_can_be_written(aws: str, code: str) -> None:
    assert run(aws, code + "\nreturn 'done'") == "done"


def test_a_function_has_a_temporary_folder_of_its_own(aws: str) -> None:
    code = "import tempfile; return tempfile.gettempdir()"
    assert run(aws, code) != run(aws, code)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("open('nothing/x', 'w')", "FileNotFoundError"),
        ("import sqlite3; sqlite3.connect('x.db')", "OperationalError"),
        ("import subprocess; subprocess.run(['touch', 'x'], check=True)", "CalledProcessError"),
        ("os.mkfifo('x')", "PermissionError"),
    ],
)
def test_other_errors_of_the_disk_are_lambda_s(aws: str, code: str, error: str) -> None:
    assert run(aws, code)["errorType"] == error


def test_no_file_of_the_code_has_a_mode_for_writing(aws: str) -> None:
    modes = run(aws, "return [os.stat(path).st_mode for path in ('.', 'function.py')]")
    assert not any(mode & 0o222 for mode in modes)


@pytest.mark.parametrize(
    ("client_of", "call"),
    [
        ("'sqs', endpoint_url='https://sqs.us-east-1.amazonaws.com'", "list_queues()"),
        ("'s3', endpoint_url='https://s3.eu-west-1.amazonaws.com'", "list_buckets()"),
        (
            "'s3', endpoint_url='https://s3.us-east-1.amazonaws.com', config=VIRTUAL",
            "get_object(Bucket='redirected', Key='a')",
        ),
    ],
)
def test_boto3_never_reaches_aws(aws: str, client_of: str, call: str) -> None:
    client(aws, "s3").create_bucket(Bucket="redirected")
    client(aws, "s3").put_object(Bucket="redirected", Key="a", Body="text")
    anything = make_role(aws, {"Action": "*", "Resource": "*"})
    code = "import boto3; from botocore.config import Config\n"
    code += "VIRTUAL = Config(s3={'addressing_style': 'virtual'})\n"
    code += f"return boto3.client({client_of}).{call}['ResponseMetadata']['HTTPStatusCode']"
    assert run(aws, code, role=anything) == 200


def test_other_clients_do_not_find_aws(aws: str) -> None:
    code = "import urllib.request; urllib.request.urlopen('https://sqs.us-east-1.amazonaws.com')"
    assert "The emulated AWS does not let a function reach AWS" in run(aws, code)["errorMessage"]
