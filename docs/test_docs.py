"""What the pages say, held against the code that they describe."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from chalice import Blueprint, NotFoundError, Response
from chalice.test import Client

from app import app
from benchmarks import report
from chalicelib.express import ExpressApp

PROJECT = Path(__file__).parent.parent
READMES = ["README.md", "README.ko.md"]
PAGES = [
    path.relative_to(PROJECT).as_posix()
    for folder in ("", ".github", "benchmarks", "docs", "kit", "production")
    for path in sorted((PROJECT / folder).glob("*.md"))
]


def read(path: str) -> str:
    """Return the text of a file of the project."""
    return (PROJECT / path).read_text(encoding="utf-8")


def code_in(line: str) -> list[str]:
    """Return what is marked as code in a line."""
    return re.findall("`(.+?)`", line)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for path, anchor in re.findall(r"\]\(([^):#]*)#?([^):]*)\)", read(page)):
        target = (PROJECT / page).parent.joinpath(path) if path else PROJECT / page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), anchor


def anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_make_has_the_targets_that_a_page_names(page: str) -> None:
    for target in re.findall(r"(?:^|^\$ |`)make ([a-z]+)", read(page), re.MULTILINE):
        assert re.search(rf"^{target}:.*## ", read("Makefile"), re.MULTILINE), target


@pytest.mark.parametrize("readme", READMES)
def test_the_readme_shows_your_app_and_its_response(readme: str) -> None:
    text = read(readme)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert set(code.splitlines()) <= set(read("app.py").splitlines())  # yours may have more
    with Client(app) as client:
        response = client.http.get("/")
    for name, value in response.headers.items():
        line = f"{name}: " if name.startswith("x-am") else f"{name}: {value}\n"  # API Gateway's ids
        assert f"\n{line}" in text
    assert f"\n\n{response.body.decode()}\n```" in text


@pytest.mark.parametrize("page", ["README", "docs/growing"])
def test_a_page_has_the_same_code_in_korean(page: str) -> None:
    english, korean = read(f"{page}.md"), read(f"{page}.ko.md")
    assert examples(korean) == examples(english)
    assert tables(korean) == tables(english)


def examples(text: str) -> list[str]:
    """Return the blocks of code of a page, without the comments."""
    return re.findall("^```.*?^```", re.sub(" +#.*", "", text), re.MULTILINE | re.DOTALL)


def tables(text: str) -> list[list[str]]:
    """Return the code in each row of a page's tables; a sentence has another order in Korean."""
    return [sorted(code_in(line)) for line in text.splitlines() if line.startswith("|")]


def chalice_by_express() -> dict[str, str]:
    """Return README.md's table: the code of Express, and the lines of Chalice that do the same."""
    section = read("README.md").split("\n## From Express to Chalice\n")[1].split("\n## ")[0]
    rows = [code_in(line) for line in section.splitlines() if line.startswith("| `")]
    return {express: "\n".join(lines) for express, *lines in rows}


CHALICE = chalice_by_express()


@pytest.mark.parametrize(
    ("express", "status", "body", "headers"),
    [
        ("req.params.id", 200, "7", {}),
        ("req.query.q", 200, "hi", {}),
        ("req.body", 200, '{"a":1}', {}),
        ("req.get('X-Token')", 200, "secret", {}),
        ("res.send('hello')", 200, "hello", {"Content-Type": "text/html; charset=utf-8"}),
        ("res.json({ a: 1 })", 200, '{"a":1}', {}),
        ("res.status(201).json({ a: 1 })", 201, '{"a":1}', {}),
        ("res.set('X-Total', '3').send('hello')", 200, "hello", {"X-Total": "3"}),
        ("res.redirect('/test')", 302, "", {"Location": "/test"}),
        (
            "throw createError(404, 'no such user')",
            404,
            '{"Code":"NotFoundError","Message":"no such user"}',
            {},
        ),
    ],
)
def test_chalice_does_what_express_does(
    express: str, status: int, body: str, headers: dict[str, str]
) -> None:
    other = ExpressApp("other", configure_logs=False)
    names = {"app": other, "Response": Response, "NotFoundError": NotFoundError}
    code = CHALICE[express]
    statement = code if code.startswith(("return ", "raise ")) else f"return {code}"
    route = CHALICE["app.get('/users/:id', …)"]
    exec(f"{route}\n    {statement}", names)
    sent = {"Content-Type": "application/json", "X-Token": "secret"}
    with Client(other) as client:
        response = client.http.get("/users/7?q=hi", headers=sent, body=b'{"a": 1}')
    assert (response.status_code, response.body.decode()) == (status, body)
    assert headers.items() <= response.headers.items()


def test_chalice_has_middleware_routers_and_cors_as_express() -> None:
    other, router = ExpressApp("other", configure_logs=False), Blueprint(__name__)
    router.route("/all")(lambda: "all")
    names: dict[str, Any] = {"app": other, "router": router}
    exec(f"{CHALICE['app.use(f)']}\n    return get_response(request)", names)
    exec(CHALICE["app.use('/users', router)"], names)
    exec(f"{CHALICE['app.use(cors())']}\ndef index():\n    return ''", names)
    with Client(other) as client:
        assert client.http.get("/users/all").body == b"all"
        assert client.http.get("/").headers["Access-Control-Allow-Origin"] == "*"
    assert names["f"] in [middleware for middleware, _ in other.middleware_handlers]


RESULTS = report.Results(json.loads(read("benchmarks/results.json")))


@pytest.mark.parametrize("readme", READMES)
def test_the_quoted_ratios_are_those_of_the_benchmark(readme: str) -> None:
    quoted = re.findall(r"\*\*([\d.]+)\*\*", read(readme))
    measured = (report.OURS, report.PLAIN, report.BUNDLED)
    assert quoted == [RESULTS.ratio(row).rounded for row in measured]


def test_the_benchmark_page_and_picture_are_made_from_its_results() -> None:
    assert read("benchmarks/results.md") == report.page(RESULTS)
    assert read("benchmarks/results.svg") == report.picture(RESULTS)
