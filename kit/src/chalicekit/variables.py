"""Variables that tell AWS's clients in a process which AWS to use: an emulated one, or none.

They are for a process without other AWS_ variables. The kit's own calls use `aws.EmulatedSession`,
which reads no variables.
"""

import os

# For `local` without an account: clients find no credentials.
NO_ACCOUNT = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "BOTO_CONFIG": os.devnull,
}
MADE_UP = NO_ACCOUNT | {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
# For the import of the app before it is packaged: it has credentials, as on Lambda, but no AWS.
NO_AWS = MADE_UP | {
    "AWS_SESSION_TOKEN": "test",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # nothing listens there
    "AWS_MAX_ATTEMPTS": "1",
}


def client_variables(url: str) -> dict[str, str]:
    """Return the variables for whatever uses the emulated AWS at `url`: the app and its tests."""
    return MADE_UP | {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
