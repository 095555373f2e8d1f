"""The product's own tests: in process, served, and deployed to the emulated AWS."""

import time
import uuid

import pytest
import requests
from chalice.test import Client

from app import app

TOKEN = {"Authorization": "a token"}
ADDRESS = "https://example.com/"


@pytest.fixture(autouse=True, scope="session")
def token(emulated_aws):
    parameter = {"Name": "/shortener-dev/token", "Value": "a token", "Type": "SecureString"}
    emulated_aws.client("ssm").put_parameter(**parameter, Overwrite=True)


@pytest.fixture(params=["local_url", "deployed_url"])
def url(request):
    return request.getfixturevalue(request.param)


def save(url, code="a", address=ADDRESS, **headers):
    body = {"address": address}
    return requests.put(f"{url}/links/{code}", json=body, headers=TOKEN | headers)


def visits(url, code):
    return requests.get(f"{url}/links/{code}", headers=TOKEN).json()["visits"]


def test_a_link_redirects_in_process():
    with Client(app) as client:
        body = b'{"address": "https://example.com/"}'
        headers = TOKEN | {"Content-Type": "application/json"}
        assert client.http.put("/links/a", headers=headers, body=body).status_code == 201
        response = client.http.get("/a")
    assert (response.status_code, response.headers["Location"]) == (302, ADDRESS)


def test_the_worker_counts_a_visit_in_process():
    with Client(app) as client:
        from chalicelib import links

        links.save("b", ADDRESS)
        client.lambda_.invoke("count", client.events.generate_sqs_event(["b"]))
    assert links.find("b")["visits"] == 1


def test_a_file_is_loaded_in_process(emulated_aws):
    bucket = "shortener-dev-uploads-000000000000"
    emulated_aws.client("s3").put_object(Bucket=bucket, Key="a.txt", Body=f"c {ADDRESS}\n")
    detail = {"bucket": {"name": bucket}, "object": {"key": "a.txt"}}
    with Client(app) as client:
        event = client.events.generate_cw_event("aws.s3", "Object Created", detail, [], "us-east-1")
        client.lambda_.invoke("load", event)
        assert client.http.get("/c").status_code == 302


def test_a_link_redirects(url):
    created = save(url)
    assert (created.status_code, created.headers["Location"]) == (201, "/a")
    response = requests.get(f"{url}/a", allow_redirects=False)
    assert (response.status_code, response.headers["Location"]) == (302, ADDRESS)


def test_an_unknown_link_is_not_found(url):
    assert requests.get(f"{url}/unknown").status_code == 404


def test_what_is_no_address_is_refused(url):
    assert save(url, address="nowhere").status_code == 400


def test_who_has_no_token_changes_nothing(url):
    assert save(url, Authorization="").status_code == 401
    assert save(url, Authorization="another").status_code == 403


def test_a_browser_may_ask_from_the_site_of_the_owner(url):
    preflight = requests.options(f"{url}/links/a", headers={"Origin": "https://admin.example"})
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://admin.example"
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert save(url).headers["Access-Control-Allow-Origin"] == "https://admin.example"


def test_visits_are_counted_by_the_worker(deployed_url):
    code = uuid.uuid4().hex
    save(deployed_url, code)
    requests.get(f"{deployed_url}/{code}", allow_redirects=False)
    wait_until(lambda: visits(deployed_url, code) >= 1)  # a message may come twice


def test_an_uploaded_file_is_loaded(deployed_url, emulated_aws):
    code = uuid.uuid4().hex
    bucket = "shortener-dev-uploads-000000000000"
    emulated_aws.client("s3").put_object(Bucket=bucket, Key="a.txt", Body=f"{code} {ADDRESS}\n")
    wait_until(lambda: requests.get(f"{deployed_url}/links/{code}", headers=TOKEN).ok)


def test_a_visit_that_cannot_be_counted_is_kept(deployed_url, emulated_aws):
    sqs = emulated_aws.client("sqs")
    queue, failed = (
        sqs.get_queue_url(QueueName=f"shortener-dev-visits{end}")["QueueUrl"]
        for end in ("", "-failed")
    )
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "0"})
    sqs.send_message(QueueUrl=queue, MessageBody="unknown")
    wait_until(lambda: sqs.receive_message(QueueUrl=failed).get("Messages"))


def wait_until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
