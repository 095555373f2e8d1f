"""What the documents say."""

import json
import re

import pytest
import requests
from chalice.test import Client

from app import app
from benchmarks import report
from tests.processes import REPOSITORY
from tests.project import Project, client
from tests.wheels import make_wheel


def read(path: str) -> str:
    """Return the text of a file of the repository."""
    return (REPOSITORY / path).read_text(encoding="utf-8")


PAGES = ["README.md", "README.ko.md", "CONTRIBUTING.md", "docs/deploying.md", "docs/growing.md"]
PAGES += [
    "docs/inside.md",
    "docs/production.md",
    "docs/operating.md",
    "docs/scale-and-cost.md",
    "benchmarks/results.md",
]
RESULTS = report.Results(json.loads(read("benchmarks/results.json")))


@pytest.mark.parametrize("page", PAGES)
def test_links_and_make_targets_exist(page: str) -> None:
    text = read(page)
    for link in re.findall(r"\]\(([^):#]+)[#)]", text):
        assert (REPOSITORY / page).parent.joinpath(link).exists(), link
    for target in re.findall(r"(?:^|^\$ |`)make ([a-z]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:.*## ", read("Makefile"), re.MULTILINE), target


@pytest.mark.parametrize("readme", ["README.md", "README.ko.md"])
def test_the_readme_shows_your_app_and_its_answer(readme: str) -> None:
    text = read(readme)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    lines = iter(read("app.py").splitlines())
    assert all(line in lines for line in code.splitlines())  # in this order, among yours
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


@pytest.fixture
def grown(project: Project) -> Project:
    """The tests' app after someone has followed docs/growing.md."""
    page = read("docs/growing.md")
    for name, code in re.findall(r"```python\n# (\S+)\n(.*?)```", page, re.DOTALL):
        path = project.folder / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n\n{code}")
    statement, stage = (
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    )
    settings = project.folder / ".chalice"
    policy = json.loads((settings / "policy-dev.json").read_text(encoding="utf-8"))
    policy["Statement"].append(statement)
    (settings / "policy-dev.json").write_text(json.dumps(policy), encoding="utf-8")
    for_staging = json.dumps(policy).replace("-dev", "-staging")
    (settings / "policy-staging.json").write_text(for_staging, encoding="utf-8")
    config = json.loads((settings / "config.json").read_text(encoding="utf-8"))
    config["stages"] |= stage
    (settings / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return project


def test_the_examples_of_growing_pass_their_tests(grown: Project) -> None:
    path = grown.folder / "tests" / "test_app.py"
    code = path.read_text(encoding="utf-8")
    path.write_text("from chalice.test import Client\nfrom app import app\n" + code, "utf-8")
    python = str(grown.venv / "bin" / "python")
    assert "2 passed" in grown.run(python, "-m", "pytest", str(path), PYTHONPATH=".")


def test_the_examples_of_growing_answer_when_deployed(grown: Project) -> None:
    fake_get = "from types import SimpleNamespace\ndef get(url, timeout):\n    return "
    fake_get += "SimpleNamespace(text=url)\n"  # on this machine, nothing asks the network
    make_wheel(grown.folder / "wheels", "requests", {"requests.py": fake_get}, "2.34.2")
    (requirement,) = re.findall(r"echo '(\S+)'", read("docs/growing.md"))
    requirements = f"--no-index\n--find-links wheels\n{requirement}\n"
    (grown.folder / "requirements.txt").write_text(requirements, encoding="utf-8")
    client("dynamodb").create_table(
        TableName="visits",
        KeySchema=[{"AttributeName": "page", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "page", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    url = grown.deploy("staging")
    answers = {
        path: requests.get(url + path, timeout=60).text
        for path in ("/hello/J%C3%BCrgen", "/taxed/10", "/address")
    }
    assert answers == {
        "/hello/J%C3%BCrgen": "hello Jürgen",
        "/taxed/10": '{"price":11}',
        "/address": "https://checkip.amazonaws.com/",
    }
    assert requests.post(url + "/visits", timeout=60).json() == {"visits": 1}
    functions = client("lambda").get_paginator("list_functions").paginate().build_full_result()
    names = [function["FunctionName"] for function in functions["Functions"]]
    assert f"{grown.name}-staging-clean_up" in names
