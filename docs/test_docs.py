"""What the documents say."""

import json
import re
from pathlib import Path

import pytest
from chalice.test import Client

from app import app
from benchmarks import report

PROJECT = Path(__file__).parent.parent
PAGES = [
    path.relative_to(PROJECT).as_posix()
    for folder in (PROJECT, PROJECT / "docs", PROJECT / "benchmarks", PROJECT / "kit")
    for path in sorted(folder.glob("*.md"))
]


def read(path: str) -> str:
    """Return the text of a file of the project."""
    return (PROJECT / path).read_text(encoding="utf-8")


RESULTS = report.Results(json.loads(read("benchmarks/results.json")))


@pytest.mark.parametrize("page", PAGES)
def test_links_and_make_targets_exist(page: str) -> None:
    text = read(page)
    for link in re.findall(r"\]\(([^):#]+)[#)]", text):
        assert (PROJECT / page).parent.joinpath(link).exists(), link
    for target in re.findall(r"(?:^|^\$ |`)make ([a-z]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:.*## ", read("Makefile"), re.MULTILINE), target


@pytest.mark.parametrize("readme", ["README.md", "README.ko.md"])
def test_the_readme_shows_your_app_and_its_answer(readme: str) -> None:
    text = read(readme)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    lines = iter(read("app.py").splitlines())
    absent = [line for line in code.splitlines() if line not in lines]  # in this order, among yours
    assert absent == []
    with Client(app) as http:
        answer = http.http.get("/")
    for name, value in answer.headers.items():
        assert f"{name}: {value}\n" in text
    assert f"\n\n{answer.body.decode()}\n```" in text


@pytest.mark.parametrize("readme", ["README.md", "README.ko.md"])
def test_the_quoted_ratios_are_those_of_the_benchmark(readme: str) -> None:
    quoted = re.findall(r"\*\*([\d.]+)\*\*", read(readme))
    rows = (report.OURS, report.PLAIN, report.BUNDLED)
    assert quoted == [str(RESULTS.ratio(row)) for row in rows]


def test_the_benchmark_page_and_picture_are_made_from_its_results() -> None:
    assert read("benchmarks/results.md") == report.page(RESULTS)
    assert read("benchmarks/results.svg") == report.picture(RESULTS)
