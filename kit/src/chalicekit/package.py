"""`chalicekit package`: the deployment package with its CloudFormation or Terraform template."""

import shutil
from pathlib import Path

from chalicekit import checks
from chalicekit.aws import errors_in_one_line
from chalicekit.build import build
from chalicekit.errors import Refusal
from chalicekit.factory import StageConfig, create_packager
from chalicekit.load import app_of
from chalicekit.lock import lock
from chalicekit.project import Project


def package(
    project: Project,
    out: Path,
    pkg_format: str,
    template_format: str,
    single_file: bool,
    merge_template: str | None,
) -> None:
    """Write the deployment package and the template into the folder `out`.

    The options are those of `chalice package`; with `single_file`, `out` is one zip with both.
    Raises Refusal if the package cannot work. Then nothing in `out` changes.
    """
    settings = project.config  # raises Refusal for an unknown stage, before anything is written
    if merge_template and not Path(merge_template).is_file():
        raise Refusal(f"{merge_template} does not exist: choose a template to merge.")
    # Nothing here calls AWS, but without credentials botocore would look for them, for seconds.
    project.session.set_credentials(access_key="unused", secret_key="unused")
    if not project.session.get_config_variable("region"):
        project.session.set_config_variable("region", "us-east-1")  # AWS's partition, for names
    with errors_in_one_line(project), lock(project):
        checks.before_build(project)
        built = build(project)
        written = project.build_folder / "written"
        with app_of(built, project) as app:
            checks.before_package(project, app, pkg_format)
            config = StageConfig.of(settings, app)
            packager = create_packager(
                config, project.session, built, pkg_format, template_format, merge_template
            )
            packager.package_app(config, str(written), project.stage)
        move(written, out, single_file)  # only now: nothing failed


def move(written: Path, out: Path, single_file: bool) -> None:
    """Move what is in the folder `written` to `out`, as a zip or into that folder."""
    if single_file:
        archive = shutil.make_archive(str(written), "zip", written)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(archive, out)
        return
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted(written.iterdir()):
        shutil.move(file, out / file.name)
