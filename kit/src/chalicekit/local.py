"""`local`: serve the app on this machine."""

import logging
import os
import signal
import sys
from contextlib import suppress
from typing import TextIO, cast

from chalice import Chalice
from chalice.app import ChaliceAuthorizer
from chalice.deploy.validate import validate_routes

from chalicekit.errors import Refusal
from chalicekit.hints import hint_for, hints_by_error, log_hints
from chalicekit.http_server import Server
from chalicekit.load import load_app
from chalicekit.ports import check_host, free_port, usable_port
from chalicekit.pretty import PrettyStream
from chalicekit.project import Project
from chalicekit.restart import restart_after_changes
from chalicekit.variables import NO_ACCOUNT, client_variables

# They would come before the profile that the user names
OTHER_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_PROFILE",
}


def run(project: Project, host: str, port: str, autoreload: bool) -> None:
    """Serve a project's stage until Ctrl-C; `autoreload` restarts the server after each change.

    `port` is what the user typed; 0 is any free port. Raises Refusal.
    """
    check_host(host)
    number = 0 if port == "0" else usable_port(port, "PORT" if project.make else "--port", host)
    _ = project.config  # raises Refusal for a stage that is not there
    if project.emulator:
        from chalicekit.resources import ensure

        ensure(project)
    with suppress(KeyboardInterrupt):
        if autoreload:
            restart_after_changes(project.folder, number or free_port(host))
        else:
            serve(project, host, number)


def serve(project: Project, host: str, port: int) -> None:
    """Serve the app in this process; raises Refusal if it cannot be imported."""
    from chalicekit.build import requirements

    # Not as `lifetime` ends it, but at once, as Lambda ends: a thread of the app may be in a
    # debugger, or write to the log.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    # pip needs this process's own variables, and the commands in hints need its folder
    packages = requirements.install(project.folder)
    hints = hints_by_error(project)
    prepare_process(project)
    log_hints(project.folder, hints)
    try:
        app = load_app(project.folder, packages)
        validate_routes(app.routes)
        server = Server(app, project.config, host, port)
    except Refusal as refusal:
        if hint := hint_for(refusal.__cause__, hints):
            raise Refusal(f"{refusal}. {hint}") from refusal
        raise
    except (OSError, ValueError) as error:
        raise Refusal(f"The app cannot be served: {error}") from error
    if names := ", ".join(open_routes(app)):
        print(f"Everyone may call {names} here. On AWS, Cognito, IAM or an API key decides.")
    print(f"Serving on http://{host}:{server.server_address[1]}", flush=True)
    with server:
        server.serve_forever()


def prepare_process(project: Project) -> None:
    """Give this process the variables, the folder and the log of the app."""
    # Python cannot tell two versions of a file apart that have the same length and second, and
    # would serve the bytecode of the first.
    sys.dont_write_bytecode = True
    variables = variables_for(project)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(project.folder)
    sys.stdout = cast(TextIO, PrettyStream(sys.stdout))
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")  # as Chalice
    logging.getLogger("botocore").setLevel(logging.WARNING)  # not where it finds its settings


def variables_for(project: Project) -> dict[str, str]:
    """Return the variables that the app gets: this machine's, Lambda's region, and its stage's.

    The machine's AWS configuration applies only if the user names a profile.
    """
    machine = dict(os.environ)
    if project.profile and not project.emulator:
        variables = {
            name: value for name, value in machine.items() if name not in OTHER_CREDENTIALS
        }
        variables["AWS_PROFILE"] = project.profile
    else:
        variables = {name: value for name, value in machine.items() if not name.startswith("AWS_")}
        variables |= client_variables(project.emulator) if project.emulator else NO_ACCOUNT
        region = region_for(project)
        variables |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}  # Lambda sets both
    own = project.config.scope(project.stage, "api_handler").environment_variables
    return variables | {name: str(value) for name, value in own.items()}


def region_for(project: Project) -> str:
    """Return the region of an app that has no account: the emulated AWS's, or this machine's."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return "us-east-1" if project.emulator or not region else region


def open_routes(app: Chalice) -> list[str]:
    """Return the paths whose authorizer or API key is not checked on this machine."""
    return [
        path
        for path, methods in app.routes.items()
        if any(
            view.api_key_required
            or (view.authorizer and not isinstance(view.authorizer, ChaliceAuthorizer))
            for view in methods.values()
        )
    ]
