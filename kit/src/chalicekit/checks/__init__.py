"""The checks before anything is uploaded: what AWS or Chalice would refuse, or quietly leave out.

Each check yields a line for each problem, with its place and what to do. What Chalice deploys and
AWS takes, although it looks wrong, is only said on standard error.
"""

from collections.abc import Iterable

import click
from chalice import Chalice
from chalice.deploy.appgraph import ApplicationGraphBuilder, ChaliceBuildError
from chalice.deploy.validate import validate_configuration

from chalicekit.checks import code, policies
from chalicekit.errors import Refusal
from chalicekit.factory import StageConfig
from chalicekit.project import Project
from chalicekit.settings import wrong_settings, wrong_variables

OF_A_STAGE = [wrong_variables, policies.unreadable_code, policies.unusable]
OF_AN_APP = [
    code.unknown_functions,
    code.wrong_names,
    code.wrong_paths,
    code.wrong_sources,
    code.lost_authorizers,
    code.lost_functions,
    policies.unreadable_sources,
]
ONLY_SAID = [policies.without_log, policies.unused_tables]


def before_build(project: Project) -> None:
    """Check the settings of a stage; raises Refusal with a line for each problem."""
    refuse(wrong_settings(project))  # the others rely on their kinds
    refuse(line for check in OF_A_STAGE for line in check(project))


def before_deploy(project: Project, app: Chalice) -> None:
    """Check an app, after its stage; raises Refusal with a line for each problem."""
    refuse(line for check in OF_AN_APP for line in check(project, app))
    for check in ONLY_SAID:
        for line in check(project, app):
            click.echo(line, err=True)
    config = StageConfig.of(project.config, app)
    try:
        validate_configuration(config)
        ApplicationGraphBuilder().build(config, project.stage)
    except (ChaliceBuildError, ValueError) as error:
        raise Refusal(str(error)) from error


def before_package(project: Project, app: Chalice, pkg_format: str = "cloudformation") -> None:
    """Check an app as before a deployment, and that a template can have all of it."""
    before_deploy(project, app)
    if pkg_format == "cloudformation":
        refuse(code.bucket_events(project, app))


def refuse(problems: Iterable[str]) -> None:
    """Raise Refusal with the lines, each once, if there are any."""
    if lines := list(dict.fromkeys(problems)):
        raise Refusal("\n".join(lines))
