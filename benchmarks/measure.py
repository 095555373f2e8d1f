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
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
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
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


class Candidate(NamedTuple):
    """What has the two routes: its deployment package, unpacked, and what starts it there."""

    name: str
    code: Path
    command: list[str]


def main() -> None:
    """Measure all candidates; write the figures, the page and the picture."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        candidates = set_up(Path(folder))
        figures = {each.name: {"package_kb": [size_kb(each.code)]} for each in candidates}
        use_core(0, 0)
        for number in range(ROUNDS + 1):
            print(f"\rRound {number} of {ROUNDS}", end="", flush=True)
            for candidate in random.sample(candidates, len(candidates)):
                for figure, value in measure(candidate).items():
                    if number:  # the first round only brings the files into memory
                        figures[candidate.name].setdefault(figure, []).append(round(value, 3))
    print()
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
    candidates = []

    def add(name: str, code: Path, *command: str) -> None:
        print(f"Packaged {name}", flush=True)
        candidates.append(Candidate(name, code, list(command)))

    python = str(lambda_python(folder / "python"))
    client = [python, "-m", "awslambdaric"]
    run(python, "-c", "import awslambdaric.bootstrap", folder=folder)  # writes its bytecode
    floor = with_bytecode(shutil.copytree(PEERS / "floor", folder / "floor"))
    add(report.FLOOR, floor, *client, "app.handler")

    bare = project(PEERS / "chalice", folder / "chalice")
    add(report.BARE, packaged(KIT, bare), *client, "app.app")
    add(report.BARE_PLAIN, with_bytecode(packaged(CHALICE, bare)), *client, "app.app")

    ours = project(HERE.parent, folder / "ours")
    add(report.OURS, packaged(KIT, ours), *client, "app.app")
    add(report.PLAIN, packaged(CHALICE, ours), *client, "app.app")

    grown = project(HERE.parent, folder / "grown")
    requests = f"requests=={importlib.metadata.version('requests')}"
    (grown / "requirements.txt").write_text(requests)
    with (grown / "app.py").open("a") as app:
        app.write("\nimport requests\n")
    add(report.GROWN, packaged(KIT, grown), *client, "app.app")
    add(report.GROWN_PLAIN, packaged(CHALICE, grown), *client, "app.app")

    for peer, name in report.PYTHON_PEERS.items():
        code = shutil.copytree(PEERS / peer, folder / peer)
        pip = [sys.executable, "-m", "pip", "install", "--no-compile"]  # as SAM unpacks wheels
        run(*pip, "--target", code, "--requirement", "requirements.txt", folder=code)
        add(name, code, *client, "app.handler")
        add(f"{name}, with bytecode", with_bytecode(code), *client, "app.handler")

    if (node := shutil.which("node")) and shutil.which("npm"):
        code = shutil.copytree(PEERS / "express", folder / "express")
        bundle = folder / "bundle"
        esbuild = ["esbuild", "app.js", "--bundle", "--minify", "--platform=node"]
        run("npm", "install", "--no-audit", "--no-fund", folder=code)
        run("npx", *esbuild, f"--outfile={bundle / 'app.js'}", folder=code)
        run("npm", "prune", "--omit=dev", folder=code)
        shutil.copy(code / "runtime.js", bundle)
        add(report.EXPRESS, code, node, "runtime.js")
        add(report.BUNDLED, bundle, node, "runtime.js")
    return candidates


def project(source: Path, folder: Path) -> Path:
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


def packaged(tool: str, project: Path) -> Path:
    """Return a folder with what `chalicekit package` or `chalice package` puts into the package."""
    code = project / Path(tool).name
    run(tool, "package", "--stage", "prod", "packaged", folder=project)
    shutil.unpack_archive(project / "packaged" / "deployment.zip", code)
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


def measure(candidate: Candidate) -> dict[str, float]:
    """Boot a candidate; return what its cold start and its warm invocations took."""
    production, no_log = {"NODE_ENV": "production"}, subprocess.DEVNULL
    with booted(candidate.code, candidate.command, production, no_log) as function:
        use_core(function.process_id, -1)
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


def use_core(process_id: int, number: int) -> None:
    """Keep a process, 0 for this one, on one of the cores, where the system can do that."""
    if CORES:
        os.sched_setaffinity(process_id, {CORES[number]})


def processor_ms(process_id: int) -> float:
    """Return the processor time that a process used until now; 0 where it is not known."""
    if sys.platform != "linux":
        return 0
    clock = ~process_id << 3 | 2  # as clock_getcpuclockid(3); /proc counts in steps of 10 ms
    return time.clock_gettime(clock) * 1000


def peak_memory_mb(process_id: int) -> float:
    """Return the most memory that a running process ever used; 0 where it is not known."""
    status = Path(f"/proc/{process_id}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error} Nothing is written.")
    except KeyboardInterrupt:
        sys.exit("\nStopped. Nothing is written.")
