"""The events that API Gateway sends to a function."""

from typing import Any

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HEADERS = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "ko,en;q=0.7",
    "Host": "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
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
    "cognitoIdentityId cognitoIdentityPoolId principalOrgId user userArn"
)


def proxy_event(resource: str, method: str = "GET", **fields: Any) -> dict[str, Any]:
    """Return the event that API Gateway sends to a function for a browser's request.

    `fields` replace those of the event: docs.aws.amazon.com, "Input format of a Lambda function for
    proxy integration".
    """
    return {
        "resource": resource,
        "path": resource,
        "httpMethod": method,
        "headers": HEADERS,
        "multiValueHeaders": {name: [value] for name, value in HEADERS.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "deploymentId": "f6g7h8",
            "domainName": HEADERS["Host"],
            "domainPrefix": "a1b2c3d4e5",
            "extendedRequestId": "JJbxmplHYosFVYQ=",
            "httpMethod": method,
            "identity": dict.fromkeys(IDENTITY.split())
            | {"sourceIp": "127.0.0.1", "userAgent": BROWSER},
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
    } | fields
