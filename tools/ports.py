"""The check that a server makes before it starts, and the error it makes when it cannot."""

import socket
import sys


def usable_port(text: str, variable: str) -> int:
    """Return the port that `text` names, free on 127.0.0.1.

    Otherwise end the program with one line that names `variable`, the way to choose another.
    """
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        sys.exit(f"{variable}={text} is no port: choose a number from 1 to 65535.")
    port = int(text)
    with socket.socket() as probe:
        # As servers do: a port that was closed a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            sys.exit(f"Port {port} is reserved for root: choose another one, {variable}=8000 say.")
        except OSError:
            sys.exit(f"Port {port} is in use: choose another one, {variable}={port + 1} say.")
    return port
