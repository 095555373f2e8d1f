"""Your routes in process: the table in answers.py, and tests of your own."""

from chalice.app import CaseInsensitiveMapping
from chalice.test import Client

from app import app
from tests.answers import Line, each_line, seen


@each_line
def test_answers(line: Line) -> None:
    method, path = line.request.split()
    with Client(app) as client:
        response = client.http.request(
            method, path, headers={**line.headers}, body=line.body.encode()
        )
    headers = CaseInsensitiveMapping(response.headers)
    assert seen(line, response.status_code, headers, response.body) == line.answer
