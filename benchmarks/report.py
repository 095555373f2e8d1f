"""Make the page and the picture from results.json: `python -m benchmarks.report`."""

import json
import math
import random
import re
import statistics
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

HERE = Path(__file__).parent
FLOOR = "no framework"
BARE = "Chalice by itself"
BARE_PLAIN = "Chalice by itself, with Python's own bytecode"
OURS = "this service"
PLAIN = "this service, by `chalice package` only"
GROWN = "this service with `requests`"
GROWN_PLAIN = "this service with `requests`, by `chalice package` only"
EXPRESS, BUNDLED = "Express, serverless-http", "Express, serverless-http, bundled"
PYTHON_PEERS = {
    "powertools": "AWS Lambda Powertools",
    "flask": "Flask, apig-wsgi",
    "fastapi": "FastAPI, Mangum",
}
PICTURE = (FLOOR, BARE, OURS, PLAIN, BUNDLED, *PYTHON_PEERS.values())
COLUMNS = (  # of the table: the figure, its unit, whether its ratio stands before it
    ("first_ms", "ms", True),
    ("init_ms", "ms", False),
    ("warm_processor_us", "µs", True),
    ("warm_us", "µs", False),
    ("memory_mb", "MB", False),
    ("package_kb", "kB", False),
)
HEAD = """\
| | cold start, ratio to baseline | first response | INIT | warm, ratio to baseline \
| processor time | round trip | peak memory | package |
|---|---|---|---|---|---|---|---|---|
"""


class Ratio(NamedTuple):
    """How many times as large as another row's figures those of a row are."""

    value: float
    rounded: str
    with_interval: str

    def __str__(self) -> str:
        """Return it as it is quoted."""
        return self.rounded


def compare(figures: list[float], others: list[float]) -> Ratio:
    """Return how many times as large as `others` the figures of a row are, round by round.

    What slows a round down slows both sides. The value is the median; its 95 % confidence interval
    is by bootstrap, and allows as many decimals as are sure and one more.
    """
    ratios = [figure / other for figure, other in zip(figures, others, strict=True)]
    chance = random.Random(0)  # the same data make the same page
    samples = (chance.choices(ratios, k=len(ratios)) for _ in range(1000))
    medians = sorted(statistics.median(sample) for sample in samples)
    value, low, high = statistics.median(ratios), medians[25], medians[-26]
    decimals = max(-math.floor(math.log10(max(high - low, 0.01))), 0)
    rounded, lowest, highest = (f"{number:.{decimals}f}" for number in (value, low, high))
    noise = ", noise" if low <= 1 <= high else ""
    interval = f" ({lowest}-{highest}{noise})" if low < high else ""
    return Ratio(value, rounded, rounded + interval)


class Results:
    """What was measured: the figures of each row, by the row's name."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.figures: dict[str, dict[str, list[float]]] = data["figures"]

    def ratio(self, name: str, figure: str = "first_ms", to: str = FLOOR) -> Ratio:
        """Return how many times that of the row `to` a figure is."""
        return compare(self.figures[name][figure], self.figures[to][figure])

    def median(self, name: str, figure: str = "first_ms") -> float:
        """Return the median of all rounds."""
        return statistics.median(self.figures[name][figure])

    def row(self, name: str) -> str:
        """Return a row of the table."""
        if name not in self.figures:
            return f"| {name} | not measured: node or npm is missing |"
        cells = [name]
        for figure, unit, has_ratio in COLUMNS:
            value = self.median(name, figure)
            if has_ratio:
                cells.append(self.ratio(name, figure).with_interval if value else "not known")
            cells.append(f"{value:,.0f} {unit}" if value else "not known")
        return f"| {' | '.join(cells)} |"


def page(results: Results) -> str:
    """Return the page: the template, filled in."""
    names = sorted(results.figures, key=lambda name: results.ratio(name).value)
    names += [name for name in (BUNDLED, EXPRESS) if name not in names]
    versions = sorted(results.data["versions"].items())
    milliseconds = {name: f"{results.median(name):.0f}" for name in results.figures}
    known = results.median(FLOOR, "first_processor_ms")  # 0 on systems that are not Linux
    template = Template((HERE / "results.template.md").read_text(encoding="utf-8"))
    return template.substitute(
        results.data,
        table=HEAD + "\n".join(results.row(name) for name in names),
        versions=", ".join(f"{name} {version}" for name, version in versions),
        ours=results.ratio(OURS),
        plain=results.ratio(PLAIN),
        bare=results.ratio(BARE),
        bare_ms=milliseconds[BARE],
        bare_plain_ms=milliseconds[BARE_PLAIN],
        ours_processor=results.ratio(OURS, "first_processor_ms")
        if known
        else "an unknown number of",
        ours_ms=milliseconds[OURS],
        plain_ms=milliseconds[PLAIN],
        grown_ms=milliseconds[GROWN],
        grown_plain_ms=milliseconds[GROWN_PLAIN],
        gain=results.ratio(PLAIN, to=OURS).with_interval,
        added=f"{results.median(OURS) - results.median(FLOOR):.0f}",
    )


def picture(results: Results) -> str:
    """Return the ratios of the main rows as an SVG, for light and dark pages."""
    names = sorted(
        (name for name in PICTURE if name in results.figures),
        key=lambda name: results.ratio(name).value,
    )
    left, width, height = 290, 195, 28
    unit = width / max(results.ratio(name).value for name in names)
    marks = []
    for number, name in enumerate(names):
        y = 44 + number * height
        ratio = results.ratio(name)
        length = ratio.value * unit
        kind = ' class="ours"' if name == OURS else ""
        memory = results.median(name, "memory_mb")
        columns = (
            (670, f"{memory:.0f} MB" if memory else "not known"),
            (790, f"{results.median(name, 'package_kb'):,.0f} kB"),
        )
        marks += [
            f"<g{kind}>",
            f'<text x="{left - 10}" y="{y + 15}" text-anchor="end">{name.replace("`", "")}</text>',
            f'<rect x="{left}" y="{y}" width="{length:.0f}" height="20"/>',
            f'<text x="{left + length + 6:.0f}" y="{y + 15}">{ratio.with_interval}</text>',
            *(f'<text x="{x}" y="{y + 15}" text-anchor="end">{cell}</text>' for x, cell in columns),
            "</g>",
        ]
    bottom = 44 + len(names) * height
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 {bottom + 26}" font-size="14" \
font-family="system-ui, sans-serif">
<title>Cold start to the first response, as a ratio to no framework</title>
<style>
text {{ fill: #24292f }} rect {{ fill: #8c959f }} .ours rect {{ fill: #1a7f37 }}
.ours text {{ font-weight: bold }} line {{ stroke: #cf222e; stroke-dasharray: 4 3 }}
.head {{ font-size: 12px; fill: #57606a }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3 }} rect {{ fill: #6e7681 }} .ours rect {{ fill: #3fb950 }}
line {{ stroke: #ff7b72 }} .head {{ fill: #9198a1 }} }}
</style>
<text class="head" x="{left}" y="28">cold start: time to the first response</text>
<text class="head" x="670" y="28" text-anchor="end">memory</text>
<text class="head" x="790" y="28" text-anchor="end">package</text>
{chr(10).join(marks)}
<line x1="{left + unit:.0f}" x2="{left + unit:.0f}" y1="38" y2="{bottom}"/>
<text class="head" x="{left + unit:.0f}" y="{bottom + 16}" text-anchor="middle">the baseline</text>
</svg>
"""


def write(data: dict[str, Any]) -> None:
    """Write the data, the page and the picture: all of them, or none."""
    results = Results(data)
    rows = re.sub(r"\[[^]]*]", lambda row: " ".join(row[0].split()), json.dumps(data, indent=1))
    files = {
        "results.json": f"{rows}\n",
        "results.md": page(results),
        "results.svg": picture(results),
    }
    for name, text in files.items():
        (HERE / f"{name}.new").write_text(text, encoding="utf-8")
    for name in files:
        (HERE / f"{name}.new").replace(HERE / name)
    print(files["results.md"])


if __name__ == "__main__":
    write(json.loads((HERE / "results.json").read_text()))
