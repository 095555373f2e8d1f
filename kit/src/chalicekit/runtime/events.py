"""The events that API Gateway sends to a function.

docs.aws.amazon.com, "Input format of a Lambda function for proxy integration".
"""

from typing import Any

API_ID = "a1b2c3d4e5"
HOST = f"{API_ID}.execute-api.us-east-1.amazonaws.com"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HEADERS = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "ko,en;q=0.7",
    "Host": HOST,
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
    "Upgrade-Insecure-Requests": "1",
    "User-Agent": BROWSER,
    "X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678",
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Proto": "https",
}
IDENTITY = (
    "accessKey accountId caller cognitoAuthenticationProvider cognitoAuthenticationType "
    "cognitoIdentityId cognitoIdentityPoolId principalOrgId sourceIp user userAgent userArn"
)


def proxy_event(resource: str, method: str = "GET", **fields: Any) -> dict[str, Any]:
    """Return the event for a browser's request; `fields` replace those of the event."""
    event = empty_event(resource, method)
    event["headers"] = HEADERS
    event["multiValueHeaders"] = {name: [value] for name, value in HEADERS.items()}
    event["requestContext"]["identity"] |= {"sourceIp": "127.0.0.1", "userAgent": BROWSER}
    return event | fields


def empty_event(resource: str, method: str) -> dict[str, Any]:
    """Return an event with all fields, before it gets what a client sends."""
    return {
        "resource": resource,
        "path": resource,
        "httpMethod": method,
        "headers": {},
        "multiValueHeaders": {},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": API_ID,
            "deploymentId": "f6g7h8",
            "domainName": HOST,
            "domainPrefix": API_ID,
            "extendedRequestId": "JJbxmplHYosFVYQ=",
            "httpMethod": method,
            "identity": dict.fromkeys(IDENTITY.split()),
            "path": f"/dev{resource}",
            "protocol": "HTTP/1.1",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "requestTime": "01/Jan/2026:00:00:00 +0000",
            "requestTimeEpoch": 1767225600000,
            "resourceId": "i9j0k1",
            "resourcePath": resource,
            "stage": "dev",
        },
        "body": None,
        "isBase64Encoded": False,
    }
