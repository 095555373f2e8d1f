"""The address of a server: its check before the server starts, and a port that is free."""

import errno
import socket

from chalicekit.errors import Refusal

USABLE_HOSTS = "use 127.0.0.1, or 0.0.0.0 for clients on other machines."


def port_number(text: str, option: str) -> int:
    """Return the port that `text` names; raises Refusal with a line that names `option`."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise Refusal(f"{option}={text} is not a port: choose a number from 1 to 65535.")
    return int(text)


def check_host(host: str) -> None:
    """Raise Refusal for an empty address, which would be each of this machine."""
    if not host:
        raise Refusal(f"No address is given: {USABLE_HOSTS}")


def usable_port(text: str, option: str, host: str = "127.0.0.1") -> int:
    """Return the port that `text` names, which is free on `host`.

    Raises Refusal if it is not usable. Its line names `option`, such as `PORT` or `--port`, which
    sets the port.
    """
    port = port_number(text, option)
    with socket.socket() as probe:
        # Servers set this option too. With it, a port that was closed a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise Refusal(
                f"Port {port} is reserved for root: choose another, for example {option}=8000."
            ) from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise Refusal(
                    f"{host} is not an IPv4 address of this machine: {USABLE_HOSTS}"
                ) from error
            other = port + 1 if port < 65535 else 8000
            raise Refusal(
                f"Port {port} is in use: choose another, for example {option}={other}."
            ) from error
    return port


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nothing listens on."""
    with socket.create_server((host, 0)) as server:
        return int(server.getsockname()[1])
