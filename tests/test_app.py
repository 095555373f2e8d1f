"""Your routes in process: the table in answers.py, and tests of your own.

`Client` responds as API Gateway does: pyproject.toml has `usefixtures = ["api_gateway"]`.
"""

from chalice.app import CaseInsensitiveMapping
from chalice.test import Client

from app import app
from tests.answers import Case, answer_of, each_case


@each_case
def test_answers(case: Case) -> None:
    method, path = case.request.split()
    with Client(app) as client:
        response = client.http.request(
            method, path, headers={**case.headers}, body=case.body.encode()
        )
    headers = CaseInsensitiveMapping(response.headers)
    assert answer_of(case, response.status_code, headers, response.body) == case.answer
