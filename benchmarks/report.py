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
# The candidates: these are their keys in results.json, and what the page and the picture call them.
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
HEAD = """\
| | cold start, ratio to baseline | first response | INIT | warm, ratio to baseline \
| processor time | round trip | peak memory | package |
|---|---|---|---|---|---|---|---|---|
"""
ROW = """\
<g class="{kind}" transform="translate(0 {y})">
<text x="280" y="15" text-anchor="end">{name}</text>
<rect x="290" width="{length:.0f}" height="20"/>
<text x="{end:.0f}" y="15">{ratio.with_interval}</text>
<text x="670" y="15" text-anchor="end">{memory}</text>
<text x="790" y="15" text-anchor="end">{package}</text>
</g>"""
BASELINE = 10  # how long the baseline's bar is in the picture


class Ratio(NamedTuple):
    """How many times as large as the baseline's the figures of a row are."""

    value: float
    rounded: str  # as it is quoted
    with_interval: str


def compare(figures: list[float], others: list[float]) -> Ratio:
    """Return how many times as large as `others` the figures of a row are: the median.

    They are compared round by round: what slows a round down slows both sides.
    """
    ratios = [figure / other for figure, other in zip(figures, others, strict=True)]
    value, (low, high) = statistics.median(ratios), confidence_interval(ratios)
    decimals = decimals_for(low, high)
    rounded, lowest, highest = (f"{number:.{decimals}f}" for number in (value, low, high))
    noise = ", noise" if low <= 1 <= high else ""
    interval = f" ({lowest}-{highest}{noise})" if low < high else ""
    return Ratio(value, rounded, rounded + interval)


def confidence_interval(ratios: list[float]) -> tuple[float, float]:
    """Return the 95 % confidence interval of the median, by bootstrap."""
    chance = random.Random(0)  # the same data make the same page
    samples = (chance.choices(ratios, k=len(ratios)) for _ in range(1000))
    medians = sorted(statistics.median(sample) for sample in samples)
    return medians[25], medians[-26]  # without the lowest and the highest 25, which are 5 %


def decimals_for(low: float, high: float) -> int:
    """Return how many decimals of a ratio are worth showing: two at most.

    The last one is the first that the interval leaves open: one for 1.3-1.5, two for 1.13-1.16.
    """
    width = max(high - low, 0.01)
    return max(-math.floor(math.log10(width)), 0)


class Results:
    """What was measured: the figures of each row, by the row's name."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.figures: dict[str, dict[str, list[float]]] = data["figures"]

    def ratio(self, name: str, figure: str = "first_ms") -> Ratio:
        """Return how many times the baseline's a figure is."""
        return compare(self.figures[name][figure], self.figures[FLOOR][figure])

    def median(self, name: str, figure: str, unit: str) -> str:
        """Return the median of all rounds, with its unit."""
        return f"{statistics.median(self.figures[name][figure]):,.0f} {unit}"

    def by_cold_start(self) -> list[str]:
        """Return the names of the rows, the fastest first."""
        return sorted(self.figures, key=lambda name: self.ratio(name).value)


def row(results: Results, name: str) -> str:
    """Return a row of the table."""
    cells = [
        name,
        results.ratio(name).with_interval,
        results.median(name, "first_ms", "ms"),
        results.median(name, "init_ms", "ms"),
        results.ratio(name, "warm_processor_us").with_interval,
        results.median(name, "warm_processor_us", "µs"),
        results.median(name, "warm_us", "µs"),
        results.median(name, "memory_mb", "MB"),
        results.median(name, "package_kb", "kB"),
    ]
    return f"| {' | '.join(cells)} |"


def page(results: Results) -> str:
    """Return the page: the template, filled in."""
    rows = [row(results, name) for name in results.by_cold_start()]
    if EXPRESS not in results.figures:
        rows += [f"| {EXPRESS} | not measured: node or npm is missing |"]
    versions = sorted(results.data["versions"].items())
    added = statistics.median(results.figures[OURS]["first_ms"])
    added -= statistics.median(results.figures[FLOOR]["first_ms"])
    return Template((HERE / "results.template.md").read_text(encoding="utf-8")).substitute(
        results.data,
        table=HEAD + "\n".join(rows),
        versions=", ".join(f"{name} {version}" for name, version in versions),
        ours=results.ratio(OURS).rounded,
        plain=results.ratio(PLAIN).rounded,
        bare=results.ratio(BARE).rounded,
        ours_processor=results.ratio(OURS, "first_processor_ms").rounded,
        added=f"{added:.0f}",
    )


def picture(results: Results) -> str:
    """Return the ratios of the main rows as an SVG, for light and dark pages."""
    names = [name for name in results.by_cold_start() if name in PICTURE]
    rows = []
    for number, name in enumerate(names):
        length = results.ratio(name).value * BASELINE
        rows.append(
            ROW.format(
                kind="ours" if name == OURS else "other",
                y=44 + 28 * number,
                name=name.replace("`", ""),
                length=length,
                end=290 + length + 6,
                ratio=results.ratio(name),
                memory=results.median(name, "memory_mb", "MB"),
                package=results.median(name, "package_kb", "kB"),
            )
        )
    template = Template((HERE / "results.template.svg").read_text(encoding="utf-8"))
    return template.substitute(rows="\n".join(rows))


def write(data: dict[str, Any]) -> None:
    """Write the data, the page and the picture."""
    results = Results(data)
    text, drawing = page(results), picture(results)
    # A row's figures in a line, however many
    rows = re.sub(r"\[[^]]*]", lambda row: " ".join(row[0].split()), json.dumps(data, indent=1))
    (HERE / "results.json").write_text(f"{rows}\n", encoding="utf-8")
    (HERE / "results.md").write_text(text, encoding="utf-8")
    (HERE / "results.svg").write_text(drawing, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    write(json.loads((HERE / "results.json").read_text()))
