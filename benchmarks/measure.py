"""`make bench`: measure cold start, warm invocation, memory and size beside the alternatives.

Each candidate is booted as Lambda boots it, the Python ones by AWS's own runtime client, in rounds
of mixed order. The figures of every round go to results.json; `report.py` makes the page and the
picture from them.
"""

import importlib.metadata
import json
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from benchmarks import report
from chalicekit.runtime.api import Function, booted
from chalicekit.runtime.environment import lambda_python
from chalicekit.runtime.events import proxy_event

HERE = Path(__file__).parent
PEERS = HERE / "peers"
KIT, CHALICE = (str(Path(sys.executable).with_name(name)) for name in ("chalicekit", "chalice"))
ROUNDS, INVOCATIONS = 30, 200
RESPONSES = {"/": "hello world", "/test": "test"}


class Candidate(NamedTuple):
    """What has the two routes: its deployment package, unpacked, and what starts it there."""

    name: str
    code: Path
    command: list[str]


Figures = dict[str, list[float]]


def main() -> None:
    """Measure all candidates; write the figures, the page and the picture."""
    if sys.platform != "linux":
        sys.exit("The benchmark needs Linux: other systems do not say what another process used.")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        figures = measure_in_rounds(set_up(Path(folder)))
    report.write(
        {
            "date": date.today().isoformat(),
            "python": platform.python_version(),
            "machine": f"{platform.system()}, {platform.machine()}, {os.cpu_count()} processors",
            "rounds": ROUNDS,
            "invocations": INVOCATIONS,
            "versions": versions(),
            "figures": figures,
        }
    )


# Set-up


def set_up(folder: Path) -> list[Candidate]:
    """Package every candidate under `folder`, as the page says that it is packaged."""
    python = lambda_python(folder / "python")
    run(python, "-c", "import awslambdaric.bootstrap", folder=folder)  # writes its bytecode
    client = [str(python), "-m", "awslambdaric"]
    candidates = []
    for candidate in chain(
        floor(folder, client),
        bare_chalice(folder, client),
        this_service(folder, client),
        this_service_with_requests(folder, client),
        python_peers(folder, client),
        express(folder),
    ):
        print(f"Packaged {candidate.name}", flush=True)
        candidates.append(candidate)
    return candidates


def floor(folder: Path, client: list[str]) -> Iterator[Candidate]:
    """Package a handler without a framework."""
    code = shutil.copytree(PEERS / "floor", folder / "floor")
    yield Candidate(report.FLOOR, with_bytecode(code), [*client, "app.handler"])


def bare_chalice(folder: Path, client: list[str]) -> Iterator[Candidate]:
    """Package Chalice without the code of this service."""
    copy = copy_project(PEERS / "chalice", folder / "chalice")
    yield Candidate(report.BARE, packaged(KIT, copy), [*client, "app.app"])
    plain = with_bytecode(packaged(CHALICE, copy))
    yield Candidate(report.BARE_PLAIN, plain, [*client, "app.app"])


def this_service(folder: Path, client: list[str]) -> Iterator[Candidate]:
    """Package this service."""
    copy = copy_project(HERE.parent, folder / "ours")
    yield Candidate(report.OURS, packaged(KIT, copy), [*client, "app.app"])
    yield Candidate(report.PLAIN, packaged(CHALICE, copy), [*client, "app.app"])


def this_service_with_requests(folder: Path, client: list[str]) -> Iterator[Candidate]:
    """Package this service as if it imported `requests`."""
    copy = copy_project(HERE.parent, folder / "grown")
    requirement = f"requests=={importlib.metadata.version('requests')}"
    (copy / "requirements.txt").write_text(requirement)
    with (copy / "app.py").open("a") as app:
        app.write("\nimport requests\n")
    yield Candidate(report.GROWN, packaged(KIT, copy), [*client, "app.app"])
    yield Candidate(report.GROWN_PLAIN, packaged(CHALICE, copy), [*client, "app.app"])


def python_peers(folder: Path, client: list[str]) -> Iterator[Candidate]:
    """Package the other Python frameworks."""
    for peer, name in report.PYTHON_PEERS.items():
        code = shutil.copytree(PEERS / peer, folder / peer)
        pip = [sys.executable, "-m", "pip", "install", "--no-compile"]  # as SAM unpacks wheels
        run(*pip, "--target", code, "--requirement", "requirements.txt", folder=code)
        yield Candidate(name, code, [*client, "app.handler"])
        yield Candidate(f"{name}, with bytecode", with_bytecode(code), [*client, "app.handler"])


def express(folder: Path) -> Iterator[Candidate]:
    """Package Express, if there is a Node.js."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return
    code = shutil.copytree(PEERS / "express", folder / "express")
    bundle = folder / "bundle"
    esbuild = ["esbuild", "app.js", "--bundle", "--minify", "--platform=node"]
    run(npm, "install", "--no-audit", "--no-fund", folder=code)
    run("npx", *esbuild, f"--outfile={bundle / 'app.js'}", folder=code)
    run(npm, "prune", "--omit=dev", folder=code)
    shutil.copy(code / "runtime.js", bundle)
    yield Candidate(report.EXPRESS, code, [node, "runtime.js"])
    yield Candidate(report.BUNDLED, bundle, [node, "runtime.js"])


def copy_project(source: Path, folder: Path) -> Path:
    """Copy a Chalice project to `folder`, with this machine's processor for its packages."""
    ignored = shutil.ignore_patterns("__pycache__", "deployed")
    for name in (".chalice", "chalicelib"):
        if (source / name).exists():
            shutil.copytree(source / name, folder / name, ignore=ignored)
    for name in ("app.py", "requirements.txt"):
        if (source / name).exists():
            shutil.copy(source / name, folder)
    settings = folder / ".chalice" / "config.json"
    arm = platform.machine() in ("arm64", "aarch64")
    architecture = {"lambda_architecture": "arm64" if arm else "x86_64"}
    settings.write_text(json.dumps(json.loads(settings.read_text()) | architecture))
    return folder


def packaged(tool: str, folder: Path) -> Path:
    """Package the project in `folder` with KIT or CHALICE; return a folder with what is in it."""
    code = folder / Path(tool).name
    run(tool, "package", "--stage", "prod", "packaged", folder=folder)
    shutil.unpack_archive(folder / "packaged" / "deployment.zip", code)
    return code


def with_bytecode(code: Path) -> Path:
    """Return a copy of `code` with bytecode that Python checks by the hash of the source."""
    copy = shutil.copytree(code, code.with_name(f"{code.name}-bytecode"))
    compile_all = ("-m", "compileall", "-q", "--invalidation-mode", "checked-hash")
    subprocess.run([sys.executable, *compile_all, copy])  # some packages have files for Python 2
    return copy


def run(*command: str | Path, folder: Path) -> None:
    """Run a command that sets something up in `folder`; CalledProcessError if it fails."""
    environment = {"AWS_DEFAULT_REGION": "us-east-1"} | os.environ
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # few people set it
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)


def size_kb(code: Path) -> float:
    """Return the size of a deployment package of `code`."""
    archive = Path(shutil.make_archive(str(code), "zip", code))
    return archive.stat().st_size / 1000


def versions() -> dict[str, str]:
    """Return the version of everything that is measured, by its name."""
    found = {name: importlib.metadata.version(name) for name in ("chalice", "requests")}
    for requirements in PEERS.glob("*/requirements.txt"):
        found |= dict(line.split("==") for line in requirements.read_text().split())
    if shutil.which("node"):
        package = json.loads((PEERS / "express" / "package.json").read_text())
        found |= package["dependencies"] | package["devDependencies"]
        found["Node.js"] = subprocess.check_output(["node", "--version"], text=True).strip("v\n")
    return found


# Measurement


def measure_in_rounds(candidates: list[Candidate]) -> dict[str, Figures]:
    """Measure all candidates; return the figures of every round for each name.

    This process has a core for itself, and so has the candidate that runs.
    """
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    figures: dict[str, Figures] = {candidate.name: defaultdict(list) for candidate in candidates}
    for candidate in candidates:
        figures[candidate.name]["package_kb"] = [size_kb(candidate.code)]
        measure(candidate, cores[-1])  # brings its files into memory
    for number in range(1, ROUNDS + 1):
        print(f"\rRound {number} of {ROUNDS}", end="", flush=True)
        for candidate in random.sample(candidates, len(candidates)):
            for figure, value in measure(candidate, cores[-1]).items():
                figures[candidate.name][figure].append(round(value, 3))
    print()
    return figures


def measure(candidate: Candidate, core: int) -> dict[str, float]:
    """Boot a candidate; return what its cold start and its warm invocations took."""
    production, no_log = {"NODE_ENV": "production"}, subprocess.DEVNULL
    with booted(candidate.code, candidate.command, production, no_log) as function:
        os.sched_setaffinity(function.process_id, [core])
        check(candidate.name, function, "/")
        first = time.perf_counter() - function.started
        first_processor = processor_ms(function.process_id)
        check(candidate.name, function, "/test")
        event, warm = proxy_event("/"), []
        before = processor_ms(function.process_id)
        for _ in range(INVOCATIONS):
            start = time.perf_counter()
            function.invoke(event)
            warm.append(time.perf_counter() - start)
        warm_processor = (processor_ms(function.process_id) - before) / INVOCATIONS
        return {
            "first_ms": first * 1000,
            "first_processor_ms": first_processor,
            "init_ms": ((function.ready or 0) - function.started) * 1000,
            "warm_us": statistics.median(warm) * 1e6,
            "warm_processor_us": warm_processor * 1000,
            "memory_mb": peak_memory_mb(function.process_id),
        }


def check(name: str, function: Function, path: str) -> None:
    """Ask for `path`; end the program if the response is not the one that all must give."""
    kind, response = function.invoke(proxy_event(path))
    if kind == "response":
        headers = str([response.get("headers"), response.get("multiValueHeaders")])
        found = ("text/html" in headers.lower(), response["statusCode"], response["body"])
        if found == (True, 200, RESPONSES[path]):
            return
    sys.exit(f"\n{name}: GET {path} got {kind}, {response}. Nothing is written.")


def processor_ms(process_id: int) -> float:
    """Return the processor time that a process used until now; /proc counts in steps of 10 ms.

    Python has no clock_getcpuclockid(3), which tells the clock of another process. Linux makes the
    clock's number of the process's id, inverted, and three bits for the kind of clock.
    """
    exact = 2  # CPUCLOCK_SCHED in Linux's posix-timers.h: the scheduler's own count
    clock = (~process_id << 3) | exact
    return time.clock_gettime(clock) * 1000


def peak_memory_mb(process_id: int) -> float:
    """Return the most memory that a running process ever used."""
    status = Path(f"/proc/{process_id}/status").read_text()
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes) / 1024


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error} Nothing is written.")
    except KeyboardInterrupt:
        sys.exit("\nStopped. Nothing is written.")
