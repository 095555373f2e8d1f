"""A URL shortener: links in a table, visits through a queue, files of links from a bucket."""

import os

import boto3
from chalice import Chalice, NotFoundError, Response
from chalice.app import CloudWatchEvent, SQSEvent

from chalicelib import links, manage

NAME = os.environ["NAME"]

app = Chalice("shortener")
app.register_blueprint(manage.routes, url_prefix="/links")
queues, buckets = boto3.client("sqs"), boto3.client("s3")


@app.route("/{code}")
def follow(code: str) -> Response:
    """Redirect to the address of a link; the visit is counted later."""
    link = links.find(code)
    if not link:
        raise NotFoundError(f"there is no link {code}")
    queue = queues.get_queue_url(QueueName=f"{NAME}-visits")["QueueUrl"]
    queues.send_message(QueueUrl=queue, MessageBody=code)
    return Response("", {"Location": link["address"]}, 302)


@app.on_sqs_message(queue=f"{NAME}-visits")
def count(event: SQSEvent) -> None:
    """Count visits. A message that fails three times goes to the dead-letter queue."""
    for record in event:
        links.count_visit(record.body)


UPLOADED = {
    "source": ["aws.s3"],
    "detail-type": ["Object Created"],
    "detail": {"bucket": {"name": [{"prefix": f"{NAME}-uploads-"}]}},
}


@app.on_cw_event(UPLOADED)
def load(event: CloudWatchEvent) -> None:
    """Make a link of each line of a file: a code and an address."""
    bucket, key = event.detail["bucket"]["name"], event.detail["object"]["key"]
    text = buckets.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    for code, address in map(str.split, text.splitlines()):
        links.save(code, address)
