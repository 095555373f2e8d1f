"""The command line: Chalice's commands with Chalice's options, and an emulated AWS."""

import logging
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import click

from chalicekit import __version__
from chalicekit.lifetime import end_with_parent
from chalicekit.ports import port_number
from chalicekit.project import DEFAULT_EMULATOR_PORT, DEFAULT_STAGE, Project


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option(
    "--project-dir",
    type=click.Path(file_okay=False, exists=True, resolve_path=True, path_type=Path),
    default=".",
    help="The folder of the Chalice project; the current one by default.",
)
@click.option(
    "--build-dir",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    help="The folder to build in; `build` in the project by default.",
)
@click.option("--make", is_flag=True, hidden=True, help="Name make's commands in hints.")
@click.pass_context
def cli(context: click.Context, project_dir: Path, build_dir: Path | None, make: bool) -> None:
    """Run, check, package and deploy a Chalice app."""
    context.obj = {"folder": project_dir, "build_dir": build_dir, "make": make}


# They say which stage, and in which AWS.
PROJECT_OPTIONS = [
    click.Option(["--stage"], default=DEFAULT_STAGE, show_default=True, help="The stage."),
    click.Option(["--emulated"], is_flag=True, help="Use the emulated AWS on this machine."),
    click.Option(
        ["--emulator-port"],
        default=str(DEFAULT_EMULATOR_PORT),
        show_default=True,
        help="The port of the emulated AWS.",
    ),
    click.Option(["--profile"], default="", help="The profile of your AWS configuration."),
]


def project_command(function: Callable[..., None]) -> click.Command:
    """Make a command of a function; its first parameter is the project that the options name."""

    @wraps(function)  # which takes over __click_params__, the function's own options
    @click.pass_context
    def run(
        context: click.Context,
        /,
        stage: str,
        emulated: bool,
        emulator_port: str,
        profile: str,
        **own: Any,
    ) -> None:
        option = "AWS_PORT" if context.obj["make"] else "--emulator-port"
        port = port_number(emulator_port, option)
        emulator = f"http://127.0.0.1:{port}" if emulated else ""
        function(Project(stage=stage, emulator=emulator, profile=profile, **context.obj), **own)

    command = cli.command()(run)
    command.params += PROJECT_OPTIONS
    return command


@project_command
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default="8000", show_default=True, help="The port to listen on.")
@click.option("--autoreload/--no-autoreload", default=True, help="Restart when the code changes.")
def local(project: Project, host: str, port: str, autoreload: bool) -> None:
    """Serve the app on this machine."""
    from chalicekit.local import run

    run(project, host, port, autoreload)


@cli.command()
@click.pass_context
def install(context: click.Context) -> None:
    """Install requirements.txt into build/requirements/here."""
    from chalicekit.build import requirements

    requirements.install_here(context.obj["folder"])


@project_command
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--pkg-format",
    type=click.Choice(["cloudformation", "terraform"]),
    default="cloudformation",
    show_default=True,
    help="The kind of template.",
)
@click.option(
    "--template-format",
    type=click.Choice(["json", "yaml"]),
    default="json",
    show_default=True,
    help="The format of the template.",
)
@click.option("--single-file", is_flag=True, help="Write both into one zip, OUT.")
@click.option("--merge-template", type=click.Path(), help="A template to merge into Chalice's.")
def package(project: Project, out: Path, **options: Any) -> None:
    """Write the deployment package and its template into OUT."""
    from chalicekit.package import package as run

    hide_logs()
    run(project, out, **options)


@project_command
@click.option(
    "--autogen-policy/--no-autogen-policy", default=None, help="Replace the setting autogen_policy."
)
@click.option("--api-gateway-stage", help="Replace the setting api_gateway_stage.")
def deploy(project: Project, **settings: Any) -> None:
    """Deploy the app."""
    from chalicekit.deploy import deploy as run

    hide_logs()
    end_on_ctrl_c()
    run(replace(project, options=settings))  # Chalice passes over those that are None


@project_command
def url(project: Project) -> None:
    """Print the URL of the deployed API."""
    from chalicekit.deploy import url as run

    run(project)


@project_command
def delete(project: Project) -> None:
    """Delete what was deployed, except the logs and the data."""
    from chalicekit.deploy import delete as run

    hide_logs()
    end_on_ctrl_c()
    run(project)


@project_command
@click.option("-n", "--name", default="", help="The function; all of them by default.")
@click.option(
    "-s", "--since", default="10m", show_default=True, help="How far to go back, or a time."
)
@click.option("-f", "--follow/--no-follow", default=False, help="Keep printing new lines.")
def logs(project: Project, name: str, since: str, follow: bool) -> None:
    """Print the logs of the deployed functions."""
    from chalicekit.logs import logs as run

    run(project, name, since, follow)


@cli.command()
@click.option("--port", default=str(DEFAULT_EMULATOR_PORT), show_default=True, help="The port.")
@click.pass_context
def emulator(context: click.Context, port: str) -> None:
    """Start an emulated AWS on this machine, for --emulated."""
    from chalicekit.emulator.server import run
    from chalicekit.ports import usable_port

    number = usable_port(port, "AWS_PORT" if context.obj["make"] else "--port")
    project = Project(emulator=f"http://127.0.0.1:{number}", **context.obj)
    run(number, project.command("deploy"), project.typed("local"))


def hide_logs() -> None:
    """Hide the log of the app that is imported, which would also show Chalice and the AWS SDK."""
    logging.disable()


def end_on_ctrl_c() -> None:
    """Let Ctrl-C end a command with advice."""
    advice = "Stopped. To continue, run the command again."
    signal.signal(signal.SIGINT, lambda *_: sys.exit(advice))


def main() -> None:
    """Run the command line; a mistake of the user ends it with one line, and never a traceback."""
    end_with_parent()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # in order with errors
    try:
        sys.exit(cli.main(prog_name="chalicekit", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
