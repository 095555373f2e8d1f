"""What the documents claim."""

import json
import re
import sys

import pytest

from benchmarks import report
from docs.cost import tables
from tests.processes import REPOSITORY
from tests.project import Project

README = (REPOSITORY / "README.md").read_text()
RESULTS = report.Results(json.loads((REPOSITORY / "benchmarks" / "results.json").read_text()))


def test_the_cost_tables_are_those_of_the_script() -> None:
    page = (REPOSITORY / "docs" / "scale-and-cost.md").read_text()
    for table in tables().strip().split("\n\n"):
        assert table in page


@pytest.mark.parametrize("readme", ["README.md", "README.ko.md"])
def test_links_and_make_targets_exist(readme: str) -> None:
    text = (REPOSITORY / readme).read_text()
    for link in re.findall(r"\]\(([^):#]+)[#)]", text):
        assert (REPOSITORY / link).exists(), link
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}: .*## ", makefile, re.MULTILINE), target


def test_the_quoted_ratios_are_those_of_the_benchmark() -> None:
    for row in (report.OURS, report.PLAIN):
        assert f"{RESULTS.ratio(row)} times" in README.replace("\n", " ")


def test_the_benchmark_page_and_picture_are_made_from_its_results() -> None:
    folder = REPOSITORY / "benchmarks"
    assert (folder / "results.md").read_text(encoding="utf-8") == report.page(RESULTS)
    assert (folder / "results.svg").read_text(encoding="utf-8") == report.picture(RESULTS)


def test_the_example_of_a_route_passes_its_test(project: Project) -> None:
    route, test = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    project.append("\n\n" + route)
    imports = "from chalice.test import Client\nfrom app import app\n"
    (project.folder / "test_example.py").write_text(imports + test)
    assert "1 passed" in project.run(sys.executable, "-m", "pytest", "test_example.py")
