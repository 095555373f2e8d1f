"""What the pages say, held against the code that they describe."""

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from chalice import Blueprint, NotFoundError, Response
from chalice.test import Client

from app import app
from benchmarks import report
from chalicekit.cli import cli, project_options
from chalicelib.express import ExpressApp

PROJECT = Path(__file__).parent.parent
KIT = PROJECT / "kit" / "src" / "chalicekit"
READMES = ["README.md", "README.ko.md"]
PAGES = [
    path.relative_to(PROJECT).as_posix()
    for folder in ("", ".github", "benchmarks", "docs", "kit", "production")
    for path in sorted((PROJECT / folder).glob("*.md"))
]


def read(path: str) -> str:
    """Return the text of a file of the project."""
    return (PROJECT / path).read_text(encoding="utf-8")


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without the first two lines."""
    section = read(page).split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


RESULTS = report.Results(json.loads(read("benchmarks/results.json")))


def anchors(page: str) -> set[str]:
    """Return the names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for path, anchor in re.findall(r"\]\(([^):#]*)#?([^):]*)\)", read(page)):
        target = (PROJECT / page).parent.joinpath(path) if path else PROJECT / page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target.relative_to(PROJECT).as_posix()), anchor


@pytest.mark.parametrize("page", PAGES)
def test_make_has_the_targets_that_a_page_names(page: str) -> None:
    for target in re.findall(r"(?:^|^\$ |`)make ([a-z]+)", read(page), re.MULTILINE):
        assert re.search(rf"^{target}:.*## ", read("Makefile"), re.MULTILINE), target


@pytest.mark.parametrize("readme", READMES)
def test_the_readme_shows_your_app_and_its_response(readme: str) -> None:
    text = read(readme)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    lines = iter(read("app.py").splitlines())
    absent = [line for line in code.splitlines() if line not in lines]  # in this order, among yours
    assert absent == []
    with Client(app) as client:
        response = client.http.get("/")
    for name, value in response.headers.items():
        line = f"{name}: " if name.startswith("x-am") else f"{name}: {value}\n"  # API Gateway's ids
        assert f"\n{line}" in text
    assert f"\n\n{response.body.decode()}\n```" in text


@pytest.mark.parametrize("page", ["README.md", "docs/growing.md"])
def test_a_page_has_the_same_code_in_korean(page: str) -> None:
    def code(text: str) -> list[str]:
        return re.findall("^```.*?^```", re.sub(" +#.*", "", text), re.MULTILINE | re.DOTALL)

    korean = page.replace(".md", ".ko.md")
    assert code(read(korean)) == code(read(page))
    assert rows_of_express(korean) == rows_of_express(page)


def rows_of_express(readme: str) -> list[list[str]]:
    """Return the code in the table of Express and Chalice."""
    found = re.findall(r"^\| `((?:app|req|res|throw).+?)` \| (.+) \|$", read(readme), re.MULTILINE)
    return [[express, *re.findall("`(.+?)`", chalice)] for express, chalice in found]


EXPRESS = {express: chalice for express, *chalice in rows_of_express("README.md")}


@pytest.mark.parametrize(
    ("express", "status", "body", "header"),
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
    express: str, status: int, body: str, header: dict[str, str]
) -> None:
    (line,) = EXPRESS[express]
    other = ExpressApp("other", configure_logs=False)
    names = {"app": other, "Response": Response, "NotFoundError": NotFoundError}
    route, view = EXPRESS["app.get('/users/:id', …)"]
    statement = line if line.startswith(("return ", "raise ")) else f"return {line}"
    exec(f"{route.replace(')', ', methods=[')}'POST'])\n{view}\n    {statement}", names)
    headers = {"Content-Type": "application/json", "X-Token": "secret"}
    with Client(other) as client:
        response = client.http.post("/users/7?q=hi", headers=headers, body=b'{"a": 1}')
    assert (response.status_code, response.body.decode()) == (status, body)
    assert header.items() <= response.headers.items()


def test_chalice_has_middleware_routers_and_cors_as_express() -> None:
    other, router = ExpressApp("other", configure_logs=False), Blueprint(__name__)
    router.route("/all")(lambda: "all")
    names: dict[str, Any] = {"app": other, "router": router}
    middleware, signature = EXPRESS["app.use(f)"]
    exec(f"{middleware}\n{signature}\n    return get_response(request)", names)
    exec(EXPRESS["app.use('/users', router)"][0], names)
    exec(f"{EXPRESS['app.use(cors())'][0]}\ndef index():\n    return ''", names)
    with Client(other) as client:
        assert client.http.get("/users/all").body == b"all"
        assert client.http.get("/").headers["Access-Control-Allow-Origin"] == "*"
    assert names["f"] in [middleware for middleware, _ in other.middleware_handlers]


@pytest.mark.parametrize("readme", READMES)
def test_the_quoted_ratios_are_those_of_the_benchmark(readme: str) -> None:
    quoted = re.findall(r"\*\*([\d.]+)\*\*", read(readme))
    measured = (report.OURS, report.PLAIN, report.BUNDLED)
    assert quoted == [str(RESULTS.ratio(row)) for row in measured]


def test_the_benchmark_page_and_picture_are_made_from_its_results() -> None:
    assert read("benchmarks/results.md") == report.page(RESULTS)
    assert read("benchmarks/results.svg") == report.picture(RESULTS)


def test_the_kits_readme_lists_its_commands_and_their_options() -> None:
    table = rows("kit/README.md", "Commands")
    listed = {
        command.strip("`").split()[0]: re.findall("--[a-z-]+", own) for command, own, _ in table
    }
    assert listed == {name: options_of(command) for name, command in cli.commands.items()}


def options_of(command: click.Command) -> list[str]:
    """Return the options that a command has for itself."""
    shared = {option.name for option in project_options(click.Command("shared")).params}
    options = [option for option in command.params if isinstance(option, click.Option)]
    return [max(option.opts, key=len) for option in options if option.name not in shared]


def test_the_kits_readme_lists_its_modules() -> None:
    modules = {path.stem for path in KIT.rglob("*.py")} - {"__init__", "__main__"}
    listed = " ".join(names for names, _ in rows("kit/README.md", "How it works inside"))
    assert {name.rpartition("/")[2] for name in re.findall("`(.+?)`", listed)} == modules


def test_the_kits_readme_lists_what_it_patches() -> None:
    listed = " ".join(names for names, *_ in rows("kit/README.md", "What it patches"))
    others = {"LocalGateway", "_EXECUTE_API_RE"}  # by pytest's monkeypatch, and in `guard`
    code = "".join(path.read_text(encoding="utf-8") for path in (KIT / "emulator").glob("*.py"))
    patched = set(re.findall(r'@replaces\(\w+, "(\w+)"\)', code))
    assert {name.rpartition(".")[2] for name in re.findall("`(.+?)`", listed)} - others == patched
