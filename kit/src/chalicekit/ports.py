"""The check of a server's port before the server starts."""

import socket
import sys


def usable_port(text: str, variable: str) -> int:
    """Return the port that `text` names, which is free on 127.0.0.1.

    Exits with one line if it is not usable. The line names `variable`, which sets the port.
    """
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        sys.exit(f"{variable}={text} is not a port: choose a number from 1 to 65535.")
    port = int(text)
    with socket.socket() as probe:
        # Servers set this option too. With it, a port that was closed a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            sys.exit(
                f"Port {port} is reserved for root: choose another, for example {variable}=8000."
            )
        except OSError:
            other = port + 1 if port < 65535 else 8000
            sys.exit(f"Port {port} is in use: choose another, for example {variable}={other}.")
    return port
