"""Your routes, in process: the table in answers.py, and tests of your own."""

from chalice.app import CaseInsensitiveMapping
from chalice.test import Client

from app import app
from tests.answers import Answer, answers, check_answer


@answers
def test_answers(request_line: str, headers: dict[str, str], answer: Answer) -> None:
    method, path = request_line.split()
    with Client(app) as client:
        response = client.http.request(method, path, headers=headers)
    check_answer(
        method,
        answer,
        response.status_code,
        CaseInsensitiveMapping(response.headers),
        response.body,
    )
