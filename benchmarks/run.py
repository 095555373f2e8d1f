"""`make bench`: cold start, warm invocation, memory and size, side by side with the alternatives.

Each is booted as Lambda does it, the Python ones by AWS's own runtime client, in rounds of mixed
order; as on Lambda, it has one processor and who asks another, where the machine has two. The
medians go to results.md, with their spread, and to results.svg.
"""

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from emulated.events import proxy_event
from emulated.lambda_environment import lambda_python
from emulated.runtime_api import Function, booted, booted_python
from tools.package import PROJECT, add_bytecode

HERE = Path(__file__).parent
ROUNDS, WARM = 24, 300
SETTINGS = (".chalice/config.json", ".chalice/policy-dev.json")
FLOOR = "no framework"
OURS = "this service"
NODE, NO_NODE = "Express, serverless-http (Node)", "not measured: node or npm is missing"
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@dataclass
class Candidate:
    """Something that answers the two routes, and what was measured of it."""

    boot: Callable[[], AbstractContextManager[Function]]
    size: int
    first: list[float] = field(default_factory=list)  # ms, to the first answer
    init: list[float] = field(default_factory=list)  # ms
    warm: list[float] = field(default_factory=list)  # ms, the median of a round
    memory: list[float] = field(default_factory=list)  # MB

    def measure(self, keep: bool) -> None:
        """Boot it, ask for both routes and, if it is to be kept, add what that took."""
        with self.boot() as function:
            stay(function.process_id, -1)
            check(function, "/", "hello world")
            answered = time.perf_counter()
            check(function, "/test", "test")
            event = proxy_event("/")
            times = []
            for _ in range(WARM):
                start = time.perf_counter()
                function.invoke(event)
                times.append((time.perf_counter() - start) * 1000)
            if keep:
                assert function.ready
                self.first.append((answered - function.started) * 1000)
                self.init.append((function.ready - function.started) * 1000)
                self.warm.append(statistics.median(times))
                self.memory.append(peak_memory(function.process_id))


def stay(process_id: int, number: int) -> None:
    """Keep a process, 0 for this one, on one of the cores, where the system can do that."""
    if CORES:
        os.sched_setaffinity(process_id, {CORES[number]})


def check(function: Function, path: str, text: str) -> None:
    """Let nothing be timed that does not answer as it should."""
    kind, answer = function.invoke(proxy_event(path))
    headers = answer.get("headers") or {}
    headers |= {name: it[0] for name, it in (answer.get("multiValueHeaders") or {}).items()}
    content_type = {name.lower(): value for name, value in headers.items()}.get("content-type", "")
    seen = (kind, answer["statusCode"], answer["body"], content_type.lower().split(";")[0])
    assert seen == ("response", 200, text, "text/html"), seen


def peak_memory(process_id: int) -> float:
    """Return the most memory that a running process ever held, in MB; 0 where it cannot be told."""
    status = Path(f"/proc/{process_id}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0)


def zip_size(folder: Path) -> int:
    """Return how large a deployment package of `folder` is, in bytes."""
    archive = Path(shutil.make_archive(str(folder), "zip", folder))
    size = archive.stat().st_size
    archive.unlink()
    return size


def unpack(package: Path, folder: Path) -> Path:
    """Return `folder` with what is in the deployment package."""
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)
    return folder


def run(*command: str, cwd: Path = PROJECT) -> None:
    """Run a command that sets something up; end with what it said if it fails."""
    environment = {"AWS_DEFAULT_REGION": "us-east-1"} | os.environ
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # few have it, and it alters the package
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def set_up(folder: Path) -> dict[str, Candidate]:
    """Build every candidate under `folder`."""
    python_of_lambda = lambda_python(folder / "python")
    candidates: dict[str, Candidate] = {}

    def python(name: str, code: Path, handler: str) -> None:
        candidates[name] = Candidate(
            lambda: booted_python(code, python_of_lambda, handler, log=subprocess.DEVNULL),
            zip_size(code),
        )

    def peer(name: str, files: str) -> None:
        print(f"Setting up {name}", flush=True)
        code = shutil.copytree(HERE / "peers" / files, folder / files)
        if (code / "requirements.txt").exists():
            pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
            run(*pip, "--no-compile", "--target", ".", "-r", "requirements.txt", cwd=code)
        python(name, code, "app.handler")

    print(f"Setting up {OURS}", flush=True)
    package = [sys.executable, "-m", "tools.package", str(folder / "records"), "package", "prod"]
    run(*package, str(folder / "ours"))
    python(OURS, unpack(folder / "ours" / "deployment.zip", folder / "ours-code"), "app.app")

    quiet = shutil.copytree(folder / "ours-code", folder / "quiet")
    lines = (quiet / "app.py").read_text().splitlines(keepends=True)
    (quiet / "app.py").write_text("".join(line for line in lines if "log_invocation" not in line))
    add_bytecode({"app.py": quiet / "app.py"}, quiet)
    python("this service, without its log", quiet, "app.app")

    print("Setting up this service, by chalice package alone", flush=True)
    plain = folder / "plain"
    for name in ("app.py", "requirements.txt", "chalicelib", *SETTINGS):
        (plain / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, plain / name)
    shutil.rmtree(plain / "chalicelib" / "__pycache__", ignore_errors=True)
    chalice = str(Path(sys.executable).with_name("chalice"))
    run(chalice, "package", str(folder / "plain-out"), cwd=plain)
    plain_code = unpack(folder / "plain-out" / "deployment.zip", folder / "plain-code")
    python("this service, by chalice package alone", plain_code, "app.app")

    peer(FLOOR, "floor")
    peer("AWS Lambda Powertools", "powertools")
    peer("Flask, apig-wsgi", "flask")
    peer("FastAPI, Mangum", "fastapi")

    if shutil.which("node") and shutil.which("npm"):
        print(f"Setting up {NODE}", flush=True)
        code = shutil.copytree(HERE / "peers" / "express", folder / "express")
        run("npm", "install", "--omit=dev", "--silent", "--no-audit", "--no-fund", cwd=code)
        node = [str(shutil.which("node")), "runtime.js"]
        candidates[NODE] = Candidate(
            lambda: booted(code, node, {"NODE_ENV": "production"}, subprocess.DEVNULL),
            zip_size(code),
        )
    return candidates


def table(candidates: dict[str, Candidate]) -> str:
    """Return all figures in Markdown: medians, fastest and slowest round."""

    def cell(figures: list[float], unit: str, digits: int) -> str:
        low, middle, high = (
            f"{it:.{digits}f}" for it in (min(figures), statistics.median(figures), max(figures))
        )
        return f"{middle} {unit} ({low}-{high})" if high != "0" else "not known"

    rows = [
        f"| {name} | {ratio(it.first, candidates[FLOOR].first):.2f} | {cell(it.first, 'ms', 1)} "
        f"| {cell(it.init, 'ms', 1)} | {ratio(it.warm, candidates[FLOOR].warm):.2f} "
        f"| {cell([1000 * ms for ms in it.warm], 'µs', 0)} | {cell(it.memory, 'MB', 1)} "
        f"| {it.size / 1000:.1f} kB |"
        for name, it in candidates.items()
    ]
    if NODE not in candidates:
        rows.append(f"| {NODE} | {NO_NODE} |")
    python = sys.version.split()[0]
    return f"""\
Written by `make bench`: {ROUNDS} rounds in mixed order, Python {python}. Medians, with the fastest
and slowest round; "warm" is the median of {WARM} invocations. Of two processors the function has
one and who calls it the other, as on Lambda. The times are this machine's; quote the ratios. The
peers are packed as their tools pack them, without bytecode, as is the service by `chalice package`
alone.

| | first answer, ratio | first answer | INIT | warm, ratio | warm | peak memory | package |
|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}
"""


def ratio(figures: list[float], floor: list[float]) -> float:
    """Return how many times the floor's median the median is."""
    return statistics.median(figures) / statistics.median(floor)


def picture(candidates: dict[str, Candidate]) -> str:
    """Return the ratios as an SVG, for light and dark pages, with the floor marked."""
    left, width, row = 300, 300, 30
    widest = max(ratio(it.first, candidates[FLOOR].first) for it in candidates.values())
    unit = width / widest
    parts = []
    for number, (name, it) in enumerate(candidates.items()):
        y = 50 + number * row
        first = ratio(it.first, candidates[FLOOR].first)
        figures = (
            (left + width + 125, f"{ratio(it.warm, candidates[FLOOR].warm):.2f} x"),
            (left + width + 215, f"{statistics.median(it.memory):.0f} MB"),
            (left + width + 305, f"{it.size / 1000:,.0f} kB"),
        )
        bold = ' class="ours"' if name == OURS else ""
        parts += [
            f'<g{bold}><text x="{left - 10}" y="{y + 15}" text-anchor="end">{name}</text>',
            f'<rect x="{left}" y="{y}" width="{first * unit:.0f}" height="20"/>',
            f'<text x="{left + first * unit + 6:.0f}" y="{y + 15}">{first:.2f} x</text>',
            *(f'<text x="{x}" y="{y + 15}" text-anchor="end">{text}</text>' for x, text in figures),
            "</g>",
        ]
    bottom = 50 + len(candidates) * row
    if NODE not in candidates:
        parts += [f'<text x="{left - 10}" y="{bottom + 15}" text-anchor="end">{NODE}</text>']
        parts += [f'<text x="{left}" y="{bottom + 15}">{NO_NODE}</text>']
        bottom += row
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 315} {bottom + 30}" \
font-family="system-ui, sans-serif" font-size="14">
<title>Time to the first answer of a cold start, as a ratio to no framework</title>
<style>
text {{ fill: #24292f }} rect {{ fill: #8c959f }} .ours rect {{ fill: #1a7f37 }}
.ours text {{ font-weight: bold }} line {{ stroke: #cf222e; stroke-dasharray: 4 3 }}
.head {{ font-size: 12px; fill: #57606a }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3 }} rect {{ fill: #6e7681 }} .ours rect {{ fill: #3fb950 }}
line {{ stroke: #ff7b72 }} .head {{ fill: #9198a1 }} }}
</style>
<text class="head" x="{left}" y="30">cold start: time to the first answer</text>
<text class="head" x="{left + width + 125}" y="30" text-anchor="end">warm</text>
<text class="head" x="{left + width + 215}" y="30" text-anchor="end">memory</text>
<text class="head" x="{left + width + 305}" y="30" text-anchor="end">package</text>
{chr(10).join(parts)}
<line x1="{left + unit:.0f}" x2="{left + unit:.0f}" y1="42" y2="{bottom}"/>
<text class="head" x="{left + unit:.0f}" y="{bottom + 18}" text-anchor="middle">the floor</text>
</svg>
"""


def main() -> None:
    """Measure all candidates and write the results."""
    stay(0, 0)
    with tempfile.TemporaryDirectory(prefix="hello-chalice-bench-") as folder:
        candidates = set_up(Path(folder))
        for number in range(ROUNDS + 1):
            print(f"\rRound {number} of {ROUNDS}", end="", flush=True)
            for name in random.sample(list(candidates), len(candidates)):
                candidates[name].measure(keep=number > 0)  # the first warms the disk up
        print()
    order = sorted(candidates.items(), key=lambda item: statistics.median(item[1].first))
    candidates = dict(order)
    (HERE / "results.md").write_text(table(candidates))
    (HERE / "results.svg").write_text(picture(candidates))
    print((HERE / "results.md").read_text())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped: nothing was measured to its end, nothing is written.")
